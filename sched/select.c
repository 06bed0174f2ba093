// SPDX-License-Identifier: BSD-2-Clause
// Select: waiting on several channels at once.
//
// Pass 0 looks at the cases in random order without a lock, locks the channel of one that seems
// ready, and runs it if it is: a select whose case is ready then costs one lock. That it saw none
// ready means nothing, as it looked at them at different times.
//
// Pass 1 takes the locks of all channels in the order of their addresses and looks at the cases in
// random order; one that can run, runs. Pass 2 queues a record for each case and parks; the locks
// are released once the goroutine has left its stack. Pass 3, woken, takes the records that did not
// win off their queues.
//
// A goroutine waiting in many queues is woken once: whoever finds one of its records claims struct
// select_wait (waitq_pop), and a record whose goroutine is claimed already is dropped. A deadline
// is one more party that may claim: its timer lies with the records on the waiter's stack.
//
// When the records may go: pass 3 takes the lock of every record but the winner's, even if the
// record is no longer queued, since another core may hold that lock while it looks at a record it
// lost. The winner's waker has released its lock before it readied the goroutine. For the same
// reason the commit function may go on using the goroutine's stack until it has released its last
// lock, and not after that.
//
// Parking with several locks: spin_unlock_g would count down the goroutine's preempt_off one by
// one, but after the first release (or once the timer is armed) it may run on another core and use
// that count itself. So commit first moves the whole count to g0 and then releases as g0.
//
// Locks: several LOCK_CHAN in address order, LOCK_TIMERS inside them.

#include <errno.h>
#include <heddle/chan.h>
#include <heddle/go.h>

#include "kernel/clock.h"
#include "kernel/heap.h"
#include "kernel/panic.h"
#include "kernel/preempt.h"
#include "kernel/spin_inline.h"
#include "sched/chan.h"
#include "sched/park.h"
#include "sched/schedule_inline.h"
#include "sched/timer.h"

enum { CASES_MAX = 65535, CASES_ON_STACK = 32 };

struct selection {
    struct chan_case *cases;
    unsigned n;           // cases that have a channel, in poll
    unsigned n_locks;     // distinct channels, in locks
    struct chan **locks;  // by address
    struct sudog *sudogs; // one for each of poll, in the same order
    uint16_t *poll;       // indices of cases in random order
    int64_t deadline_ns;  // INT64_MAX: none
    struct chan *bad;     // result: the case sends on this channel, which is not open
    bool closed;          // result: it waited to send, and the channel was closed
    struct select_wait wait;
    struct timer timer;
};

static inline bool before(const struct chan *a, const struct chan *b)
{
    return (uintptr_t)a < (uintptr_t)b;
}

static void sift_down(struct chan **a, unsigned at, unsigned n)
{
    struct chan *x = a[at];
    for (unsigned child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(a[child], a[child + 1]))
            child++;
        if (!before(x, a[child]))
            break;
        a[at] = a[child];
    }
    a[at] = x;
}

// Few by insertion, many by heap sort: no extra memory and never quadratic in thousands.
static void sort_locks(struct chan **a, unsigned n)
{
    if (n <= 12) {
        for (unsigned i = 1; i < n; i++) {
            struct chan *x = a[i];
            unsigned j = i;
            for (; j > 0 && before(x, a[j - 1]); j--)
                a[j] = a[j - 1];
            a[j] = x;
        }
        return;
    }
    for (unsigned i = n / 2; i-- > 0;)
        sift_down(a, i, n);
    while (--n > 0) {
        struct chan *last = a[n];
        a[n] = a[0];
        a[0] = last;
        sift_down(a, 0, n);
    }
}

// Sorts the channels of all cases and takes out the duplicates.
static void make_lock_order(struct selection *s)
{
    struct chan **a = s->locks;
    unsigned k = 0;
    sort_locks(a, s->n);
    for (unsigned i = 0; i < s->n; i++) {
        if (k == 0 || a[i] != a[k - 1])
            a[k++] = a[i];
    }
    s->n_locks = k;
}

// Fills poll with a random permutation of the cases that have a channel, and locks with their
// channels.
static void make_poll_order(struct selection *s, unsigned n)
{
    struct chan_case *cases = s->cases;
    uint16_t *poll = s->poll;
    unsigned k = 0;
    struct g *gp = getg();
    if (unlikely(gp->rand_state == 0))
        gp->rand_state = (uint32_t)((uintptr_t)gp >> 4) | 1;
    uint32_t r = rand_next(&gp->rand_state);
    for (unsigned i = 0; i < n; i++) {
        if (!cases[i].c)
            continue;
        r = r * 1664525u + 1013904223u;
        unsigned at = (unsigned)(((uint64_t)r * (k + 1)) >> 32);
        poll[k] = poll[at];
        poll[at] = (uint16_t)i;
        s->locks[k++] = cases[i].c;
    }
    s->n = k;
}

