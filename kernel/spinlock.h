// SPDX-License-Identifier: BSD-2-Clause
// A spinlock of four bytes that remembers its holder. Holding one keeps the goroutine from being
// preempted; interrupt handlers never take one, so interrupts stay enabled. Waiting is for tens of
// instructions: nobody parks, allocates without bound or calls the application while holding one.
#ifndef KERNEL_SPINLOCK_H
#define KERNEL_SPINLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/lockrank.h"

struct g;

struct spinlock {
    _Atomic(uint16_t) holder; // core number + 1, 0 when free
    uint16_t rank;
};

#define SPINLOCK_INIT(r) { 0, (r) }

// spinlock.c

void spin_init(struct spinlock *l, enum lock_rank rank);

// Takes the lock; raises the caller's preempt_off. Context: goroutine or g0, never an interrupt
// handler.
void spin_lock(struct spinlock *l);
bool spin_trylock(struct spinlock *l);

// Releases; the caller yields here if a preemption had been asked for meanwhile.
void spin_unlock(struct spinlock *l);

// Releases and leaves preempt_off raised: the caller owes a preempt_enable.
void spin_release(struct spinlock *l);

// The end of a release by a core that does not hold the lock.
_Noreturn void spin_not_held(void);

// Releases on behalf of gp, which took the lock and has since been parked by this core.
// Context: a park commit function, on g0.
void spin_unlock_g(struct g *gp, struct spinlock *l);

// True if this core holds l.
bool spin_held_by_me(const struct spinlock *l);

#endif
