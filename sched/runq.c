// SPDX-License-Identifier: BSD-2-Clause
// The run queue of a P: a ring of RUNQ_SIZE Gs and a slot in front of it, runnext.
//
// The owner alone moves tail; owner and thieves move head by compare-and-swap. A slot between head
// and tail is stable until head passes it, so a thief copies first and claims afterwards; when its
// claim fails, the copies mean nothing. head and tail only grow (mod 2^32); tail - head never
// exceeds RUNQ_SIZE.
//
// runnext is exchanged by the owner and by thieves that found nothing else. Its exchange in
// runq_put is sequentially consistent, as is the tail store: they are the "work is published" half
// of the wake-up protocol in idle.c.
//
// Rejected: a Chase-Lev deque (last in, first out starves; stealing one at a time), a lock per
// queue (a thief would hold up the owner).

#include "kernel/clock.h"
#include "sched/runq_inline.h"
#include "sched/sched.h"

#define NEXT_WAIT_NS 5000

_Static_assert((RUNQ_SIZE & (RUNQ_SIZE - 1)) == 0, "ring indices wrap by masking");

// Moves half of the full ring and gp to the global queue; false if thieves made room meanwhile.
static bool move_half(struct runq *q, struct g *gp, uint32_t head, uint32_t tail)
{
    struct g *batch[RUNQ_SIZE / 2 + 1];
    uint32_t n = (tail - head) / 2;
    for (uint32_t i = 0; i < n; i++)
        batch[i] = atomic_load_explicit(runq_slot(q, head + i), memory_order_relaxed);
    // Release: the slots are read before thieves and the owner may reuse them. pairs: RUNQ-HEAD
    if (!atomic_compare_exchange_strong_explicit(&q->head, &head, head + n, memory_order_release,
                                                 memory_order_relaxed))
        return false;
    batch[n] = gp;
    for (uint32_t i = 0; i < n; i++)
        batch[i]->link = batch[i + 1];
    gp->link = NULL;
    runq_overflow(batch[0], gp, n + 1);
    return true;
}

__attribute__((noinline)) void runq_put_full(struct p *p, struct g *gp)
{
    struct runq *q = &p->runq;
    // pairs: RUNQ-HEAD
    uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    if (tail - head < RUNQ_SIZE || !move_half(q, gp, head, tail))
        runq_put_ring(p, gp);
}

void runq_put(struct p *p, struct g *gp, bool next)
{
    if (next)
        gp = runq_put_next(p, gp);
    if (gp)
        runq_put_ring(p, gp);
}

struct g *runq_get(struct p *p, bool *was_next)
{
    return runq_take(p, was_next);
}

// runnext of a P whose goroutine is about to stop will run there in a moment, its data warm;
// stolen, it would cost both cores. Waits for as long as the victim keeps switching; NULL, or the
// goroutine that has waited in vain.
static struct g *grab_next(struct p *victim)
{
    struct runq *q = &victim->runq;
    struct g *gp = atomic_load_explicit(&q->next, memory_order_relaxed);
    if (!gp)
        return NULL;
    if (!HOSTILE && atomic_load_explicit(&victim->status, memory_order_relaxed) == P_RUNNING) {
        uint64_t switches = atomic_load_explicit(&victim->n_switch, memory_order_relaxed);
        for (int64_t until = clock_mono_ns() + NEXT_WAIT_NS; clock_mono_ns() < until;) {
            if (atomic_load_explicit(&victim->n_switch, memory_order_relaxed) != switches)
                return NULL;
            arch_relax();
        }
    }
    // pairs: RUNQ-NEXT
    return atomic_exchange_explicit(&q->next, NULL, memory_order_acquire);
}

// Copies half of victim's ring behind p's tail without publishing it; returns how many. Context:
// owner of p.
static uint32_t grab(struct p *p, struct p *victim, uint32_t my_tail, bool take_next)
{
    struct runq *q = &victim->runq;
    for (;;) {
        // pairs: RUNQ-HEAD
        uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
        // pairs: RUNQ-TAIL
        uint32_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);
        uint32_t n = tail - head;
        n -= n / 2;
        if (n == 0) {
            struct g *gp = take_next ? grab_next(victim) : NULL;
            if (!gp)
                return 0;
            atomic_store_explicit(runq_slot(&p->runq, my_tail), gp, memory_order_relaxed);
            return 1;
        }
        if (n > RUNQ_SIZE / 2)
            continue; // head and tail were read at different times
        for (uint32_t i = 0; i < n; i++) {
            struct g *gp = atomic_load_explicit(runq_slot(q, head + i), memory_order_relaxed);
            atomic_store_explicit(runq_slot(&p->runq, my_tail + i), gp, memory_order_relaxed);
        }
        // Release: the copies were made before the owner may reuse the slots. pairs: RUNQ-HEAD
        if (atomic_compare_exchange_strong_explicit(&q->head, &head, head + n,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return n;
    }
}

// Context: the owner M of p, whose ring is empty; victim may be anybody's.
struct g *runq_steal(struct p *p, struct p *victim, bool take_next)
{
    struct runq *q = &p->runq;
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    uint32_t n = grab(p, victim, tail, take_next);
    if (n == 0)
        return NULL;
    n--;
    struct g *gp = atomic_load_explicit(runq_slot(q, tail + n), memory_order_relaxed);
    if (n > 0) {
        // pairs: RUNQ-TAIL
        atomic_store_explicit(&q->tail, tail + n, memory_order_seq_cst);
    }
    return gp;
}

// A hint for anybody; exact for the owner. Sequentially consistent loads: the "look once more" half
// of the wake-up protocol. Reads head, tail and runnext until they belong together.
bool runq_empty(struct p *p)
{
    struct runq *q = &p->runq;
    for (;;) {
        uint32_t head = atomic_load_explicit(&q->head, memory_order_seq_cst);
        uint32_t tail = atomic_load_explicit(&q->tail, memory_order_seq_cst);
        struct g *next = atomic_load_explicit(&q->next, memory_order_seq_cst);
        if (tail == atomic_load_explicit(&q->tail, memory_order_seq_cst))
            return head == tail && next == NULL;
    }
}

uint32_t runq_len(struct p *p)
{
    struct runq *q = &p->runq;
    uint32_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    return tail - head + (atomic_load_explicit(&q->next, memory_order_relaxed) != NULL);
}
