// SPDX-License-Identifier: BSD-2-Clause
// Preemption. One hardware timer per core serves both the slice and the P's timers; it is armed for
// the earlier and only moved forward, so a spurious early interrupt is possible and harmless.
//
// Slice: while goroutines run, a tick comes every slice_ns. A goroutine that ran through a whole
// tick interval (the P's schedtick has not moved) has used up its slice: it is stopped after one to
// two slices, and the context switch itself never touches a clock. On a core without a P the tick
// dies out by itself.
//
// An interrupt stops a goroutine only if preempt_off is 0; otherwise it leaves preempt_pending, and
// the outermost preempt_enable yields. Handlers run with interrupts off, so on one core none of
// this races; what another core may do is set resched and send IPI_WAKE.

#include "sched/sched.h"

#include "kernel/clock.h"
#include "kernel/panic.h"
#include "sched/netpoll.h"
#include "sched/schedule_inline.h"
#include "sched/timer.h"
#include "sched/trace.h"

void preempt_arm(struct m *m, int64_t when_ns)
{
    if (when_ns >= m->hw_deadline_ns)
        return;
    bool on = arch_irq_save();
    if (when_ns < m->hw_deadline_ns) {
        m->hw_deadline_ns = when_ns;
        arch_timer_arm(when_ns);
    }
    arch_irq_restore(on);
}

void preempt_start_tick(struct m *m, struct p *p)
{
    bool on = arch_irq_save();
    m->tick_ns = clock_mono_ns() + sched.slice_ns;
    m->tick_seen = p->schedtick;
    if (m->tickless)
        tick_resumed(m);
    preempt_arm(m, m->tick_ns);
    arch_irq_restore(on);
}

// Arms for the next tick or timer. A timer that is due already, or a poller that is marked, is the
// scheduler's business.
static void rearm(struct m *m, int64_t now)
{
    int64_t next = m->tickless ? sysmon_next(now) : m->tick_ns;
    int64_t timer = guarded_next(m);
    if (m->p)
        timer = MIN(timer, timers_next(m->p));
    if (timer <= now)
        m_resched(m);
    else
        next = MIN(next, timer);
    if (netpoll_pending())
        m_resched(m);
    preempt_arm(m, next);
}

// The slice tick of m, on which gp runs. A blocking call is stopped by it too if it has to share
// the core.
static void tick(struct m *m, struct g *gp, int64_t now)
{
    struct p *p = m->p;
    bool whole = p && gp != m->g0 && p->schedtick == m->tick_seen;
    m->tick_ns = INT64_MAX;
    if (whole && tick_stop(m, p, gp))
        return;
    // Only without a P may it end otherwise: were it to end on a g0 that is about to resume a
    // goroutine and has looked at tick_ns already, that one would run for ever.
    if (p || m->blocked_p)
        m->tick_ns = now + sched.slice_ns;
    if (p)
        m->tick_seen = p->schedtick;
    if (whole || m->blocked_p) {
        m->slice_over = !m->block_grace;
        m->block_grace = false;
        m_resched(m);
    }
}

void preempt_timer_irq(void)
{
    struct g *gp = getg();
    struct m *m = gp->m;
    int64_t now = clock_mono_ns();
    trace_event(TRACE_IRQ_TIMER, 0, 0);
    m->hw_deadline_ns = INT64_MAX;
    m->now_ns = now;
    if (now >= m->tick_ns)
        tick(m, gp, now);
    sysmon(m, now);
    if (m->wake_later) {
        m->wake_later = false;
        if (m->p && (runq_len(m->p) > 0 ||
                     atomic_load_explicit(&sched.global_len, memory_order_relaxed) > 0))
            wakep();
    }
    rearm(m, now);
}

void preempt_wake_irq(void)
{
    trace_event(TRACE_IRQ_WAKE, 0, 0);
    struct g *gp = getg();
    struct m *m = gp->m;
    if (atomic_exchange_explicit(&m->preempt_asked, false, memory_order_seq_cst) &&
        gp != m->g0 && m->p) {
        m->slice_over = true;
        m_resched(m);
    }
    if (m->tickless && m->p)
        preempt_start_tick(m, m->p);
    rearm(m, clock_mono_ns());
}

bool preempt_irq_exit(void)
{
    struct g *gp = getg();
    struct m *m = gp->m;
    count(&m->n_irq);
    if (!atomic_load_explicit(&m->resched, memory_order_relaxed) || gp == m->g0)
        return false;
    if (unlikely(!m->p && gp->in_block))
        return block_irq(m, gp);
    // (Who resizes the world has no P for a moment, either.)
    if (gp->preempt_off > 0 || unlikely(!m->p)) {
        atomic_store_explicit(&gp->preempt_pending, true, memory_order_relaxed);
        return false;
    }
    return true;
}

