// SPDX-License-Identifier: BSD-2-Clause
// The hot halves of ready and schedule, expanded where a goroutine's turn ends. What is not plain
// (an announcement, the global queue's turn, an empty queue, an idle P to wake) goes to the whole
// functions in proc.c and park.c, which do everything from the start.
//
// Every call left out saves a return, which costs an emulator that must look up where it leads ten
// times an instruction, and a processor a slot of its return predictor.
#ifndef SCHED_SCHEDULE_INLINE_H
#define SCHED_SCHEDULE_INLINE_H

#include "kernel/page.h"
#include "kernel/preempt.h"
#include "kernel/spin_inline.h"
#include "sched/runq_inline.h"
#include "sched/sched.h"
#include "sched/trace.h"

#define SCHED_HOT static inline __attribute__((always_inline))

// Context: g0 of m, which holds a P; gp is G_RUNNABLE and on no queue.
SCHED_HOT _Noreturn void run(struct m *m, struct g *gp, bool inherit_slice)
{
    struct p *p = m->p;
    g_set_status(gp, G_RUNNABLE, G_RUNNING);
    gp->m = m;
    m->curg = gp;
    atomic_store_explicit(&gp->preempt_pending, false, memory_order_relaxed);
    m->slice_over = false;
    p->schedtick += !inherit_slice;
    count(&p->n_switch);
    trace_hot(TRACE_RUN, 0, gp);
    if (unlikely(m->tick_ns == INT64_MAX))
        preempt_start_tick(m, p);
    arch_gogo(gp);
}

// Whether schedule() would look at nothing before p's own queue.
SCHED_HOT bool queue_comes_first(struct m *m, struct p *p)
{
    return !HOSTILE && !atomic_load_explicit(&m->look, memory_order_relaxed) &&
           p->global_in != 0 && m->g0->preempt_off == 0 &&
           atomic_load_explicit(&page_reserve_full[m->id], memory_order_relaxed);
}

// schedule() for an M that has just run a goroutine. Context: g0 of m, which holds a P.
SCHED_HOT _Noreturn void schedule_inline(struct m *m)
{
    struct p *p = m->p;
    if (likely(queue_comes_first(m, p))) {
        bool inherit;
        struct g *gp = runq_take(p, &inherit);
        if (likely(gp != NULL)) {
            p->global_in -= !inherit;
            run(m, gp, inherit);
        }
    }
    schedule();
}

// preempt_enable; always true: so a caller that returns true needs no frame for the rare yield.
SCHED_HOT bool enable_true(void)
{
    struct g *me = getg();
    barrier();
    uint32_t off = --me->preempt_off;
    barrier();
    if (off == 0 &&
        unlikely(HOSTILE || atomic_load_explicit(&me->preempt_pending, memory_order_relaxed)))
        return preempt_yield_true();
    return true;
}

// goready and preempt_enable in one, which the caller owes for a lock it has released with
// spin_release_inline. Always true, as enable_true.
SCHED_HOT bool ready_and_enable(struct g *gp)
{
    struct g *me = getg();
    struct m *m = me->m;
    trace_hot(TRACE_READY, 0, gp);
    g_set_status(gp, G_WAITING, G_RUNNABLE);
    if (unlikely(is_urgent(gp)))
        return ready_urgent(gp);
    struct g *kicked = runq_put_next(m->p, gp);
    if (unlikely(kicked || wake_wanted(m)))
        return ready_rest(kicked);
    return enable_true();
}

// goparkunlock. Context: as that.
SCHED_HOT void goparkunlock_inline(struct spinlock *l, enum wait_reason reason)
{
    struct g *gp = getg();
    struct m *m = gp->m;
    atomic_store_explicit(&gp->wait_reason, reason, memory_order_relaxed);
    gp->wait_since_ns = m->now_ns;
    // Holding l keeps the goroutine on this M until park_unlock_m has read it.
    m->park_arg = l;
    arch_mcall(park_unlock_m);
}

#endif
