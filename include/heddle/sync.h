// SPDX-License-Identifier: BSD-2-Clause
// Synchronisation between goroutines on any cores. A zero-initialised object is ready to use and
// needs no destruction; an object may be freed once nobody waits on it or is about to use it.
// Objects must not be copied after their first use. Every member is private unless said otherwise.
// Blocking parks the goroutine only.
#ifndef HEDDLE_SYNC_H
#define HEDDLE_SYNC_H

#include <heddle_self.h> // from arch/, by the include path
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

struct sync_waiter;

// A queue of waiting goroutines.
struct sync_queue {
    uint32_t lock;
    struct sync_waiter *head, *tail;
};

// Mutual exclusion. Not recursive; may be unlocked by another goroutine than locked it. A waiter
// that has not got it for 1 ms is handed it by the next unlock, ahead of everyone.
struct mutex {
    _Atomic(uintptr_t) state;
    struct sync_queue queue;
};

// The rest of mutex_lock and mutex_unlock where the plain case does not apply.
void mutex_lock_slow(struct mutex *m);
void mutex_unlock_slow(struct mutex *m);

// Blocks until the mutex is the caller's.
static inline void mutex_lock(struct mutex *m)
{
    uintptr_t free = 0;
    // pairs: MUTEX-STATE
    if (!atomic_compare_exchange_strong_explicit(&m->state, &free, (uintptr_t)heddle_self(),
                                                 memory_order_acquire, memory_order_relaxed))
        mutex_lock_slow(m);
}

// True: locked. False: somebody has it. Never blocks.
bool mutex_trylock(struct mutex *m);
// Panics "sync: unlock of unlocked mutex". Never blocks.
static inline void mutex_unlock(struct mutex *m)
{
    uintptr_t mine = (uintptr_t)heddle_self();
    // pairs: MUTEX-STATE
    if (!atomic_compare_exchange_strong_explicit(&m->state, &mine, 0, memory_order_release,
                                                 memory_order_relaxed))
        mutex_unlock_slow(m);
}

// Many readers or one writer. A waiting writer keeps new readers out, so a goroutine must not
// read-lock twice.
struct rwmutex {
    struct mutex writers;
    _Atomic(int32_t) readers;
    _Atomic(int32_t) leaving;
    uint32_t reader_tokens, writer_tokens;
    struct sync_queue reader_queue, writer_queue;
};

// Blocks until nobody else reads or writes.
void rwmutex_lock(struct rwmutex *rw);
bool rwmutex_trylock(struct rwmutex *rw);
// Panics "sync: Unlock of unlocked RWMutex".
void rwmutex_unlock(struct rwmutex *rw);
// Blocks until nobody writes or has been waiting to.
void rwmutex_rlock(struct rwmutex *rw);
bool rwmutex_tryrlock(struct rwmutex *rw);
// Panics "sync: RUnlock of unlocked RWMutex".
void rwmutex_runlock(struct rwmutex *rw);

// Waits for a number of things to be done. Adds from zero must happen before the wait; reuse is
// allowed once every wait has returned.
struct waitgroup {
    _Atomic(uint64_t) state;
    struct sync_queue queue;
};

// Changes the count by n. At zero every waiter is woken. Panics "sync: negative WaitGroup counter".
// Never blocks.
void waitgroup_add(struct waitgroup *w, int n);
// waitgroup_add(w, -1).
void waitgroup_done(struct waitgroup *w);
// Blocks until the count is zero.
void waitgroup_wait(struct waitgroup *w);

// Something to be done once.
struct once {
    _Atomic(uint32_t) done;
    struct mutex mutex;
};

// Calls fn(arg) if no call for o has been made yet; returns when the first call has ended, so it
// may block. A fn that panics or calls go_exit counts as done. fn must not call once_do on the same
// o.
void once_do(struct once *o, void (*fn)(void *), void *arg);

// A condition variable.
struct cond {
    struct sync_queue queue;
};

// Unlocks m, waits to be signalled, locks m again. Whoever waits has joined the queue before m is
// unlocked; there are no spurious wake-ups, but the condition may have changed again.
void cond_wait(struct cond *c, struct mutex *m);
// Wakes the one that has waited longest, if any. The mutex need not be held. Never blocks.
void cond_signal(struct cond *c);
// Wakes all.
void cond_broadcast(struct cond *c);

// A counting semaphore of up to 2^32 - 1; it begins at 0, or at n with SEMA_INIT(n). First come,
// first served.
struct sema {
    _Atomic(uint64_t) state;
    struct sync_queue queue;
};
#define SEMA_INIT(n) { .state = (uint32_t)(n) }

// Blocks until the count is above 0 and takes 1 from it.
void sema_acquire(struct sema *s);
// Takes 1 if that is possible without blocking.
bool sema_try_acquire(struct sema *s);
// Adds 1, or wakes the first waiter with it. Never blocks.
void sema_release(struct sema *s);

// A cache of interchangeable objects, one for each P, so that get and put share nothing between
// cores in the usual case. Objects stay until taken or until pool_clear.
struct pool {
    void *(*make)(void); // public, may be NULL: makes an object for pool_get when there is none
    _Atomic(struct pool_shard *) shards;
};

// Some object put earlier, or one from p->make, or NULL. Never blocks (unless make does).
void *pool_get(struct pool *p);
// Gives obj to the pool. False: there was no memory to keep it in, and obj is still the caller's.
// NULL is ignored (true). Never blocks.
bool pool_put(struct pool *p, void *obj);
// Empties the pool and frees its own memory, calling dispose (unless NULL) for each object. Nobody
// else may use the pool meanwhile.
void pool_clear(struct pool *p, void (*dispose)(void *obj));

#pragma GCC visibility pop

#endif
