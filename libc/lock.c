// SPDX-License-Identifier: BSD-2-Clause
// newlib's locks: recursive mutexes that park the goroutine. One word says who owns a lock and
// whether anybody waits, so that an uncontended lock costs one compare-and-swap each way.
//
// word: 0 free; the owner's struct g address; WAITERS is set in it while the queue is not empty,
// and is changed only under guard. A release with waiters hands the lock to the first of them. Lock
// order: guard (LOCK_SYNC) is the only spinlock taken here.
//
// A goroutine that ends must hold none: whoever were given its struct g next would own it. It is
// reported (reent.c) instead.
//
// Rejected: struct mutex and an owner beside it. Whoever asks "do I own this?" would then read the
// owner without any order to the mutex, and the wait would not show as one for a stream.

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/lock.h>

#include "kernel/panic.h"
#include "kernel/spinlock.h"
#include "libc/libc.h"
#include "sched/park.h"

#define WAITERS ((uintptr_t)1)

struct __lock {
    _Atomic(uintptr_t) word; // pairs: LIBC-LOCK
    uint32_t depth;          // owner only: acquisitions beyond the first
    struct spinlock guard;
    struct gqueue waiters; // guard: guard
};

#define DEFINE_LOCK(name) EXPORT struct __lock __lock_##name = { .guard = SPINLOCK_INIT(LOCK_SYNC) }

extern struct __lock __lock___sinit_recursive_mutex, __lock___sfp_recursive_mutex,
    __lock___atexit_recursive_mutex, __lock___at_quick_exit_mutex, __lock___malloc_recursive_mutex,
    __lock___env_recursive_mutex, __lock___tz_mutex, __lock___dd_hash_mutex,
    __lock___arc4random_mutex;

DEFINE_LOCK(__sinit_recursive_mutex);
DEFINE_LOCK(__sfp_recursive_mutex);
DEFINE_LOCK(__atexit_recursive_mutex);
DEFINE_LOCK(__at_quick_exit_mutex);
DEFINE_LOCK(__malloc_recursive_mutex);
DEFINE_LOCK(__env_recursive_mutex);
DEFINE_LOCK(__tz_mutex);
DEFINE_LOCK(__dd_hash_mutex);
DEFINE_LOCK(__arc4random_mutex);

// What a stream gets when there is no memory for a lock of its own; recursive, so sharing it is
// safe.
static struct __lock spare = { .guard = SPINLOCK_INIT(LOCK_SYNC) };

static bool on_g0(struct g *gp)
{
    return !gp->m || gp == gp->m->g0;
}

static bool try_acquire(struct __lock *l, uintptr_t me)
{
    uintptr_t free = 0;
    // pairs: LIBC-LOCK, with the release below of whoever had it
    if (unlikely(!atomic_compare_exchange_strong_explicit(
            &l->word, &free, me, memory_order_acquire, memory_order_relaxed))) {
        // Only this goroutine ever writes its own address there, so a stale value cannot equal it.
        if ((free & ~WAITERS) != me)
            return false;
        l->depth++;
    }
    ((struct g *)me)->libc_locks++;
    return true;
}

// Context: a goroutine that does not own l.
static void acquire_slow(struct __lock *l, struct g *gp)
{
    if (on_g0(gp))
        throw("__retarget_lock_acquire: a C library lock is held and this stack cannot wait");
    spin_lock(&l->guard);
    uintptr_t word = atomic_load_explicit(&l->word, memory_order_relaxed);
    for (;;) {
        uintptr_t want = word == 0 ? (uintptr_t)gp : word | WAITERS;
        // pairs: LIBC-LOCK
        if (atomic_compare_exchange_weak_explicit(&l->word, &word, want, memory_order_acquire,
                                                  memory_order_relaxed))
            break;
    }
    gp->libc_locks++;
    if (word == 0) {
        spin_unlock(&l->guard);
        return;
    }
    gqueue_push(&l->waiters, gp);
    goparkunlock(&l->guard, WAIT_STDIO); // returns as the owner
}

static void acquire(struct __lock *l)
{
    struct g *gp = getg();
    if (unlikely(!try_acquire(l, (uintptr_t)gp)))
        acquire_slow(l, gp);
}

static void release_slow(struct __lock *l)
{
    spin_lock(&l->guard);
    struct g *next = gqueue_pop(&l->waiters);
    uintptr_t word = (uintptr_t)next | (gqueue_empty(&l->waiters) ? 0 : WAITERS);
    // pairs: LIBC-LOCK
    atomic_store_explicit(&l->word, word, memory_order_release);
    spin_unlock(&l->guard);
    goready(next);
}

static void release(struct __lock *l)
{
    uintptr_t me = (uintptr_t)getg();
    ((struct g *)me)->libc_locks--;
    if (l->depth > 0) {
        l->depth--;
        return;
    }
    // pairs: LIBC-LOCK
    if (unlikely(!atomic_compare_exchange_strong_explicit(&l->word, &me, 0, memory_order_release,
                                                          memory_order_relaxed)))
        release_slow(l);
}

EXPORT void __retarget_lock_init(_LOCK_T *lock)
{
    struct __lock *l = malloc(sizeof(*l));
    if (l)
        *l = (struct __lock){ .guard = SPINLOCK_INIT(LOCK_SYNC) };
    *lock = l ? l : &spare;
}

EXPORT void __retarget_lock_init_recursive(_LOCK_T *lock)
{
    __retarget_lock_init(lock);
}

EXPORT void __retarget_lock_close(_LOCK_T l)
{
    if (l != &spare)
        free(l);
}

EXPORT void __retarget_lock_close_recursive(_LOCK_T l)
{
    __retarget_lock_close(l);
}

EXPORT void __retarget_lock_acquire(_LOCK_T l)
{
    acquire(l);
}

EXPORT void __retarget_lock_acquire_recursive(_LOCK_T l)
{
    acquire(l);
}

EXPORT int __retarget_lock_try_acquire(_LOCK_T l)
{
    return try_acquire(l, (uintptr_t)getg());
}

EXPORT int __retarget_lock_try_acquire_recursive(_LOCK_T l)
{
    return try_acquire(l, (uintptr_t)getg());
}

EXPORT void __retarget_lock_release(_LOCK_T l)
{
    release(l);
}

EXPORT void __retarget_lock_release_recursive(_LOCK_T l)
{
    release(l);
}

// Streams, for those who want several calls to stay together. One in memory has no lock.

static bool has_lock(const FILE *fp)
{
    return !(fp->_flags & __SSTR);
}

EXPORT void flockfile(FILE *fp)
{
    if (has_lock(fp))
        acquire(fp->_lock);
}

EXPORT int ftrylockfile(FILE *fp)
{
    return has_lock(fp) && !try_acquire(fp->_lock, (uintptr_t)getg());
}

EXPORT void funlockfile(FILE *fp)
{
    if (has_lock(fp))
        release(fp->_lock);
}
