// SPDX-License-Identifier: BSD-2-Clause
// Channels.
//
// A channel is a ring of elements, a queue of waiting receivers and one of waiting senders under
// one spinlock. While no lock is held: if a receiver waits, the buffer is empty; if a sender waits,
// the buffer is full (capacity 0 is both). So elements are received in the order of their sends. (A
// select may wait on both sides of a channel.)
//
// A goroutine that waits leaves a record (struct sudog) on its own stack in the queue and parks;
// the lock is released when it has left its stack. Whoever completes the operation takes the record
// off the queue, copies the element straight between the two stacks (or stack and buffer) under the
// lock, releases the lock and readies the goroutine, which runs on without looking at the channel
// again: so a channel may be freed by whoever received its last element. One lock operation a side,
// no allocation.
//
// Locks: LOCK_CHAN, one here; select.c holds several in the order of their addresses. Nothing is
// readied and no panic is raised with one held.

#include "sched/chan.h"

#include <errno.h>
#include <heddle/go.h>

#include "kernel/heap.h"
#include "kernel/panic.h"
#include "kernel/preempt.h"
#include "kernel/spin_inline.h"
#include "sched/park.h"
#include "sched/schedule_inline.h"
#include "sched/timer.h"

static struct chan *chan_alloc(size_t elem_size, size_t capacity, size_t extra)
{
    size_t bytes, total;
    if (elem_size > UINT32_MAX) {
        errno = EINVAL;
        return NULL;
    }
    if (__builtin_mul_overflow(elem_size, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct chan) + 15 + extra, &total) ||
        total > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    struct chan *c = heap_alloc(total);
    if (!c) {
        errno = ENOMEM;
        return NULL;
    }
    memset(c, 0, sizeof(*c));
    spin_init(&c->lock, LOCK_CHAN);
    c->elem_size = elem_size;
    c->cap = capacity;
    c->buf = c->put = c->get = (char *)(c + 1);
    c->end = c->buf + bytes;
    atomic_init(&c->state, CHAN_OPEN);
    if (extra) {
        c->timer = (struct timer *)(c->buf + ROUND_UP(bytes, (size_t)16));
        memset(c->timer, 0, extra);
    }
    return c;
}

struct chan *chan_make(size_t elem_size, size_t capacity)
{
    return chan_alloc(elem_size, capacity, 0);
}

struct chan *chan_make_timed(size_t elem_size, size_t capacity)
{
    return chan_alloc(elem_size, capacity, sizeof(struct timer));
}

static bool commit_nothing(struct g *gp, void *arg)
{
    (void)gp;
    (void)arg;
    return true;
}

void chan_block_forever(enum wait_reason reason)
{
    gopark(commit_nothing, NULL, reason);
    throw("chan_block_forever: a goroutine that waits for ever was readied");
}

void chan_check_closed(const struct chan *c)
{
    uint32_t state = chan_state(c);
    if (state == CHAN_FREED)
        go_panic("use of freed channel");
    if (state != CHAN_CLOSED)
        throw("chan: %p is not a channel", (const void *)c);
}

void chan_bad_send(const struct chan *c)
{
    chan_check_closed(c);
    go_panic("send on closed channel");
}

// Queues the caller on q and parks until it has been served; returns success. c->lock is held, not
// so on return.
CHAN_HOT bool wait_on(struct chan *c, struct waitq *q, void *elem, enum wait_reason reason)
{
    struct sudog me;
    me.g = getg();
    me.elem = elem;
    me.wait = NULL;
    me.success = false;
    waitq_push(q, &me);
    goparkunlock_inline(&c->lock, reason);
    return me.success;
}

enum outcome { WOULD_BLOCK, DONE, NOT_OPEN };

// Sends if that is possible at once. c->lock is held; it is released if *o is DONE, and the result
// is true then.
CHAN_HOT bool send_now(struct chan *c, const void *elem, size_t n, enum outcome *o)
{
    if (unlikely(chan_state(c) != CHAN_OPEN)) {
        *o = NOT_OPEN;
        return false;
    }
    struct sudog *receiver = waitq_pop(&c->recvq);
    if (receiver) {
        struct g *gp = give(receiver, elem, n);
        spin_release_inline(&c->lock);
        *o = DONE;
        return ready_and_enable(gp);
    }
    if (chan_count(c) < c->cap) {
        buf_put(c, elem, n);
        spin_release_inline(&c->lock);
        *o = DONE;
        return enable_true();
    }
    *o = WOULD_BLOCK;
    return false;
}

