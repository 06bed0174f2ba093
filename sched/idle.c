// SPDX-License-Identifier: BSD-2-Clause
// Idle Ms and Ps, and how they are woken. The protocol that loses no wake-up:
//
//   submitter: (1) publishes the work: runq tail or runnext, global_len, a poller's pending mark
//              (2) reads idle_p and nmspinning; wakes an M if there is a P for it and nobody looks
//   sleeper:   (1) sets its bit in idle_m, then in idle_p; stops spinning
//              (2) reads every queue, pending mark and due timer; sleeps only if there is nothing
//
// All four accesses are sequentially consistent, so at least one of the two sees the other's first
// step. What a spinning M may miss, it finds in its own step 2 after it stopped spinning: whoever
// saw nmspinning > 0 had published before that.
//
// Wakes in vain: two goroutines that only hand a token back and forth always leave one runnable for
// a moment, and a core woken for it finds nothing. Each search that fails makes
// sched.quiet_until_ns later, doubling up to QUIET_MAX_NS; until then wakep only arms its own
// core's timer for that moment and looks again then. A search that succeeds ends it. So work that
// stays queued waits at most that long for a sleeping core.
//
// Between step 2 and the halt, an interrupt may announce work: the last look at nextp, resched and
// pending is with interrupts off, and arch_idle turns them on and sleeps in one step.
//
// Claims: an idle M or P is taken by clearing its bit; whoever clears it owns it. An M whose bit a
// waker cleared waits for nextp, which the waker is about to store. The bit of M n is set before
// that of the P it releases, so whoever takes the P finds its guard. A P's guard is the M that last
// held it: while the P is idle, that M keeps its core's timer armed for the P's timers, asleep or
// running another P, and runs what is due.

#include "sched/sched.h"

#include "kernel/clock.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "sched/netpoll.h"
#include "sched/timer.h"
#include "sched/trace.h"

#define QUIET_MIN_NS 10000
#define QUIET_MAX_NS 200000

unsigned pidle_count(void)
{
    return (unsigned)__builtin_popcountll(
        atomic_load_explicit(&sched.idle_p, memory_order_relaxed));
}

// Clears bit n if it is set: the claim. Acquire: what the releaser of the M or P left. pairs:
// IDLE-CLAIM
static bool claim(_Atomic(uint64_t) *mask, unsigned n)
{
    uint64_t bit = (uint64_t)1 << n;
    return (atomic_fetch_and_explicit(mask, ~bit, memory_order_seq_cst) & bit) != 0;
}

struct p *pidle_get(struct p *wanted)
{
    uint64_t mask = atomic_load_explicit(&sched.idle_p, memory_order_seq_cst);
    if (wanted && (mask >> wanted->id & 1) && claim(&sched.idle_p, wanted->id))
        return wanted;
    while ((mask = atomic_load_explicit(&sched.idle_p, memory_order_seq_cst)) != 0) {
        unsigned n = (unsigned)__builtin_ctzll(mask);
        if (claim(&sched.idle_p, n))
            return ps[n];
    }
    return NULL;
}

void pidle_put(struct p *p)
{
    // pairs: IDLE-CLAIM
    atomic_fetch_or_explicit(&sched.idle_p, (uint64_t)1 << p->id, memory_order_seq_cst);
}

void acquirep(struct m *m, struct p *p)
{
    if (unlikely(m->p != NULL))
        throw("acquirep: the M has a P");
    p_set_status(p, P_IDLE, P_RUNNING);
    m->p = p;
    own(m, p);
}

void own(struct m *m, struct p *p)
{
    atomic_store_explicit(&p->m, m, memory_order_relaxed);
    atomic_store_explicit(&p->guard, m, memory_order_relaxed);
    trace_event(TRACE_ACQUIRE, 0, p->id);
    // Before reading next_ns: whoever lowers it from now on finds this M. pairs: P-TIMERS
    atomic_thread_fence(memory_order_seq_cst);
    preempt_arm(m, timers_next(p));
    // Who makes this true after the fence finds p->m and tells it. pairs: WORLD-STOPPING
    if (unlikely(sched_attention()))
        atomic_store_explicit(&m->look, true, memory_order_relaxed);
}

struct p *releasep(struct m *m)
{
    struct p *p = m->p;
    if (unlikely(!p || atomic_load_explicit(&p->m, memory_order_relaxed) != m))
        throw("releasep: the M does not hold its P");
    atomic_store_explicit(&p->m, NULL, memory_order_relaxed);
    p_set_status(p, P_RUNNING, P_IDLE);
    m->p = NULL;
    m->oldp = p;
    return p;
}

// An idle M to run p: p's guard if it sleeps, else any; claimed. NULL if all are awake.
static struct m *midle_get(struct p *p)
{
    struct m *guard = atomic_load_explicit(&p->guard, memory_order_relaxed);
    if (guard && claim(&sched.idle_m, guard->id))
        return guard;
    uint64_t mask;
    while ((mask = atomic_load_explicit(&sched.idle_m, memory_order_seq_cst)) != 0) {
        unsigned n = (unsigned)__builtin_ctzll(mask);
        if (claim(&sched.idle_m, n))
            return &ms[n];
    }
    return NULL;
}

