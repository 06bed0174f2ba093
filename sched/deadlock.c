// SPDX-License-Identifier: BSD-2-Clause
// The verdict that nothing will ever happen again, Go's checkdead.
//
// A goroutine that waits is readied by another goroutine, by a timer, or by something outside the
// machine. When every M is asleep no goroutine runs; when no queue holds one and no timer is armed
// that could wake one, only the outside is left: packets for a goroutine that waits in the network
// while there is a device for them to come by, or a disk. Without such a goroutine the machine
// would sleep for ever.
//
// What does not count: timers of the runtime's own (timer_arm, not timer_arm_vital), as those of
// TCP and ARP, because whom they wake waits in the network and counts himself; and goroutines of
// the runtime's own (go_system). On a machine without a device nothing comes from outside, but a
// TCP timer may still end a wait in the network, so there such a wait counts as long as any timer
// is armed. A goroutine in a blocking call holds its M, which then is not asleep. One that waits
// for console input sleeps in between, and has a timer.
//
// Who looks: every M about to sleep, so also the last one. That must be cheap: two loads unless all
// are asleep, then one a P, then one look at the goroutine that spared the machine last time. Only
// then does it take all Ps at once, by one compare-and-swap of idle_p, so that nothing moves while
// it walks over the goroutines. An M that wants a P meanwhile finds none and sleeps; therefore the
// caller looks round again when the Ps are back.
//
// Rejected: counting the goroutines that wait for the outside: two atomic operations on each wait
// in the network, for the sake of a machine that is dead.

#include <heddle/go.h>

#include "kernel/panic.h"
#include "sched/netpoll.h"
#include "sched/sched.h"
#include "sched/timer.h"

// A goroutine that waited for the outside when the machine was last found asleep. A hint.
static _Atomic(struct g *) spared_by;

static uint64_t mask_of(unsigned n)
{
    return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

static bool waits_for_outside(struct g *gp)
{
    if (atomic_load_explicit(&gp->is_system, memory_order_relaxed) ||
        atomic_load_explicit(&gp->status, memory_order_relaxed) != G_WAITING)
        return false;
    switch (atomic_load_explicit(&gp->wait_reason, memory_order_relaxed)) {
    case WAIT_ACCEPT:
    case WAIT_DIAL:
    case WAIT_NET_READ:
    case WAIT_NET_WRITE:
    case WAIT_PACKET:
    case WAIT_ARP:
    case WAIT_DHCP:
    case WAIT_DISK:
        return true;
    default:
        return false;
    }
}

static bool all_asleep(void)
{
    // Behind the bit this M has just set: of two that fall asleep the later sees both.
    return atomic_load_explicit(&sched.idle_p, memory_order_seq_cst) == mask_of(p_count()) &&
           atomic_load_explicit(&sched.idle_m, memory_order_seq_cst) == mask_of(sched.n_m);
}

static bool vital_timer(void)
{
    for (unsigned i = 0; i < sched.n_m; i++)
        if (atomic_load_explicit(&ps[i]->timers.n_vital, memory_order_relaxed) != 0)
            return true;
    return false;
}

static bool any_timer(void)
{
    for (unsigned i = 0; i < sched.n_m; i++)
        if (timers_next(ps[i]) != INT64_MAX)
            return true;
    return false;
}

static bool queued(void)
{
    for (unsigned i = 0; i < sched.n_m; i++)
        if (!runq_empty(ps[i]))
            return true;
    return atomic_load_explicit(&sched.global_len, memory_order_seq_cst) != 0 ||
           atomic_load_explicit(&sched.urgent_len, memory_order_seq_cst) != 0 || netpoll_pending();
}

// Whether somebody waits for the outside who may be woken from there.
static bool spared(void)
{
    if (!netpoll_outside() && !any_timer())
        return false;
    struct g *gp = atomic_load_explicit(&spared_by, memory_order_relaxed);
    if (gp && waits_for_outside(gp))
        return true;
    for (gp = g_all(); gp; gp = gp->all_next) {
        if (waits_for_outside(gp)) {
            atomic_store_explicit(&spared_by, gp, memory_order_relaxed);
            return true;
        }
    }
    return false;
}

// The same without the walk, and without holding the Ps: a stale answer is put right by the next M
// to fall asleep, since whoever made it stale is awake.
static bool surely_spared(void)
{
    struct g *gp = atomic_load_explicit(&spared_by, memory_order_relaxed);
    return gp && waits_for_outside(gp) && (netpoll_outside() || any_timer());
}

bool checkdead(struct m *m)
{
    if (!all_asleep() || vital_timer() || surely_spared())
        return false;
    uint64_t all = mask_of(p_count()), have = all;
    // pairs: IDLE-CLAIM
    if (!atomic_compare_exchange_strong_explicit(&sched.idle_p, &have, 0, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return false;
    // From here on nothing leaves a queue, no timer is armed or fires, no goroutine changes.
    if (atomic_load_explicit(&sched.idle_m, memory_order_seq_cst) == mask_of(sched.n_m) &&
        !vital_timer() && !queued() && !spared()) {
        if (go_count() == 0)
            throw("no goroutines (main called runtime.Goexit) - deadlock!");
        throw("all goroutines are asleep - deadlock!");
    }
    // pairs: IDLE-CLAIM
    atomic_fetch_or_explicit(&sched.idle_p, all, memory_order_seq_cst);
    for (unsigned i = 0; i < sched.n_m; i++)
        if (atomic_load_explicit(&ps[i]->guard, memory_order_relaxed) != m)
            nudge_guard(ps[i]);
    return true;
}
