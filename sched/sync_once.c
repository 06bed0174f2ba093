// SPDX-License-Identifier: BSD-2-Clause
// Once. done is set, with release, before the mutex is unlocked, so that callers that find it set
// have everything fn did before them; both happen in a deferred call, because fn may panic or end
// its goroutine.

#include "sched/sync.h"

#include "sched/defer.h"

static void finish(void *arg)
{
    struct once *o = arg;
    // pairs: ONCE-DONE
    atomic_store_explicit(&o->done, 1, memory_order_release);
    mutex_unlock(&o->mutex);
}

static void do_slow(struct once *o, void (*fn)(void *), void *arg)
{
    mutex_lock(&o->mutex);
    if (atomic_load_explicit(&o->done, memory_order_relaxed)) {
        mutex_unlock(&o->mutex);
        return;
    }
    struct defer d;
    defer_push(&d, finish, o);
    fn(arg);
    defer_pop(&d);
    finish(o);
}

void once_do(struct once *o, void (*fn)(void *), void *arg)
{
    // pairs: ONCE-DONE
    if (unlikely(!atomic_load_explicit(&o->done, memory_order_acquire)))
        do_slow(o, fn, arg);
}
