// SPDX-License-Identifier: BSD-2-Clause
// Blocking calls: go_block_enter and go_block_exit, Go's entersyscall and exitsyscall.
//
// A goroutine in a blocking call has its core to itself and does nothing that the scheduler could
// see: it waits for a device in a loop, say, or runs code that must not be switched away from in
// order to be in time. It gives its P away for the time: the P is P_SYSCALL, still with the M
// (p->m), but m->p is NULL, and whoever changes the state by compare-and-swap has the P. If nobody
// did, coming back is that compare-and-swap and no more.
//
// Who takes the P: whoever stops the world; and, while there is work, the M itself, in its timer
// and wake-up interrupts (block_irq). It does so 20 µs after it entered, if goroutines were queued;
// when a timer or a device announces itself; at each slice tick. The P then is an idle P like any
// other, and a sleeping core is woken for it. sysmon does the same for an M that does not.
//
// When no core sleeps, nobody can take the idle P: an M is a core, and no more can be made. Then
// the goroutine is treated as one that computes: its M takes the P back and stops it
// (block_stopped), at the end of its slice, or at once for what is announced; it goes on when its
// turn has come, in its blocking call as before (block_resume). So on a machine with one core a
// blocking call shares the core with others instead of keeping it.
//
// Coming back after the P was taken: an idle P if there is one; else the goroutine goes to the
// global queue and its M to sleep.
//
// Rejected: to leave the P where it is when no core is free, as Go may, which has the operating
// system to share the core: the other goroutines would wait as long as the call takes. To count a
// blocking call as an ordinary computation throughout: with fewer Ps than cores (GOMAXPROCS) it
// would keep others from running, though a core is free.

#include <heddle/go.h>

#include "kernel/clock.h"
#include "kernel/panic.h"
#include "sched/netpoll.h"
#include "sched/sched.h"
#include "sched/timer.h"

#define GRACE_NS 20000

// grace: have a first look soon whether the P is needed. Context: preemption is off; m is the
// calling core's and holds a P.
static void enter(struct m *m, struct g *gp, bool grace)
{
    struct p *p = m->p;
    g_set_status(gp, G_RUNNING, G_SYSCALL);
    // An interrupt finds the P in m->p or in P_SYSCALL, else it would pass over the P's timers.
    bool on = arch_irq_save();
    gp->in_block = true;
    m->blocked_p = p;
    m->p = NULL;
    if (m->tick_ns == INT64_MAX)
        preempt_start_tick(m, p);
    if (grace && (!runq_empty(p) ||
                  atomic_load_explicit(&sched.global_len, memory_order_relaxed) != 0)) {
        m->block_grace = true;
        m->tick_ns = MIN(m->tick_ns, clock_mono_ns() + GRACE_NS);
        preempt_arm(m, m->tick_ns);
    }
    // What the goroutine and the scheduler did with it, for whoever takes it. pairs: P-SYSCALL
    p_set_status(p, P_RUNNING, P_SYSCALL);
    arch_irq_restore(on);
}

// True while the P of m, which is in a blocking call, has not been taken.
static bool still_has(struct m *m)
{
    struct p *p = m->blocked_p;
    return atomic_load_explicit(&p->m, memory_order_relaxed) == m &&
           atomic_load_explicit(&p->status, memory_order_relaxed) == P_SYSCALL;
}

