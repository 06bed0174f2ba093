// SPDX-License-Identifier: BSD-2-Clause
// The list of pollers and who polls them. A marker sets `pending` and then sees to it that somebody
// looks; a core that polls holds `busy`, clears `pending` before it polls and looks at it again
// after it has let go of `busy`. So a mark made while a poll ends is seen by the poller or by the
// marker's core. All of these accesses are sequentially consistent, as one half of the wake-up
// protocol in idle.c.

#include "sched/netpoll.h"

#include "kernel/clock.h"
#include "sched/sched.h"

#define REPOLL_NS 100000

static _Atomic(struct poller *) pollers; // pairs: POLLER-LIST
static _Atomic(int64_t) polled_ns;       // see netpoll_last_ns
static _Atomic(unsigned) outside;        // pollers that are not inside; only grows

void netpoll_register(struct poller *pl)
{
    if (!pl->inside)
        atomic_fetch_add_explicit(&outside, 1, memory_order_relaxed);
    struct poller *head = atomic_load_explicit(&pollers, memory_order_relaxed);
    do {
        pl->next = head;
        // pairs: POLLER-LIST
    } while (!atomic_compare_exchange_weak_explicit(&pollers, &head, pl, memory_order_release,
                                                    memory_order_relaxed));
}

void netpoll_mark(struct poller *pl)
{
    atomic_store_explicit(&pl->pending, 1, memory_order_seq_cst);
    m_resched(getg()->m);
}

void netpoll_mark_wake(struct poller *pl)
{
    preempt_disable();
    netpoll_mark(pl);
    wakep();
    preempt_enable();
}

bool netpoll_outside(void)
{
    return atomic_load_explicit(&outside, memory_order_relaxed) != 0;
}

void netpoll_mark_all(void)
{
    // pairs: POLLER-LIST
    struct poller *pl = atomic_load_explicit(&pollers, memory_order_acquire);
    for (; pl; pl = pl->next)
        if (!pl->inside)
            netpoll_mark(pl);
}

int64_t netpoll_last_ns(void)
{
    return atomic_load_explicit(&polled_ns, memory_order_relaxed);
}

static bool wants_poll(struct poller *pl)
{
    return atomic_load_explicit(&pl->pending, memory_order_seq_cst) &&
           !atomic_load_explicit(&pl->busy, memory_order_seq_cst);
}

bool netpoll_pending(void)
{
    // pairs: POLLER-LIST
    struct poller *pl = atomic_load_explicit(&pollers, memory_order_acquire);
    for (; pl; pl = pl->next)
        if (wants_poll(pl))
            return true;
    return false;
}

// One pass over pl; false if it is being polled elsewhere.
static bool poll_one(struct poller *pl)
{
    uint32_t idle = 0;
    // pairs: POLLER-BUSY
    if (!atomic_compare_exchange_strong_explicit(&pl->busy, &idle, 1, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return false;
    // An exchange, not a store: what the poll reads below stays behind it, so a mark that this
    // wipes out was made before, and the poll sees what it announced.
    atomic_exchange_explicit(&pl->pending, 0, memory_order_seq_cst);
    if (pl->poll(pl))
        atomic_store_explicit(&pl->pending, 1, memory_order_seq_cst);
    // pairs: POLLER-BUSY
    atomic_store_explicit(&pl->busy, 0, memory_order_seq_cst);
    return true;
}

bool netpoll(void)
{
    bool did = false;
    atomic_store_explicit(&polled_ns, getg()->m->now_ns, memory_order_relaxed);
    // pairs: POLLER-LIST
    struct poller *pl = atomic_load_explicit(&pollers, memory_order_acquire);
    for (; pl; pl = pl->next)
        if (wants_poll(pl))
            did |= poll_one(pl);
    // A poll is bounded so that goroutines run in between; what is still pending is announced again
    // a little later.
    if (netpoll_pending())
        preempt_arm(getg()->m, clock_mono_ns() + REPOLL_NS);
    return did;
}
