// SPDX-License-Identifier: BSD-2-Clause
// The schedule loop: what an M does on its g0 between two goroutines.
//
// Order of looking for work, as in Go: every 61st time the global queue first; then runnext and the
// local ring; then the global queue, the network, other Ps. A device or a due timer announces
// itself in m->resched, and then the network and the timers are looked at before the local queue,
// so that what they ready waits for no queue of hogs but only for its turn in the ring.
//
// Everything here runs on g0 with interrupts on. Interrupt handlers never touch a queue, a P or a
// G's state.

#include "sched/sched.h"

#include "kernel/clock.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "sched/netpoll.h"
#include "sched/schedule_inline.h"
#include "sched/timer.h"
#include "sched/trace.h"

struct sched sched;
struct m ms[MAX_CORES];
struct p *ps[MAX_CORES];

void g_bad_status(const struct g *gp, enum g_status from, enum g_status to)
{
    throw("g_set_status: goroutine %lu is in state %u, not %u, on its way to %u",
          (unsigned long)gp->id, atomic_load_explicit(&gp->status, memory_order_relaxed), from, to);
}

void p_bad_status(const struct p *p, enum p_status from, enum p_status to)
{
    throw("p_set_status: P %u is in state %u, not %u, on its way to %u", p->id,
          atomic_load_explicit(&p->status, memory_order_relaxed), from, to);
}

void execute(struct g *gp, bool inherit_slice)
{
    run(getg()->m, gp, inherit_slice);
}

// Something is in the global queue: a goroutine that runs alone now has to share.
static inline void kick_tickless(void)
{
    // pairs: TICKLESS
    if (atomic_load_explicit(&sched.tickless, memory_order_seq_cst) != 0)
        tick_kick_all();
}

void globrunq_put(struct g *gp)
{
    spin_lock(&sched.lock);
    gqueue_push(&sched.global, gp);
    atomic_store_explicit(&sched.global_len, sched.global_len + 1, memory_order_seq_cst);
    spin_unlock(&sched.lock);
    kick_tickless();
}

void globrunq_put_list(struct gqueue *q, uint32_t n)
{
    spin_lock(&sched.lock);
    if (sched.global.tail)
        sched.global.tail->link = q->head;
    else
        sched.global.head = q->head;
    sched.global.tail = q->tail;
    atomic_store_explicit(&sched.global_len, sched.global_len + n, memory_order_seq_cst);
    spin_unlock(&sched.lock);
    kick_tickless();
}

bool globrunq_remove(struct g *gp)
{
    spin_lock(&sched.lock);
    bool found = gqueue_remove(&sched.global, gp);
    if (found)
        atomic_store_explicit(&sched.global_len, sched.global_len - 1, memory_order_seq_cst);
    spin_unlock(&sched.lock);
    return found;
}

void runq_overflow(struct g *first, struct g *last, uint32_t n)
{
    struct gqueue q = { first, last };
    globrunq_put_list(&q, n);
}

struct g *globrunq_get(struct p *p, uint32_t max)
{
    if (atomic_load_explicit(&sched.global_len, memory_order_relaxed) == 0)
        return NULL;
    spin_lock(&sched.lock);
    uint32_t len = atomic_load_explicit(&sched.global_len, memory_order_relaxed);
    uint32_t n = MIN(len, len / p_count() + 1);
    n = MIN(n, max ? max : RUNQ_SIZE / 2);
    struct g *first = n ? gqueue_pop(&sched.global) : NULL;
    // They are in p's ring before they are gone from here: a core on its way to sleep, which looks
    // at both, sees them in one of the two.
    for (uint32_t i = 1; i < n; i++)
        runq_put_ring(p, gqueue_pop(&sched.global));
    atomic_store_explicit(&sched.global_len, len - n, memory_order_seq_cst);
    spin_unlock(&sched.lock);
    return first;
}

bool sched_poll(struct m *m, struct p *p)
{
    bool did = false;
    // What is announced after this is looked at after this: the exchange keeps the loads below
    // behind it.
    // pairs: M-LOOK
    atomic_exchange_explicit(&m->look, false, memory_order_acq_rel);
    atomic_exchange_explicit(&m->resched, false, memory_order_seq_cst);
    int64_t next = MIN(timers_next(p), guarded_next(m));
    if (next != INT64_MAX) {
        int64_t now = m->now_ns = clock_mono_ns();
        if (next <= now) {
            timers_run(p, now);
            run_guarded_timers(m, now);
            if (unlikely(m->schedtrace_ns <= now))
                schedtrace_print(m, now);
            did = true;
        }
        preempt_arm(m, MIN(timers_next(p), guarded_next(m)));
    }
    if (netpoll_pending() && netpoll()) {
        count(&p->n_netpoll);
        trace_event(TRACE_POLL, 0, 0);
        did = true;
    }
    // The next pick attends to it.
    if (unlikely(sched_attention()))
        atomic_store_explicit(&m->look, true, memory_order_relaxed);
    return did;
}

