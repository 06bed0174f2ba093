// SPDX-License-Identifier: BSD-2-Clause
// The owner's half of the run queue, expanded where it is used. runq.c says how the queue works and
// has the rest.
#ifndef SCHED_RUNQ_INLINE_H
#define SCHED_RUNQ_INLINE_H

#include "sched/g.h"

#define RUNQ_HOT static inline __attribute__((always_inline))

// runq.c: runq_put_ring's way out when the ring is full. Context: as that.
void runq_put_full(struct p *p, struct g *gp);

static inline _Atomic(struct g *) *runq_slot(struct runq *q, uint32_t i)
{
    return &q->ring[i & (RUNQ_SIZE - 1)];
}

// Context: the owner M of p, not preemptible. gp is G_RUNNABLE.
RUNQ_HOT void runq_put_ring(struct p *p, struct g *gp)
{
    struct runq *q = &p->runq;
    // Acquire: a thief has finished reading the slots it claimed. pairs: RUNQ-HEAD
    uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    if (unlikely(tail - head >= RUNQ_SIZE)) {
        runq_put_full(p, gp);
        return;
    }
    atomic_store_explicit(runq_slot(q, tail), gp, memory_order_relaxed);
    // Publishes the slot and what gp points at. pairs: RUNQ-TAIL
    atomic_store_explicit(&q->tail, tail + 1, memory_order_seq_cst);
}

// runq_put_ring whose publication is left to a read-modify-write of the caller's, followed by
// arch_fence_after_rmw, before it looks for idle Ps. False: the ring is full. Context: as that.
RUNQ_HOT bool runq_put_unfenced(struct p *p, struct g *gp)
{
    struct runq *q = &p->runq;
    // pairs: RUNQ-HEAD
    uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    if (unlikely(tail - head >= RUNQ_SIZE))
        return false;
    atomic_store_explicit(runq_slot(q, tail), gp, memory_order_relaxed);
    // pairs: RUNQ-TAIL
    atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
    return true;
}

// Whoever stood in runnext before; NULL: nobody. Context: as runq_put_ring.
RUNQ_HOT struct g *runq_put_next(struct p *p, struct g *gp)
{
    // pairs: RUNQ-NEXT
    return atomic_exchange_explicit(&p->runq.next, gp, memory_order_seq_cst);
}

// *was_next: it stood in runnext. Context: the owner M of p, not preemptible.
RUNQ_HOT struct g *runq_take(struct p *p, bool *was_next)
{
    struct runq *q = &p->runq;
    *was_next = false;
    // Only the owner fills runnext, so an empty one needs no exchange.
    if (atomic_load_explicit(&q->next, memory_order_relaxed)) {
        // pairs: RUNQ-NEXT
        struct g *gp = atomic_exchange_explicit(&q->next, NULL, memory_order_acquire);
        if (likely(gp != NULL)) {
            *was_next = true;
            return gp;
        }
    }
    for (;;) {
        // pairs: RUNQ-HEAD
        uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
        uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
        if (tail == head)
            return NULL;
        struct g *gp = atomic_load_explicit(runq_slot(q, head), memory_order_relaxed);
        // pairs: RUNQ-HEAD
        if (likely(atomic_compare_exchange_weak_explicit(&q->head, &head, head + 1,
                                                         memory_order_release,
                                                         memory_order_relaxed)))
            return gp;
    }
}

#endif
