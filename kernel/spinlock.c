// SPDX-License-Identifier: BSD-2-Clause
// Test-and-set with a read-only wait. Fairness matters little: sections are short and preemption is
// off. The debug build keeps the ranks a core holds and refuses an order that could deadlock.

#include "kernel/spinlock.h"

#include "arch/arch.h"
#include "kernel/panic.h"
#include "kernel/preempt.h"

void spin_init(struct spinlock *l, enum lock_rank rank)
{
    atomic_store_explicit(&l->holder, 0, memory_order_relaxed);
    l->rank = (uint16_t)rank;
}

static uint16_t my_mark(void)
{
    return (uint16_t)(getg()->m->id + 1);
}

static void note_held(struct spinlock *l)
{
    if (!DEBUG || l->rank == LOCK_UNRANKED)
        return;
    struct m *m = getg()->m;
    uint64_t bit = (uint64_t)1 << l->rank;
    if ((m->ranks_held & ~(bit - 1)) != 0 && !(l->rank == LOCK_CHAN && m->ranks_held < bit * 2))
        throw("spin_lock: rank %u taken while holding ranks %lx", l->rank,
              (unsigned long)m->ranks_held);
    m->ranks_held |= bit;
}

static void note_released(struct spinlock *l)
{
    if (DEBUG)
        getg()->m->ranks_held &= ~((uint64_t)1 << l->rank);
}

void spin_lock(struct spinlock *l)
{
    preempt_disable();
    uint16_t mark = my_mark(), free = 0;
    while (!atomic_compare_exchange_weak_explicit(&l->holder, &free, mark, memory_order_acquire,
                                                  memory_order_relaxed)) {
        if (unlikely(free == mark))
            throw("spin_lock: this core holds the lock already");
        while ((free = atomic_load_explicit(&l->holder, memory_order_relaxed)) != 0) {
            if (unlikely(free == mark))
                throw("spin_lock: this core holds the lock already");
            arch_relax();
        }
    }
    note_held(l);
}

bool spin_trylock(struct spinlock *l)
{
    preempt_disable();
    uint16_t free = 0;
    if (atomic_compare_exchange_strong_explicit(&l->holder, &free, my_mark(), memory_order_acquire,
                                                memory_order_relaxed)) {
        note_held(l);
        return true;
    }
    preempt_enable();
    return false;
}

void spin_not_held(void)
{
    throw("spin_unlock: this core does not hold the lock");
}

void spin_release(struct spinlock *l)
{
    if (unlikely(atomic_load_explicit(&l->holder, memory_order_relaxed) != my_mark()))
        spin_not_held();
    note_released(l);
    atomic_store_explicit(&l->holder, 0, memory_order_release);
}

void spin_unlock(struct spinlock *l)
{
    spin_release(l);
    preempt_enable();
}

void spin_unlock_g(struct g *gp, struct spinlock *l)
{
    // Before the release: from then on gp may run elsewhere.
    gp->preempt_off--;
    spin_release(l);
}

bool spin_held_by_me(const struct spinlock *l)
{
    return atomic_load_explicit(&l->holder, memory_order_relaxed) == my_mark();
}
