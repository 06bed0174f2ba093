// SPDX-License-Identifier: BSD-2-Clause
// Reads the counters of all Ps for <heddle/stats.h>.

#include <heddle/stats.h>

#include "sched/sched.h"

static uint64_t get(_Atomic(uint64_t) *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

size_t go_pstats(struct go_pstats *out, size_t n)
{
    for (size_t i = 0; i < MIN(n, (size_t)p_count()); i++) {
        struct p *p = ps[i];
        struct m *m = atomic_load_explicit(&p->m, memory_order_relaxed);
        out[i] = (struct go_pstats){
            .id = p->id,
            .core = m ? (int)m->id : -1,
            .runnable = runq_len(p),
            .switches = get(&p->n_switch),
            .spawned = get(&p->n_spawn),
            .stolen = get(&p->n_steal),
            .preempted = get(&p->n_preempt),
            .woken = get(&p->n_wake),
            .polled = get(&p->n_netpoll),
            .interrupts = get(&ms[i].n_irq),
        };
    }
    return p_count();
}