bool block_take(struct p *p, enum p_status to)
{
    uint32_t was = P_SYSCALL;
    // pairs: P-SYSCALL
    if (!atomic_compare_exchange_strong_explicit(&p->status, &was, to, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return false;
    atomic_store_explicit(&p->m, NULL, memory_order_relaxed);
    return true;
}

int64_t block_timers_next(struct m *m)
{
    return m->blocked_p && still_has(m) ? timers_next(m->blocked_p) : INT64_MAX;
}

// Gives m a P again, its own if nobody took it; false if there is none. Context: preemption is off.
static bool regain(struct m *m)
{
    struct p *p = m->blocked_p;
    uint32_t was = P_SYSCALL;
    if (still_has(m) &&
        // pairs: P-SYSCALL
        atomic_compare_exchange_strong_explicit(&p->status, &was, P_RUNNING, memory_order_seq_cst,
                                                memory_order_relaxed)) {
        m->p = p;
        // It may have been taken by another M, which is in a blocking call by now: that one's loss.
        if (unlikely(atomic_load_explicit(&p->m, memory_order_relaxed) != m))
            own(m, p);
        // A timer interrupt just before found no P here.
        preempt_arm(m, timers_next(p));
    } else if ((p = pidle_get(p)) != NULL) {
        acquirep(m, p);
    } else {
        return false;
    }
    m->p->schedtick++;
    m->block_grace = false;
    m->blocked_p = NULL;
    return true;
}

// Context: g0 without a P. The blocking call is over and there is no P for gp.
static void exit_m(struct g *gp)
{
    struct m *m = getg()->m;
    gp->preempt_off--;
    gp->in_block = false;
    m->oldp = m->blocked_p;
    m->blocked_p = NULL;
    m->block_grace = false;
    g_set_status(gp, G_SYSCALL, G_RUNNABLE);
    dropg(m, gp);
    if (unlikely(is_urgent(gp)))
        urgent_put_elsewhere(gp);
    else
        globrunq_put(gp);
    idle_without_p(m);
    schedule();
}

void go_block_enter(void)
{
    struct g *gp = getg();
    if (unlikely(gp->in_block))
        go_panic("go_block_enter: already in a blocking call");
    preempt_disable();
    enter(gp->m, gp, true);
    preempt_enable();
}

void go_block_exit(void)
{
    struct g *gp = getg();
    if (unlikely(!gp->in_block))
        go_panic("go_block_exit: not in a blocking call");
    preempt_disable();
    if (unlikely(!regain(gp->m))) {
        arch_mcall(exit_m);
        return;
    }
    gp->in_block = false;
    g_set_status(gp, G_SYSCALL, G_RUNNING);
    preempt_enable();
}

bool block_irq(struct m *m, struct g *gp)
{
    bool stop = false;
    atomic_store_explicit(&m->resched, false, memory_order_seq_cst);
    if (work_published(m)) {
        if (still_has(m) && block_take(m->blocked_p, P_IDLE))
            pidle_put(m->blocked_p);
        wake_now();
        // No core is free for the P: this one is. Goroutines that are merely queued get it at the
        // end of a slice.
        bool now = m->slice_over || netpoll_pending() || guarded_next(m) <= clock_mono_ns() ||
                   atomic_load_explicit(&sched.urgent_len, memory_order_seq_cst) != 0;
        stop = now && atomic_load_explicit(&sched.idle_p, memory_order_seq_cst) != 0 &&
               atomic_load_explicit(&sched.idle_m, memory_order_seq_cst) == 0;
        if (!stop && netpoll_pending())
            pass_on_netpoll(m);
        // A core that was looking already, and so was not woken, may have gone to sleep without
        // them: before it sleeps an M looks only at timers that it guards. So this one looks again
        // until they are another's.
        if (!stop && guarded_next(m) <= clock_mono_ns())
            preempt_arm(m, clock_mono_ns() + GRACE_NS);
    }
    if (!stop) {
        m->slice_over = false;
        return false;
    }
    // resched stays clear: the next interrupt is not to stop gp once more before it gets there.
    if (gp->preempt_off == 0)
        return true;
    atomic_store_explicit(&m->resched, true, memory_order_relaxed);
    atomic_store_explicit(&gp->preempt_pending, true, memory_order_relaxed);
    return false;
}

void block_stopped(struct m *m, struct g *gp)
{
    if (regain(m)) {
        g_set_status(gp, G_SYSCALL, G_RUNNING);
        return;
    }
    // Somebody came for the P after all.
    m->slice_over = false;
    atomic_store_explicit(&gp->preempt_pending, false, memory_order_relaxed);
    atomic_store_explicit(&m->resched, false, memory_order_seq_cst);
    // What a device announced up to here is the new owner's to look at.
    if (netpoll_pending())
        pass_on_netpoll(m);
    arch_gogo(gp);
}

void block_resume(struct g *gp)
{
    preempt_disable();
    // It may have been stopped once more on the way here, and have done this.
    if (atomic_load_explicit(&gp->status, memory_order_relaxed) == G_RUNNING)
        enter(gp->m, gp, false);
    preempt_enable_quiet();
}