// Sees to what goes before the run queues; a goroutine to run, or NULL. The M holds a P before and
// after, not always the same. Context: g0, not while a goroutine is in hand.
static __attribute__((noinline)) struct g *attend(struct m *m)
{
    while (atomic_load_explicit(&sched.stopping, memory_order_seq_cst)) {
        stop_m(m);
        // What was announced while the P was on its way here has been looked at by nobody.
        sched_poll(m, m->p);
    }
    return urgent_get(m->p);
}

static void stop_spinning(struct m *m)
{
    m->spinning = false;
    uint32_t was = atomic_fetch_sub_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
    if (unlikely(was == 0))
        throw("stop_spinning: no M was counted as spinning");
}

// The last spinning M to find work wakes another to look on: so all Ps come up one by one while
// there is work, and no more than one is awake in vain.
static __attribute__((noinline)) void found_while_spinning(struct m *m)
{
    stop_spinning(m);
    searched_with_success();
    // Whoever queued one relies on the core that was looking: it may have looked there before.
    if (atomic_load_explicit(&sched.urgent_len, memory_order_seq_cst) != 0)
        m_resched(m);
    wakep();
}

// One pass over the other Ps in random order: from a random start in steps that share no factor
// with their number. On the last pass also their timers and runnext.
static struct g *steal_round(struct m *m, struct p *p, bool last)
{
    uint32_t n = p_count();
    uint32_t r = rand_next(&m->rand_state);
    uint32_t start = r % n;
    uint32_t step = sched.coprimes[(r >> 8) % sched.n_coprimes];
    for (uint32_t i = 0, at = start; i < n; i++, at = (at + step) % n) {
        struct p *victim = ps[at];
        if (victim == p)
            continue;
        if (last && timers_next(victim) <= clock_mono_ns()) {
            timers_run(victim, clock_mono_ns());
            struct g *gp = runq_get(p, &(bool){ false });
            if (gp)
                return gp;
        }
        struct g *gp = runq_steal(p, victim, last);
        if (gp) {
            count(&p->n_steal);
            trace_event(TRACE_STEAL, 0, victim->id);
            return gp;
        }
    }
    return NULL;
}

static __attribute__((noinline)) struct g *steal_work(struct m *m, struct p *p)
{
    unsigned busy = p_count() - pidle_count();
    if (p_count() == 1)
        return NULL;
    if (!m->spinning) {
        if (2 * atomic_load_explicit(&sched.nmspinning, memory_order_relaxed) >= busy)
            return NULL;
        m->spinning = true;
        atomic_fetch_add_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
    }
    enum { ROUNDS = 4 };
    for (int i = 0; i < ROUNDS; i++) {
        struct g *gp = steal_round(m, p, HOSTILE || i == ROUNDS - 1);
        if (gp)
            return gp;
        arch_relax();
    }
    return NULL;
}

// Finds a goroutine to run; sleeps until there is one. The M holds a P before and after, not always
// the same.
static __attribute__((noinline)) struct g *find_runnable(struct m *m, bool *inherit)
{
    for (;;) {
        struct p *p = m->p;
        sched_poll(m, p);
        struct g *gp = unlikely(sched_attention()) ? attend(m) : NULL;
        p = m->p;
        *inherit = false;
        if (!gp)
            gp = runq_get(p, inherit);
        if (!gp)
            gp = globrunq_get(p, 0);
        if (!gp)
            gp = steal_work(m, p);
        if (gp)
            return gp;
        stop_m(m);
    }
}

// *inherit: the goroutine was readied by the one before it and runs on in its slice, so that two
// which keep waking each other do not keep everybody else from running.
static struct g *pick(struct m *m, bool *inherit)
{
    struct p *p = m->p;
    struct g *gp;
    if (unlikely(atomic_load_explicit(&m->look, memory_order_relaxed))) {
        sched_poll(m, p);
        if ((gp = attend(m)) != NULL)
            return gp;
        p = m->p;
    }
    if (unlikely(p->global_in == 0)) {
        p->global_in = 60;
        if ((gp = globrunq_get(p, 1)) != NULL)
            return gp;
    }
    if (HOSTILE && runq_len(p) == 0 && (gp = steal_work(m, p)) != NULL)
        return gp;
    if ((gp = runq_get(p, inherit)) != NULL) {
        // Two that keep waking each other do not bring the global queue's turn about: whoever that
        // gave the core to would begin a new slice, theirs would never be over, and the ring, which
        // runnext goes before, would never be looked at.
        p->global_in -= !*inherit;
        return gp;
    }
    return find_runnable(m, inherit);
}

void schedule(void)
{
    struct g *g0 = getg();
    struct m *m = g0->m;
    if (unlikely(g0->preempt_off != 0))
        throw("schedule: a spinlock or preempt_disable is still held");
    if (unlikely(!atomic_load_explicit(&page_reserve_full[m->id], memory_order_relaxed)))
        page_reserve_refill();
    bool inherit = false;
    struct g *gp = pick(m, &inherit);
    if (m->spinning)
        found_while_spinning(m);
    run(m, gp, inherit);
}