static inline void lock_all(struct selection *s)
{
    for (unsigned i = 0; i < s->n_locks; i++)
        spin_lock_inline(&s->locks[i]->lock);
}

static inline void unlock_all(struct selection *s)
{
    for (unsigned i = s->n_locks; i-- > 0;)
        spin_unlock_inline(&s->locks[i]->lock);
}

enum ran { NOT_READY, RAN, SEND_CLOSED };

// Runs the case if that is possible at once; *wake is to be readied when the locks are released.
// All are held.
static inline __attribute__((always_inline)) enum ran run_case(struct chan_case *k, struct g **wake)
{
    struct chan *c = k->c;
    struct sudog *sg;
    bool open = chan_state(c) == CHAN_OPEN;
    if (k->op == CHAN_SEND) {
        if (!open)
            return SEND_CLOSED;
        k->ok = true;
        if ((sg = waitq_pop(&c->recvq)) != NULL) {
            *wake = give(sg, k->elem, c->elem_size);
            return RAN;
        }
        if (chan_count(c) == c->cap)
            return NOT_READY;
        buf_put(c, k->elem, c->elem_size);
        return RAN;
    }
    k->ok = true;
    if ((sg = waitq_pop(&c->sendq)) != NULL) {
        *wake = take(c, sg, k->elem, c->elem_size);
        return RAN;
    }
    if (chan_count(c) > 0) {
        buf_get(c, k->elem, c->elem_size);
        return RAN;
    }
    k->ok = false;
    if (open)
        return NOT_READY;
    if (k->elem)
        memset(k->elem, 0, c->elem_size);
    return RAN;
}

// Whether it is worth taking the lock.
static inline bool seems_ready(const struct chan_case *k)
{
    const struct chan *c = k->c;
    if (chan_state(c) != CHAN_OPEN)
        return true;
    if (k->op == CHAN_SEND)
        return atomic_load_explicit(&c->recvq.head, memory_order_relaxed) ||
               chan_count(c) < c->cap;
    return chan_count(c) > 0 || atomic_load_explicit(&c->sendq.head, memory_order_relaxed);
}

// Pass 0. No lock is held. -1: nothing has been done.
static inline int run_seen(struct selection *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct g *wake = NULL;
        struct chan_case *k = &s->cases[s->poll[i]];
        if (!seems_ready(k))
            continue;
        spin_lock_inline(&k->c->lock);
        enum ran r = run_case(k, &wake);
        spin_release_inline(&k->c->lock);
        if (wake)
            ready_and_enable(wake);
        else
            enable_true();
        if (r == SEND_CLOSED)
            s->bad = k->c;
        if (r != NOT_READY)
            return s->poll[i];
    }
    return -1;
}

// Pass 1. All locks are held; they are released unless the result is -1: no case could run.
static int run_ready(struct selection *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct g *wake = NULL;
        struct chan_case *k = &s->cases[s->poll[i]];
        enum ran r = run_case(k, &wake);
        if (r == NOT_READY)
            continue;
        unlock_all(s);
        if (wake)
            goready(wake);
        if (r == SEND_CLOSED)
            s->bad = k->c;
        return s->poll[i];
    }
    return -1;
}

// Context: g0 (a timer function).
static void deadline_passed(void *arg)
{
    struct select_wait *w = arg;
    struct g *gp = w->g;
    if (!select_claim(w))
        return;
    gp->param = NULL;
    goready_tail(gp);
}

// Context: g0. See the head of this file for what may be touched when.
static bool select_commit(struct g *gp, void *arg)
{
    struct selection *s = arg;
    unsigned n = s->n_locks;
    gp->preempt_off -= n;
    getg()->preempt_off += n;
    if (s->deadline_ns != INT64_MAX)
        timer_arm_new(&s->timer, s->deadline_ns, deadline_passed, &s->wait, !gp->is_system);
    for (unsigned i = 0; i < n; i++)
        spin_unlock_inline(&s->locks[i]->lock);
    return true;
}