// Timers and devices, for gp that was stopped for them; true if they readied something here, which
// gp then goes behind. Otherwise it goes on in its slice: behind other goroutines it would lose its
// turn to every packet. (A thief that takes runnext meanwhile makes this err to the safe side.)
static bool poll_readied(struct m *m, struct p *p)
{
    uint32_t tail = atomic_load_explicit(&p->runq.tail, memory_order_relaxed);
    struct g *next = atomic_load_explicit(&p->runq.next, memory_order_relaxed);
    uint32_t global = atomic_load_explicit(&sched.global_len, memory_order_relaxed);
    if (!atomic_load_explicit(&page_reserve_full[m->id], memory_order_relaxed))
        page_reserve_refill();
    return sched_poll(m, p) &&
           (tail != atomic_load_explicit(&p->runq.tail, memory_order_relaxed) ||
            next != atomic_load_explicit(&p->runq.next, memory_order_relaxed) ||
            global != atomic_load_explicit(&sched.global_len, memory_order_relaxed));
}

// gp is urgent. True: it is in the urgent queue. False: it has used up its slice and with it its
// turn before others. Otherwise it goes on, whatever has been readied.
static bool stopped_urgent(struct m *m, struct g *gp, bool slice_over)
{
    bool lent = atomic_load_explicit(&gp->urgency, memory_order_relaxed) != URGENT_OWN;
    if (slice_over && !lent)
        return false;
    poll_readied(m, m->p);
    if (!slice_over && !atomic_load_explicit(&sched.stopping, memory_order_seq_cst))
        run(m, gp, true);
    urgent_put(gp);
    return true;
}

// A goroutine that used up its slice goes to the end of the global queue.
void preempt_m(struct g *gp)
{
    struct m *m = getg()->m;
    if (unlikely(!m->p))
        block_stopped(m, gp);
    struct p *p = m->p;
    bool slice_over = m->slice_over;
    m->slice_over = false;
    g_set_status(gp, G_RUNNING, G_PREEMPTED);
    dropg(m, gp);
    count(&p->n_preempt);
    trace_event(TRACE_LEAVE, slice_over ? LEAVE_SLICE : LEAVE_PREEMPT, gp->id);
    g_set_status(gp, G_PREEMPTED, G_RUNNABLE);
    if (unlikely(is_urgent(gp)) && stopped_urgent(m, gp, slice_over)) {
        // It is queued.
    } else if (slice_over || HOSTILE) {
        globrunq_put(gp);
    } else if (poll_readied(m, p)) {
        // A tick has come since its slice began: behind everybody, for the slice that it would get
        // after the ring would be a whole one again, and the global queue would wait for that.
        if (p->schedtick == m->tick_seen)
            globrunq_put(gp);
        else
            runq_put_ring(p, gp);
    } else if (atomic_load_explicit(&m->look, memory_order_relaxed)) {
        // Something goes before it; then it goes on in its slice.
        runq_put(p, gp, true);
    } else {
        run(m, gp, true);
    }
    wakep();
    schedule();
}

// The goroutine lets itself be stopped.
static void stop_here(void)
{
    arch_mcall(preempt_m);
    struct g *gp = getg();
    if (unlikely(gp->in_block))
        block_resume(gp);
}

void preempt_park(void)
{
    stop_here();
}

bool preempt_yield_true(void)
{
    preempt_yield();
    return true;
}

void preempt_yield(void)
{
    struct g *gp = getg();
    // g0 is never preempted.
    if (gp->m == NULL || gp == gp->m->g0)
        return;
    preempt_disable();
    tick_look(gp);
    bool stop = atomic_load_explicit(&gp->m->resched, memory_order_relaxed) ||
                (HOSTILE && gp->m->p);
    preempt_enable_quiet();
    if (stop)
        stop_here();
}

// Context: not preemptible; p may belong to another core or to none.
void sched_timer_earlier(struct p *p, int64_t when_ns)
{
    struct m *mine = getg()->m;
    if (mine->p == p) {
        preempt_arm(mine, when_ns);
        return;
    }
    // The timer was published before; whoever takes p now reads next_ns after p->m. pairs: P-TIMERS
    atomic_thread_fence(memory_order_seq_cst);
    struct m *other = atomic_load_explicit(&p->m, memory_order_relaxed);
    if (!other)
        other = atomic_load_explicit(&p->guard, memory_order_relaxed);
    arch_send_ipi(other->id, IPI_WAKE);
}
