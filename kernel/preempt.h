// SPDX-License-Identifier: BSD-2-Clause
// The cheap mark by which runtime code says "do not preempt me here". The count lives in the G, so
// it stays right when the goroutine moves to another core between two such sections.
#ifndef KERNEL_PREEMPT_H
#define KERNEL_PREEMPT_H

#include "sched/g.h"

// Set by the scheduler: yields the current goroutine.
void preempt_yield(void);

// From here the goroutine stays on its core until the matching preempt_enable.
static inline void preempt_disable(void)
{
    getg()->preempt_off++;
    barrier();
}

static inline void preempt_enable(void)
{
    struct g *gp = getg();
    barrier();
    uint32_t off = --gp->preempt_off;
    barrier(); // an interrupt from here on sees 0 and stops us itself
    if (off == 0 &&
        unlikely(atomic_load_explicit(&gp->preempt_pending, memory_order_relaxed) || HOSTILE))
        preempt_yield();
}

// Leaves without yielding: for code that is about to park anyway.
static inline void preempt_enable_quiet(void)
{
    barrier();
    getg()->preempt_off--;
}

#endif
