// SPDX-License-Identifier: BSD-2-Clause
// spin_lock and spin_unlock expanded in place, for the few paths where a call and its return are a
// good part of the whole. The same lock and the same rules; the debug build calls the functions,
// which check ranks.
#ifndef KERNEL_SPIN_INLINE_H
#define KERNEL_SPIN_INLINE_H

#include "kernel/preempt.h"
#include "kernel/spinlock.h"

static inline __attribute__((always_inline)) void spin_lock_inline(struct spinlock *l)
{
    if (DEBUG) {
        spin_lock(l);
        return;
    }
    struct g *gp = getg();
    uint16_t free = 0;
    gp->preempt_off++;
    barrier();
    if (likely(atomic_compare_exchange_strong_explicit(&l->holder, &free,
                                                       (uint16_t)(gp->m->id + 1),
                                                       memory_order_acquire,
                                                       memory_order_relaxed)))
        return;
    gp->preempt_off--;
    spin_lock(l);
}

static inline __attribute__((always_inline)) void spin_unlock_inline(struct spinlock *l)
{
    uint16_t mine = (uint16_t)(getg()->m->id + 1);
    if (DEBUG || unlikely(atomic_load_explicit(&l->holder, memory_order_relaxed) != mine)) {
        spin_unlock(l); // and it says what is wrong
        return;
    }
    atomic_store_explicit(&l->holder, 0, memory_order_release);
    preempt_enable();
}

#endif