// Receives if that is possible at once; NOT_OPEN: closed and drained, elem not written. As
// send_now.
CHAN_HOT bool recv_now(struct chan *c, void *elem, size_t n, enum outcome *o)
{
    struct sudog *sender = waitq_pop(&c->sendq);
    if (sender) {
        struct g *gp = take(c, sender, elem, n);
        spin_release_inline(&c->lock);
        *o = DONE;
        return ready_and_enable(gp);
    }
    if (chan_count(c) > 0) {
        buf_get(c, elem, n);
        spin_release_inline(&c->lock);
        *o = DONE;
        return enable_true();
    }
    if (unlikely(chan_state(c) != CHAN_OPEN)) {
        *o = NOT_OPEN;
        return false;
    }
    *o = WOULD_BLOCK;
    return false;
}

static __attribute__((noinline)) _Noreturn void send_closed(struct chan *c)
{
    spin_unlock(&c->lock);
    chan_bad_send(c);
}

// The receive of a channel found closed and drained. c->lock is held, not so on return.
static __attribute__((noinline)) bool recv_closed(struct chan *c, void *elem)
{
    spin_unlock(&c->lock);
    chan_check_closed(c);
    if (elem)
        memset(elem, 0, c->elem_size);
    return false;
}

// The operations proper are leaves: they need no frame as long as all they do is small elements and
// a lock that is free. Each other way ends in a call.

static __attribute__((noinline)) void send_wait(struct chan *c, const void *elem)
{
    // The waker only reads the element of a sender.
    if (unlikely(!wait_on(c, &c->sendq, (void *)(uintptr_t)elem, WAIT_CHAN_SEND)))
        // Whoever closed it may have freed it since.
        go_panic("send on closed channel");
}

static __attribute__((noinline)) bool recv_wait(struct chan *c, void *elem)
{
    return wait_on(c, &c->recvq, elem, WAIT_CHAN_RECV);
}

static __attribute__((noinline)) void send_any(struct chan *c, const void *elem)
{
    if (!c)
        chan_block_forever(WAIT_CHAN_SEND_NIL);
    enum outcome o;
    spin_lock(&c->lock);
    send_now(c, elem, c->elem_size, &o);
    if (o == WOULD_BLOCK)
        send_wait(c, elem);
    else if (o == NOT_OPEN)
        send_closed(c);
}

static __attribute__((noinline)) bool recv_any(struct chan *c, void *elem)
{
    if (!c)
        chan_block_forever(WAIT_CHAN_RECV_NIL);
    enum outcome o;
    spin_lock(&c->lock);
    recv_now(c, elem, c->elem_size, &o);
    if (o == DONE)
        return true;
    return o == WOULD_BLOCK ? recv_wait(c, elem) : recv_closed(c, elem);
}

void chan_send(struct chan *c, const void *elem)
{
    size_t n;
    enum outcome o;
    if (unlikely(!c || (n = c->elem_size) > ELEM_SMALL || !spin_trylock_inline(&c->lock))) {
        send_any(c, elem);
        return;
    }
    send_now(c, elem, n, &o);
    if (o == DONE)
        return;
    if (o == WOULD_BLOCK)
        send_wait(c, elem);
    else
        send_closed(c);
}

bool chan_recv(struct chan *c, void *elem)
{
    size_t n;
    enum outcome o;
    if (unlikely(!c || (n = c->elem_size) > ELEM_SMALL || !spin_trylock_inline(&c->lock)))
        return recv_any(c, elem);
    bool done = recv_now(c, elem, n, &o);
    if (o == DONE)
        return done;
    return o == WOULD_BLOCK ? recv_wait(c, elem) : recv_closed(c, elem);
}

// Whether an operation would surely have had to wait at some moment during the call, without the
// lock. Closing only ever goes one way: a channel seen open after it was seen empty (or full
// before) was both at once.
static inline bool surely_full(const struct chan *c)
{
    if (c->cap == 0)
        return !atomic_load_explicit(&c->recvq.head, memory_order_relaxed);
    return atomic_load_explicit(&c->count, memory_order_relaxed) == c->cap;
}

static inline bool surely_empty(const struct chan *c)
{
    if (c->cap == 0)
        return !atomic_load_explicit(&c->sendq.head, memory_order_acquire);
    return atomic_load_explicit(&c->count, memory_order_acquire) == 0;
}

