// SPDX-License-Identifier: BSD-2-Clause
// The inside of channels, shared by chan.c and select.c.
#ifndef SCHED_CHAN_H
#define SCHED_CHAN_H

#include <heddle/chan.h>
#include <string.h>

#include "sched/g.h"

// Claimed by whoever wakes a goroutine that waits in several places at once: the first takes it.
struct select_wait {
    _Atomic(uint32_t) claimed;
    struct g *g;
};

// One goroutine waiting on one channel. It lies on the waiter's own stack: a stack does not move,
// and if it has gone cold meanwhile, touching the record faults it back in at the same address.
// guard: the channel's lock while queued.
struct sudog {
    struct g *g;
    struct sudog *next, *prev;
    void *elem;               // where to copy to or from; a receiver's may be NULL
    struct select_wait *wait; // NULL for a plain send or receive
    uint16_t index;           // of the select case
    bool queued;
    bool success;             // by the waker: an element was handed over; false: closed
};

struct waitq {
    _Atomic(struct sudog *) head; // written under the lock, read as a hint
    struct sudog *tail;
};

enum chan_state { CHAN_OPEN = 0x6f70656e, CHAN_CLOSED = 0x636c6f73, CHAN_FREED = 0x66726565 };

// The first line is all that an unbuffered hand-over touches. lock guards everything but elem_size,
// cap, timer. What the heap overwrites in a freed object are cap and elem_size, so that use after
// free is noticed for a while.
struct chan {
    size_t cap;
    size_t elem_size;
    _Atomic(size_t) count;     // elements buffered; written under the lock, read as a hint
    struct spinlock lock;
    _Atomic(uint32_t) state;   // enum chan_state; written under the lock
    struct waitq recvq, sendq; // one of them is empty, but for a select that waits in both

    _Alignas(CACHE_LINE) char *put; // where the next element goes, and where the oldest is
    char *get;
    char *buf, *end;
    struct timer *timer; // of time_after, else NULL
};

_Static_assert(sizeof(struct chan) == 2 * CACHE_LINE, "a channel is two lines");

// Elements up to this size are copied without a call, their two halves overlapping.
#define ELEM_SMALL 16

#define CHAN_HOT static inline __attribute__((always_inline))

CHAN_HOT void elem_copy(void *dst, const void *src, size_t n)
{
    char *d = dst;
    const char *s = src;
    if (n == 8) {
        __builtin_memcpy(d, s, 8);
    } else if (n == 4) {
        __builtin_memcpy(d, s, 4);
    } else if (n > ELEM_SMALL) {
        memcpy(d, s, n);
    } else if (n >= 8) {
        uint64_t last;
        __builtin_memcpy(&last, s + n - 8, 8);
        __builtin_memcpy(d, s, 8);
        __builtin_memcpy(d + n - 8, &last, 8);
    } else if (n >= 4) {
        uint32_t last;
        __builtin_memcpy(&last, s + n - 4, 4);
        __builtin_memcpy(d, s, 4);
        __builtin_memcpy(d + n - 4, &last, 4);
    } else if (n > 0) {
        char middle = s[n / 2], last = s[n - 1];
        d[0] = s[0];
        d[n / 2] = middle;
        d[n - 1] = last;
    }
}

static inline uint32_t chan_state(const struct chan *c)
{
    return atomic_load_explicit(&c->state, memory_order_relaxed);
}

static inline size_t chan_count(const struct chan *c)
{
    return atomic_load_explicit(&c->count, memory_order_relaxed);
}

// The functions below: c->lock is held; n is c->elem_size, read once by the caller.

static inline void waitq_push(struct waitq *q, struct sudog *sg)
{
    sg->next = NULL;
    sg->prev = q->tail;
    sg->queued = true;
    if (q->tail)
        q->tail->next = sg;
    else
        atomic_store_explicit(&q->head, sg, memory_order_relaxed);
    q->tail = sg;
}

static inline void waitq_remove(struct waitq *q, struct sudog *sg)
{
    if (sg->prev)
        sg->prev->next = sg->next;
    else
        atomic_store_explicit(&q->head, sg->next, memory_order_relaxed);
    if (sg->next)
        sg->next->prev = sg->prev;
    else
        q->tail = sg->prev;
    sg->queued = false;
}

// True for one caller only: it will ready the goroutine.
static inline bool select_claim(struct select_wait *w)
{
    uint32_t no = 0;
    return atomic_compare_exchange_strong_explicit(&w->claimed, &no, 1, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

// The waiter that came first and is still to be had; it is the caller's to ready. NULL: none.
CHAN_HOT struct sudog *waitq_pop(struct waitq *q)
{
    struct sudog *sg;
    while ((sg = atomic_load_explicit(&q->head, memory_order_relaxed)) != NULL) {
        struct sudog *next = sg->next;
        atomic_store_explicit(&q->head, next, memory_order_relaxed);
        if (next)
            next->prev = NULL;
        else
            q->tail = NULL;
        sg->queued = false;
        if (likely(!sg->wait) || select_claim(sg->wait))
            return sg;
    }
    return NULL;
}

CHAN_HOT char *buf_next(const struct chan *c, char *at, size_t n)
{
    at += n;
    return at == c->end ? c->buf : at;
}

CHAN_HOT void buf_put(struct chan *c, const void *elem, size_t n)
{
    elem_copy(c->put, elem, n);
    c->put = buf_next(c, c->put, n);
    atomic_store_explicit(&c->count, chan_count(c) + 1, memory_order_relaxed);
}

CHAN_HOT void buf_get(struct chan *c, void *elem, size_t n)
{
    if (elem)
        elem_copy(elem, c->get, n);
    c->get = buf_next(c, c->get, n);
    atomic_store_explicit(&c->count, chan_count(c) - 1, memory_order_relaxed);
}

// Completes a claimed receiver with *elem. Returns whom to ready once no channel lock is held.
CHAN_HOT struct g *give(struct sudog *receiver, const void *elem, size_t n)
{
    struct g *gp = receiver->g;
    if (receiver->elem)
        elem_copy(receiver->elem, elem, n);
    receiver->success = true;
    gp->param = receiver;
    return gp;
}

// Receives into *elem from a claimed sender: directly, or the oldest buffered element, whose place
// in the full buffer the sender's takes. Returns whom to ready once no channel lock is held.
CHAN_HOT struct g *take(struct chan *c, struct sudog *sender, void *elem, size_t n)
{
    struct g *gp = sender->g;
    if (c->cap == 0) {
        if (elem)
            elem_copy(elem, sender->elem, n);
    } else {
        buf_get(c, elem, n);
        buf_put(c, sender->elem, n);
    }
    sender->success = true;
    gp->param = sender;
    return gp;
}

// chan.c

// A channel with an unarmed timer that chan_free disarms.
struct chan *chan_make_timed(size_t elem_size, size_t capacity);
// chan_try_send that drops the element if the channel is closed. Context: also g0 (timer
// functions).
bool chan_deliver(struct chan *c, const void *elem);
// Drops what is buffered, which nobody waits to add to.
void chan_discard(struct chan *c);
// Panics for a channel that is not open: "send on closed channel", or what else is wrong with it.
// No lock is held.
_Noreturn void chan_bad_send(const struct chan *c);
// Panics if the channel, found not open, is not merely closed. No lock is held.
void chan_check_closed(const struct chan *c);
// Parks the caller for good.
_Noreturn void chan_block_forever(enum wait_reason reason);

#endif
