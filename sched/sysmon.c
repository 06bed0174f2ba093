// SPDX-License-Identifier: BSD-2-Clause
// What Go gives a thread of its own: looking after Ps that nobody else looks after. Here the timer
// interrupt of whichever core has one does it, every SYSMON_NS. While nobody waits anywhere no core
// has a tick; then only those that are not the only one awake do it, every BEAT_NS.
//
//   - A P whose M has run one goroutine for the whole time although others wait, because its own
//     timer does not stop it: its M is asked to, by an interrupt.
//   - A P in a blocking call for that long while there is work: it is taken (block.c).
//   - Work in the global queue and an idle P: a core is woken.
//   - Nobody has polled a device for the whole time: all are, in case an interrupt was lost.
//
// No tick: a goroutine that has run through a slice, while no other waits on its P or in the global
// queue, is not stopped, and its core's tick ends. What brings it back, TICKLESS: whoever puts a
// goroutine into the global queue stores global_len and then reads sched.tickless; the core sets
// its bit there and then reads global_len; all sequentially consistent, so one sees the other. The
// goroutine itself may ready others: its preempt_pending is set, so that it comes to tick_look at
// the end of the section in which it did. And whatever else runs on the core begins in run(), which
// starts the tick.

#include "kernel/clock.h"
#include "sched/netpoll.h"
#include "sched/sched.h"

#define SYSMON_NS (HOSTILE ? 1000000 : 10000000)
#define BEAT_NS 50000000

static _Atomic(int64_t) last_ns;             // when somebody last looked; who moves it looks
static _Atomic(uint64_t) seen[MAX_CORES];    // n_switch of each P then

static uint64_t bit_of(struct m *m)
{
    return (uint64_t)1 << m->id;
}

static bool others_wait(struct p *p)
{
    return !runq_empty(p) || atomic_load_explicit(&sched.global_len, memory_order_seq_cst) != 0;
}

bool tick_stop(struct m *m, struct p *p, struct g *gp)
{
    if (HOSTILE || others_wait(p))
        return false;
    m->tickless = true;
    // pairs: TICKLESS
    atomic_fetch_or_explicit(&sched.tickless, bit_of(m), memory_order_seq_cst);
    if (atomic_load_explicit(&sched.global_len, memory_order_seq_cst) != 0) {
        tick_resumed(m);
        return false;
    }
    atomic_store_explicit(&gp->preempt_pending, true, memory_order_relaxed);
    return true;
}

void tick_resumed(struct m *m)
{
    m->tickless = false;
    atomic_fetch_and_explicit(&sched.tickless, ~bit_of(m), memory_order_relaxed);
}

void tick_look(struct g *gp)
{
    struct m *m = gp->m;
    // Before looking at resched, which whoever sets preempt_pending has set.
    atomic_store_explicit(&gp->preempt_pending, false, memory_order_relaxed);
    barrier();
    if (!m->tickless || !m->p)
        return;
    if (others_wait(m->p))
        preempt_start_tick(m, m->p);
    else
        atomic_store_explicit(&gp->preempt_pending, true, memory_order_relaxed);
}

void tick_kick_all(void)
{
    // pairs: TICKLESS
    uint64_t mask = atomic_exchange_explicit(&sched.tickless, 0, memory_order_seq_cst);
    for (; mask; mask &= mask - 1)
        arch_send_ipi((unsigned)__builtin_ctzll(mask), IPI_WAKE);
}

void preempt_request(struct m *m)
{
    atomic_store_explicit(&m->preempt_asked, true, memory_order_seq_cst);
    arch_send_ipi(m->id, IPI_WAKE);
}

static void look_at(struct m *me, struct p *p)
{
    uint64_t n = atomic_load_explicit(&p->n_switch, memory_order_relaxed);
    bool moved = atomic_exchange_explicit(&seen[p->id], n, memory_order_relaxed) != n;
    if (moved || !others_wait(p))
        return;
    struct m *m = atomic_load_explicit(&p->m, memory_order_relaxed);
    switch ((enum p_status)atomic_load_explicit(&p->status, memory_order_relaxed)) {
    case P_RUNNING:
        if (m && m != me)
            preempt_request(m);
        break;
    case P_SYSCALL:
        if (block_take(p, P_IDLE)) {
            pidle_put(p);
            wake_now();
        }
        break;
    default:
        break;
    }
}

int64_t sysmon_next(int64_t now)
{
    return p_count() - pidle_count() > 1 ? now + BEAT_NS : INT64_MAX;
}

void sysmon(struct m *m, int64_t now)
{
    int64_t last = atomic_load_explicit(&last_ns, memory_order_relaxed);
    if (now - last < SYSMON_NS ||
        !atomic_compare_exchange_strong_explicit(&last_ns, &last, now, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    if (now - netpoll_last_ns() >= SYSMON_NS)
        netpoll_mark_all();
    if (atomic_load_explicit(&sched.global_len, memory_order_relaxed) != 0 &&
        atomic_load_explicit(&sched.idle_p, memory_order_relaxed) != 0)
        wake_now();
    for (unsigned i = 0; i < sched.n_m; i++)
        look_at(m, ps[i]);
}
