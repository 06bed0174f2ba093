// SPDX-License-Identifier: BSD-2-Clause
// Semaphores.
//
// s->state (here: count in the low half, number of waiters in the high half) changes by
// compare-and-swap; waiters are added and removed only under the queue's lock. A release that sees
// no waiter adds to the count; one that sees a waiter gives it the permit directly, so the count
// stays 0 while anybody waits and permits go out in order. Both halves in one word mean that a
// release that added to the count never looks at s again: the acquirer may free it.

#include "sched/sync.h"

#include <heddle/go.h>

#include "kernel/panic.h"
#include "kernel/preempt.h"

#define ONE_WAITER ((uint64_t)1 << 32)

static inline uint32_t permits(uint64_t state)
{
    return (uint32_t)state;
}

bool sema_try_acquire(struct sema *s)
{
    uint64_t old = atomic_load_explicit(&s->state, memory_order_relaxed);
    while (permits(old) > 0) {
        // What happened before the release. pairs: SEMA-STATE
        if (atomic_compare_exchange_weak_explicit(&s->state, &old, old - 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}

void sema_acquire(struct sema *s)
{
    if (likely(sema_try_acquire(s)))
        return;
    struct sync_waiter me = { .g = getg() };
    sync_lock(&s->queue);
    uint64_t old = atomic_load_explicit(&s->state, memory_order_relaxed), new;
    do {
        new = permits(old) > 0 ? old - 1 : old + ONE_WAITER;
    } while (!atomic_compare_exchange_weak_explicit(&s->state, &old, new, memory_order_acquire,
                                                    memory_order_relaxed));
    if (permits(old) > 0) {
        sync_unlock(&s->queue);
        return;
    }
    sync_push(&s->queue, &me);
    sync_park(&s->queue, WAIT_SEMA);
}

void sema_release(struct sema *s)
{
    for (;;) {
        uint64_t old = atomic_load_explicit(&s->state, memory_order_relaxed);
        while (old < ONE_WAITER) {
            if (unlikely(permits(old) == UINT32_MAX))
                go_panic("sema_release: count too large");
            // pairs: SEMA-STATE
            if (atomic_compare_exchange_weak_explicit(&s->state, &old, old + 1,
                                                      memory_order_release, memory_order_relaxed))
                return;
        }
        sync_lock(&s->queue);
        struct sync_waiter *w = sync_pop(&s->queue);
        if (w)
            atomic_fetch_sub_explicit(&s->state, ONE_WAITER, memory_order_relaxed);
        sync_unlock(&s->queue);
        if (w) {
            goready(w->g);
            return;
        }
    }
}

void sync_token_wait(struct sync_queue *q, uint32_t *tokens, enum wait_reason reason)
{
    struct sync_waiter me = { .g = getg() };
    sync_lock(q);
    if (*tokens > 0) {
        --*tokens;
        sync_unlock(q);
        return;
    }
    sync_push(q, &me);
    sync_park(q, reason);
}

void sync_ready_list(struct sync_waiter *first)
{
    if (first && !first->next) {
        goready(first->g);
        return;
    }
    while (first) {
        // The waiter may run, and its record go, as soon as it is readied.
        struct sync_waiter *next = first->next;
        goready_tail(first->g);
        first = next;
    }
}

void sync_token_post(struct sync_queue *q, uint32_t *tokens, uint32_t n)
{
    struct sync_queue woken = { 0 };
    sync_lock(q);
    for (; n > 0; n--) {
        struct sync_waiter *w = sync_pop(q);
        if (!w) {
            *tokens += n;
            break;
        }
        sync_push(&woken, w);
    }
    sync_unlock(q);
    sync_ready_list(woken.head);
}
