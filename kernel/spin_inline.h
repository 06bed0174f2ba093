// SPDX-License-Identifier: BSD-2-Clause
// spin_lock and spin_unlock expanded in place, for the few paths where a call and its return are a
// good part of the whole. The same lock and the same rules; the debug build calls the functions,
// which check ranks.
#ifndef KERNEL_SPIN_INLINE_H
#define KERNEL_SPIN_INLINE_H

#include "kernel/preempt.h"
#include "kernel/spinlock.h"

#define SPIN_HOT static inline __attribute__((always_inline))

// False: the lock is held, or the caller is to go the slow way for another reason; nothing has
// changed.
SPIN_HOT bool spin_trylock_inline(struct spinlock *l)
{
    if (DEBUG)
        return false;
    struct g *gp = getg();
    uint16_t free = 0;
    gp->preempt_off++;
    barrier();
    if (likely(atomic_compare_exchange_strong_explicit(&l->holder, &free,
                                                       (uint16_t)(gp->m->id + 1),
                                                       memory_order_acquire,
                                                       memory_order_relaxed)))
        return true;
    gp->preempt_off--;
    return false;
}

SPIN_HOT void spin_lock_inline(struct spinlock *l)
{
    if (!spin_trylock_inline(l))
        spin_lock(l);
}

// Releases the lock and leaves preempt_off raised: the caller goes on to something that needs that,
// and then owes one preempt_enable.
SPIN_HOT void spin_release_inline(struct spinlock *l)
{
    if (DEBUG) {
        spin_release(l);
        return;
    }
    uint16_t mine = (uint16_t)(getg()->m->id + 1);
    if (unlikely(atomic_load_explicit(&l->holder, memory_order_relaxed) != mine))
        spin_not_held();
    atomic_store_explicit(&l->holder, 0, memory_order_release);
}

SPIN_HOT void spin_unlock_inline(struct spinlock *l)
{
    spin_release_inline(l);
    preempt_enable();
}

// spin_unlock_g: before the release, as gp may run elsewhere from then on.
SPIN_HOT void spin_unlock_g_inline(struct g *gp, struct spinlock *l)
{
    gp->preempt_off--;
    spin_release_inline(l);
}

#endif