static enum outcome try_send(struct chan *c, const void *elem)
{
    if (atomic_load_explicit(&c->state, memory_order_acquire) == CHAN_OPEN && surely_full(c))
        return WOULD_BLOCK;
    spin_lock_inline(&c->lock);
    enum outcome o;
    send_now(c, elem, c->elem_size, &o);
    if (o != DONE)
        spin_unlock_inline(&c->lock);
    return o;
}

bool chan_try_send(struct chan *c, const void *elem)
{
    if (!c)
        return false;
    enum outcome r = try_send(c, elem);
    if (unlikely(r == NOT_OPEN))
        chan_bad_send(c);
    return r == DONE;
}

bool chan_deliver(struct chan *c, const void *elem)
{
    return try_send(c, elem) == DONE;
}

int chan_try_recv(struct chan *c, void *elem)
{
    if (!c || (surely_empty(c) && chan_state(c) == CHAN_OPEN)) {
        errno = EAGAIN;
        return -1;
    }
    spin_lock_inline(&c->lock);
    enum outcome o;
    recv_now(c, elem, c->elem_size, &o);
    if (o == DONE)
        return 1;
    if (o == NOT_OPEN)
        return recv_closed(c, elem);
    spin_unlock_inline(&c->lock);
    errno = EAGAIN;
    return -1;
}

bool chan_send_deadline(struct chan *c, const void *elem, int64_t when)
{
    if (chan_try_send(c, elem))
        return true;
    struct chan_case send = { c, CHAN_SEND, (void *)(uintptr_t)elem, false };
    return chan_select_deadline(&send, 1, when) == 0;
}

int chan_recv_deadline(struct chan *c, void *elem, int64_t when)
{
    int r = chan_try_recv(c, elem);
    if (r >= 0)
        return r;
    struct chan_case recv = { c, CHAN_RECV, elem, false };
    return chan_select_deadline(&recv, 1, when) == 0 ? recv.ok : -1;
}

// Completes everyone waiting in q as by a close and adds them to the list of whom to ready. c->lock
// is held.
static unsigned release_all(struct chan *c, struct waitq *q, bool receivers, struct gqueue *list)
{
    unsigned n = 0;
    struct sudog *sg;
    while ((sg = waitq_pop(q)) != NULL) {
        if (receivers && sg->elem)
            memset(sg->elem, 0, c->elem_size);
        sg->success = false;
        sg->g->param = sg;
        gqueue_push(list, sg->g);
        n++;
    }
    return n;
}

void chan_close(struct chan *c)
{
    if (!c)
        go_panic("close of nil channel");
    struct gqueue list = { NULL, NULL };
    spin_lock(&c->lock);
    if (chan_state(c) != CHAN_OPEN) {
        spin_unlock(&c->lock);
        chan_check_closed(c);
        go_panic("close of closed channel");
    }
    atomic_store_explicit(&c->state, CHAN_CLOSED, memory_order_relaxed);
    unsigned n = release_all(c, &c->recvq, true, &list);
    n += release_all(c, &c->sendq, false, &list);
    spin_unlock(&c->lock);

    if (n == 1) {
        goready(list.head);
        return;
    }
    struct g *gp;
    while ((gp = gqueue_pop(&list)) != NULL)
        goready_tail(gp);
}

size_t chan_len(const struct chan *c)
{
    return c ? chan_count(c) : 0;
}

size_t chan_cap(const struct chan *c)
{
    return c ? c->cap : 0;
}

void chan_discard(struct chan *c)
{
    spin_lock(&c->lock);
    while (chan_count(c) > 0)
        buf_get(c, NULL, c->elem_size);
    spin_unlock(&c->lock);
}

void chan_free(struct chan *c)
{
    if (!c)
        return;
    uint32_t state = chan_state(c);
    if (state == CHAN_FREED)
        go_panic("free of freed channel");
    if (state != CHAN_OPEN && state != CHAN_CLOSED)
        throw("chan_free: %p is not a channel", (void *)c);
    if (c->timer)
        timer_disarm_sync(c->timer);
    spin_lock(&c->lock);
    state = chan_state(c);
    bool in_use = atomic_load_explicit(&c->recvq.head, memory_order_relaxed) ||
                  atomic_load_explicit(&c->sendq.head, memory_order_relaxed);
    if (!in_use)
        atomic_store_explicit(&c->state, CHAN_FREED, memory_order_relaxed);
    spin_unlock(&c->lock);
    if (state == CHAN_FREED)
        go_panic("free of freed channel");
    if (in_use)
        go_panic("free of channel in use");
    heap_free(c);
}