static inline struct waitq *queue_of(const struct chan_case *k)
{
    return k->op == CHAN_SEND ? &k->c->sendq : &k->c->recvq;
}

// Pass 2. All locks are held.
static inline void queue_all(struct selection *s, struct g *gp)
{
    atomic_init(&s->wait.claimed, 0);
    s->wait.g = gp;
    gp->param = NULL;
    for (unsigned i = 0; i < s->n; i++) {
        struct sudog *sg = &s->sudogs[i];
        struct chan_case *k = &s->cases[s->poll[i]];
        sg->g = gp;
        sg->elem = k->elem;
        sg->wait = &s->wait;
        sg->index = s->poll[i];
        sg->success = false;
        waitq_push(queue_of(k), sg);
    }
}

// Pass 3. No lock is held.
static inline void unqueue_all(struct selection *s, const struct sudog *won)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct sudog *sg = &s->sudogs[i];
        if (sg == won)
            continue;
        struct chan_case *k = &s->cases[sg->index];
        struct chan *c = k->c;
        spin_lock_inline(&c->lock);
        if (sg->queued)
            waitq_remove(queue_of(k), sg);
        spin_unlock_inline(&c->lock);
    }
}

// Passes 2 and 3. All locks are held, none on return. The record that won, NULL when the deadline
// did.
static struct sudog *wait_for_one(struct selection *s)
{
    struct g *gp = getg();
    queue_all(s, gp);
    gopark(select_commit, s, WAIT_SELECT);
    struct sudog *won = gp->param;
    if (s->deadline_ns != INT64_MAX)
        timer_disarm_sync(&s->timer);
    unqueue_all(s, won);
    return won;
}

static int select_run(struct selection *s, unsigned n, bool block)
{
    make_poll_order(s, n);
    int ran = run_seen(s);
    if (ran >= 0)
        return ran;
    make_lock_order(s);
    lock_all(s);
    ran = run_ready(s);
    if (ran >= 0)
        return ran;
    if (!block || (s->deadline_ns != INT64_MAX && clock_mono_ns() >= s->deadline_ns)) {
        unlock_all(s);
        errno = block ? ETIMEDOUT : EAGAIN;
        return -1;
    }
    struct sudog *won = wait_for_one(s);
    if (!won) {
        errno = ETIMEDOUT;
        return -1;
    }
    struct chan_case *k = &s->cases[won->index];
    k->ok = won->success;
    // Whoever closed the channel may have freed it since, so it is not looked at again.
    s->closed = !k->ok && k->op == CHAN_SEND;
    return won->index;
}

static int select_with(struct selection *s, char *memory, unsigned n, bool block)
{
    s->sudogs = (struct sudog *)memory;
    s->locks = (struct chan **)(s->sudogs + n);
    s->poll = (uint16_t *)(s->locks + n);
    return select_run(s, n, block);
}

static int select_any(struct chan_case *cases, int n, bool block, int64_t deadline_ns)
{
    if (n < 0 || n > CASES_MAX) {
        errno = EINVAL;
        return -1;
    }
    struct selection s;
    s.cases = cases;
    s.deadline_ns = deadline_ns;
    s.bad = NULL;
    s.closed = false;
    size_t bytes = (size_t)n * (sizeof(struct sudog) + sizeof(struct chan *) + sizeof(uint16_t));
    int ran;
    if (n <= CASES_ON_STACK) {
        // Just what is needed, so that a select of two does not reach into another page of stack.
        ran = select_with(&s, __builtin_alloca(bytes + 1), (unsigned)n, block);
    } else {
        char *memory = heap_alloc(bytes);
        if (!memory) {
            errno = ENOMEM;
            return -1;
        }
        ran = select_with(&s, memory, (unsigned)n, block);
        heap_free(memory);
    }
    if (unlikely(s.bad))
        chan_bad_send(s.bad);
    if (unlikely(s.closed))
        go_panic("send on closed channel");
    return ran;
}

int chan_select(struct chan_case *cases, int n, bool block)
{
    if (n == 0 && block)
        chan_block_forever(WAIT_SELECT_EMPTY);
    if (n == 1 && block && cases->c) {
        cases->ok = true;
        if (cases->op == CHAN_SEND)
            chan_send(cases->c, cases->elem);
        else
            cases->ok = chan_recv(cases->c, cases->elem);
        return 0;
    }
    return select_any(cases, n, block, INT64_MAX);
}

int chan_select_deadline(struct chan_case *cases, int n, int64_t when)
{
    return select_any(cases, n, true, when);
}