// True if wakes have been in vain lately; then this core looks again when that time is over.
static bool quiet(void)
{
    struct m *m = getg()->m;
    int64_t until = atomic_load_explicit(&sched.quiet_until_ns, memory_order_relaxed);
    if (HOSTILE || until == 0)
        return false;
    if (!m->wake_later) {
        if (clock_mono_ns() >= until)
            return false;
        m->wake_later = true; // until the timer interrupt takes it back
        preempt_arm(m, until);
    }
    return true;
}

static void searched_in_vain(void)
{
    int64_t wait = atomic_load_explicit(&sched.quiet_ns, memory_order_relaxed);
    wait = wait == 0 ? QUIET_MIN_NS : MIN(2 * wait, QUIET_MAX_NS);
    atomic_store_explicit(&sched.quiet_ns, wait, memory_order_relaxed);
    atomic_store_explicit(&sched.quiet_until_ns, clock_mono_ns() + wait, memory_order_relaxed);
}

void searched_with_success(void)
{
    if (atomic_load_explicit(&sched.quiet_ns, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(&sched.quiet_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&sched.quiet_until_ns, 0, memory_order_relaxed);
}

void nudge_guard(struct p *p)
{
    int64_t next_ns = timers_next(p);
    struct m *guard = atomic_load_explicit(&p->guard, memory_order_relaxed), *mine = getg()->m;
    if (next_ns == INT64_MAX)
        return;
    if (guard != mine) {
        arch_send_ipi(guard->id, IPI_WAKE);
    } else if (next_ns > clock_mono_ns()) {
        preempt_arm(mine, next_ns);
    } else {
        m_resched(mine);
        struct g *gp = getg();
        if (gp != mine->g0)
            atomic_store_explicit(&gp->preempt_pending, true, memory_order_relaxed);
    }
}

// Claims an idle P and an M for it and sends the M off to look for work; false if there is no such
// pair.
static bool wake_pair(void)
{
    struct p *p = pidle_get(NULL);
    struct m *m = p ? midle_get(p) : NULL;
    if (!m) {
        if (!p)
            return false;
        pidle_put(p);
        // Before reading next_ns: whoever lowered it and found no M asks the guard, who must see
        // the bit. pairs: P-TIMERS
        atomic_thread_fence(memory_order_seq_cst);
        // Its guard, awake with another P, may have missed its timers meanwhile.
        nudge_guard(p);
        return false;
    }
    m->spinning = true;
    // Hands over p and m->spinning. pairs: M-NEXTP
    atomic_store_explicit(&m->nextp, p, memory_order_release);
    struct p *mine = getg()->m->p;
    if (mine)
        count(&mine->n_wake);
    trace_event(TRACE_WAKE, 0, m->id);
    arch_send_ipi(m->id, IPI_WAKE);
    return true;
}

// While this M holds the claim to nmspinning, or a P it may have to put back, it hides both from
// others, who then rely on it: an M that found no P goes to sleep, a submitter that saw nmspinning
// > 0 does not wake anybody. So after giving back it looks again, until one of the two masks is
// empty. Context: not preemptible; also from the timer interrupt, as all it does is atomic claims.
void wake_now(void)
{
    do {
        uint32_t none = 0;
        if (!atomic_compare_exchange_strong_explicit(&sched.nmspinning, &none, 1,
                                                     memory_order_seq_cst, memory_order_relaxed))
            return;
        if (wake_pair())
            return;
        atomic_fetch_sub_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
    } while (atomic_load_explicit(&sched.idle_p, memory_order_seq_cst) != 0 &&
             atomic_load_explicit(&sched.idle_m, memory_order_seq_cst) != 0);
}

void wake_one(void)
{
    if (!quiet())
        wake_now();
}

int64_t guarded_next(struct m *m)
{
    int64_t next = MIN(m->schedtrace_ns, block_timers_next(m));
    uint64_t mask = atomic_load_explicit(&sched.idle_p, memory_order_seq_cst);
    for (; mask; mask &= mask - 1) {
        struct p *p = ps[__builtin_ctzll(mask)];
        if (atomic_load_explicit(&p->guard, memory_order_relaxed) == m)
            next = MIN(next, timers_next(p));
    }
    return next;
}

void run_guarded_timers(struct m *m, int64_t now)
{
    uint64_t mask = atomic_load_explicit(&sched.idle_p, memory_order_relaxed);
    for (; mask; mask &= mask - 1) {
        struct p *p = ps[__builtin_ctzll(mask)];
        if (atomic_load_explicit(&p->guard, memory_order_relaxed) == m && timers_next(p) <= now)
            timers_run(p, now);
    }
}

bool work_published(struct m *m)
{
    if (atomic_load_explicit(&sched.global_len, memory_order_seq_cst) != 0 ||
        atomic_load_explicit(&sched.urgent_len, memory_order_seq_cst) != 0 || netpoll_pending())
        return true;
    for (unsigned i = 0; i < sched.n_m; i++)
        if (!runq_empty(ps[i]))
            return true;
    return guarded_next(m) <= clock_mono_ns();
}

// Takes the P that a waker handed over, waiting for the short while between its claim and its
// store.
static void take_nextp(struct m *m)
{
    struct p *p;
    // pairs: M-NEXTP
    while (!(p = atomic_load_explicit(&m->nextp, memory_order_acquire)))
        arch_relax();
    atomic_store_explicit(&m->nextp, NULL, memory_order_relaxed);
    acquirep(m, p);
}

// The M saw work. It leaves the idle set by itself and takes a P; false if there is no P for it, in
// which case it is idle again and the Ms that hold the Ps will find the work.
static bool unidle(struct m *m)
{
    struct p *p;
    for (;;) {
        if (!claim(&sched.idle_m, m->id)) {
            take_nextp(m);
            return true;
        }
        if ((p = pidle_get(m->oldp)) != NULL)
            break;
        // A waker may have carried the P about meanwhile and put it back as it found no M: one of
        // the two sees the other's bit. The other half is in wake_one.
        atomic_fetch_or_explicit(&sched.idle_m, (uint64_t)1 << m->id, memory_order_seq_cst);
        if (atomic_load_explicit(&sched.idle_p, memory_order_seq_cst) == 0)
            return false;
    }
    acquirep(m, p);
    m->spinning = true;
    atomic_fetch_add_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
    return true;
}

void pass_on_netpoll(struct m *m)
{
    for (unsigned i = 0; i < sched.n_m; i++) {
        struct m *other = atomic_load_explicit(&ps[i]->m, memory_order_relaxed);
        if (other && other != m) {
            m_resched(other);
            arch_send_ipi(other->id, IPI_WAKE);
            return;
        }
    }
}

// passed_on: a poller's mark is another core's to look at.
static void sleep_once(struct m *m, bool passed_on)
{
    arch_irq_save();
    preempt_arm(m, guarded_next(m));
    if (!atomic_load_explicit(&m->nextp, memory_order_acquire) &&
        !atomic_load_explicit(&m->resched, memory_order_relaxed) &&
        (passed_on || !netpoll_pending()) &&
        atomic_load_explicit(&page_reserve_full[m->id], memory_order_seq_cst))
        arch_idle();
    arch_irq_enable();
}

static void sleep_until_p(struct m *m)
{
    for (;;) {
        // Memory has run out somewhere and this core has some to give back.
        if (!atomic_load_explicit(&page_reserve_full[m->id], memory_order_relaxed))
            page_reserve_refill();
        if (unlikely(m->schedtrace_ns != INT64_MAX) && m->schedtrace_ns <= clock_mono_ns())
            schedtrace_print(m, clock_mono_ns());
        if (work_published(m)) {
            if (unidle(m))
                return;
            if (netpoll_pending())
                pass_on_netpoll(m);
            // All Ps were held; theirs is that work now. What an interrupt has announced here since
            // the last sleep is still this core's: a P may have come free meanwhile.
            sleep_once(m, true);
        } else if (!checkdead(m)) {
            sleep_once(m, false);
        }
        atomic_store_explicit(&m->resched, false, memory_order_relaxed);
        if (atomic_load_explicit(&m->nextp, memory_order_acquire)) {
            take_nextp(m);
            return;
        }
    }
}

void stop_m(struct m *m)
{
    struct p *p = releasep(m);
    trace_event(TRACE_IDLE, 0, p->id);
    bool stopped = atomic_load_explicit(&sched.stopping, memory_order_seq_cst);
    // Read before the M can be claimed: a waker sets it again.
    bool was_spinning = m->spinning;
    m->spinning = false;
    // pairs: IDLE-CLAIM
    atomic_fetch_or_explicit(&sched.idle_m, (uint64_t)1 << m->id, memory_order_seq_cst);
    if (stopped)
        p_set_status(p, P_IDLE, P_STOPPED); // it is whose world it is; not ours from here on
    else
        pidle_put(p);
    if (was_spinning) {
        atomic_fetch_sub_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
        searched_in_vain();
    }
    sleep_until_p(m);
}

void wake_sleepers(void)
{
    // Sequentially consistent, as sleep_once's look at page_reserve_full: one sees the other.
    uint64_t mask = atomic_load_explicit(&sched.idle_m, memory_order_seq_cst);
    for (; mask; mask &= mask - 1)
        arch_send_ipi((unsigned)__builtin_ctzll(mask), IPI_WAKE);
    // Cores whose goroutine nobody stops do not come round by themselves either.
    mask = atomic_load_explicit(&sched.tickless, memory_order_relaxed);
    for (; mask; mask &= mask - 1) {
        unsigned n = (unsigned)__builtin_ctzll(mask);
        m_resched(&ms[n]);
        arch_send_ipi(n, IPI_WAKE);
    }
}

void idle_without_p(struct m *m)
{
    // pairs: IDLE-CLAIM
    atomic_fetch_or_explicit(&sched.idle_m, (uint64_t)1 << m->id, memory_order_seq_cst);
    sleep_until_p(m);
}

void m_main(void)
{
    struct m *m = getg()->m;
    arch_irq_enable();
    idle_without_p(m);
    schedule();
}
