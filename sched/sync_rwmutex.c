// SPDX-License-Identifier: BSD-2-Clause
// The readers-writer mutex. Writers exclude each other by an ordinary mutex; the one that has it
// announces itself by taking MAX_READERS off `readers`, which makes it negative: readers that come
// from then on wait for the writer's unlock. The readers it found inside are counted in `leaving`;
// the last of them to leave wakes the writer. So a writer waits only for readers that came before
// it, and the readers it held up all go in before the next writer. An uncontended read lock and
// unlock are one atomic addition each.
//
// Both waits are on counts of permits (sync_token_*), so a permit posted before its taker has
// queued is kept.

#include "sched/sync.h"

#include <heddle/go.h>

enum { MAX_READERS = 1 << 30 };

void rwmutex_rlock(struct rwmutex *rw)
{
    // What writers did. pairs: RWMUTEX-READERS
    if (atomic_fetch_add_explicit(&rw->readers, 1, memory_order_acquire) + 1 < 0)
        sync_token_wait(&rw->reader_queue, &rw->reader_tokens, WAIT_RWMUTEX_READ);
}

bool rwmutex_tryrlock(struct rwmutex *rw)
{
    int32_t n = atomic_load_explicit(&rw->readers, memory_order_relaxed);
    while (n >= 0) {
        // pairs: RWMUTEX-READERS
        if (atomic_compare_exchange_weak_explicit(&rw->readers, &n, n + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}

// A writer waits. before: readers as it was before this reader left.
static void runlock_slow(struct rwmutex *rw, int32_t before)
{
    if (before == 0 || before == -MAX_READERS) {
        atomic_fetch_add_explicit(&rw->readers, 1, memory_order_relaxed);
        go_panic("sync: RUnlock of unlocked RWMutex");
    }
    // Every leaving reader's reads come before the writer's writes. pairs: RWMUTEX-LEAVING
    if (atomic_fetch_sub_explicit(&rw->leaving, 1, memory_order_acq_rel) == 1)
        sync_token_post(&rw->writer_queue, &rw->writer_tokens, 1);
}

void rwmutex_runlock(struct rwmutex *rw)
{
    // pairs: RWMUTEX-READERS
    int32_t before = atomic_fetch_sub_explicit(&rw->readers, 1, memory_order_release);
    if (unlikely(before <= 0))
        runlock_slow(rw, before);
}

void rwmutex_lock(struct rwmutex *rw)
{
    mutex_lock(&rw->writers);
    // pairs: RWMUTEX-READERS
    int32_t inside = atomic_fetch_sub_explicit(&rw->readers, MAX_READERS, memory_order_acq_rel);
    // Those that have left since the line above have made `leaving` negative.
    // pairs: RWMUTEX-LEAVING
    if (inside != 0 &&
        atomic_fetch_add_explicit(&rw->leaving, inside, memory_order_acq_rel) + inside != 0)
        sync_token_wait(&rw->writer_queue, &rw->writer_tokens, WAIT_RWMUTEX_WRITE);
}

bool rwmutex_trylock(struct rwmutex *rw)
{
    if (!mutex_trylock(&rw->writers))
        return false;
    int32_t none = 0;
    // pairs: RWMUTEX-READERS
    if (atomic_compare_exchange_strong_explicit(&rw->readers, &none, -MAX_READERS,
                                                memory_order_acq_rel, memory_order_relaxed))
        return true;
    mutex_unlock(&rw->writers);
    return false;
}

void rwmutex_unlock(struct rwmutex *rw)
{
    int32_t n = atomic_load_explicit(&rw->readers, memory_order_relaxed);
    if (n >= 0)
        go_panic("sync: Unlock of unlocked RWMutex");
    // pairs: RWMUTEX-READERS
    n = atomic_fetch_add_explicit(&rw->readers, MAX_READERS, memory_order_acq_rel) + MAX_READERS;
    if (n > 0)
        sync_token_post(&rw->reader_queue, &rw->reader_tokens, (uint32_t)n);
    mutex_unlock(&rw->writers);
}
