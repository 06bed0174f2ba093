// SPDX-License-Identifier: BSD-2-Clause
// Wait groups. state: the count (signed) in the high half, the number of waiters in the low half,
// changed in one step. A waiter adds itself to both state and queue under the queue's lock and only
// while the count is above zero; whoever brings the count to zero with waiters about empties both
// under that lock. Waiters are readied with the lock released, and touch the group no more: so a
// group may lie on the stack of its waiter.

#include "sched/sync.h"

#include <heddle/go.h>

#define ONE ((uint64_t)1 << 32)

static inline int32_t count_of(uint64_t state)
{
    return (int32_t)(state >> 32);
}

static inline uint32_t waiters_of(uint64_t state)
{
    return (uint32_t)state;
}

// The count has become zero while somebody waited.
static void wake_all(struct waitgroup *w)
{
    sync_lock(&w->queue);
    struct sync_waiter *first = w->queue.head;
    uint64_t state = atomic_load_explicit(&w->state, memory_order_relaxed);
    if (count_of(state) != 0) {
        sync_unlock(&w->queue);
        go_panic("sync: WaitGroup misuse: Add called concurrently with Wait");
    }
    atomic_fetch_sub_explicit(&w->state, waiters_of(state), memory_order_relaxed);
    w->queue.head = w->queue.tail = NULL;
    sync_unlock(&w->queue);
    sync_ready_list(first);
}

void waitgroup_add(struct waitgroup *w, int n)
{
    uint64_t delta = (uint64_t)(uint32_t)n << 32;
    // What was done before done comes before what follows the wait. pairs: WAITGROUP-STATE
    uint64_t state = atomic_fetch_add_explicit(&w->state, delta, memory_order_acq_rel) + delta;
    int32_t count = count_of(state);
    if (unlikely(count < 0)) {
        atomic_fetch_sub_explicit(&w->state, delta, memory_order_relaxed);
        go_panic("sync: negative WaitGroup counter");
    }
    if (unlikely(n > 0 && count == n && waiters_of(state) != 0))
        go_panic("sync: WaitGroup misuse: Add called concurrently with Wait");
    if (count == 0 && waiters_of(state) != 0)
        wake_all(w);
}

void waitgroup_done(struct waitgroup *w)
{
    waitgroup_add(w, -1);
}

void waitgroup_wait(struct waitgroup *w)
{
    // pairs: WAITGROUP-STATE
    uint64_t state = atomic_load_explicit(&w->state, memory_order_acquire);
    if (count_of(state) == 0)
        return;
    struct sync_waiter me = { .g = getg() };
    sync_lock(&w->queue);
    state = atomic_load_explicit(&w->state, memory_order_acquire);
    do {
        if (count_of(state) == 0) {
            sync_unlock(&w->queue);
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&w->state, &state, state + 1,
                                                    memory_order_acquire, memory_order_acquire));
    sync_push(&w->queue, &me);
    sync_park(&w->queue, WAIT_WAITGROUP);
}
