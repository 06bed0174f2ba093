// SPDX-License-Identifier: BSD-2-Clause
// What the objects of <heddle/sync.h> are made of: a queue of waiting goroutines under a spinlock
// of its own.
//
// A zero object must work, so the spinlock has no rank (0: unchecked). It is a leaf: nothing else
// is locked and nothing readied while one is held.
#ifndef SCHED_SYNC_H
#define SCHED_SYNC_H

#include <heddle/sync.h>

#include "kernel/spinlock.h"
#include "sched/g.h"
#include "sched/park.h"
#include "sched/sched.h"

_Static_assert(sizeof(struct spinlock) == sizeof(uint32_t), "sync_queue.lock holds a spinlock");

// One waiting goroutine; on its own stack. guard: the queue's lock while queued.
struct sync_waiter {
    struct sync_waiter *next;
    struct g *g;
    int64_t since_ns; // mutex: when it began to wait
    bool queued;      // cond: not yet signalled
    bool parked;      // cond: has gone to wait
    bool owner;       // mutex: was handed the mutex by unlock
};

static inline struct spinlock *sync_lock_of(struct sync_queue *q)
{
    return (struct spinlock *)&q->lock;
}

static inline void sync_lock(struct sync_queue *q)
{
    spin_lock(sync_lock_of(q));
}

static inline void sync_unlock(struct sync_queue *q)
{
    spin_unlock(sync_lock_of(q));
}

// The functions below: q is locked.

static inline void sync_push(struct sync_queue *q, struct sync_waiter *w)
{
    w->next = NULL;
    w->queued = true;
    if (q->tail)
        q->tail->next = w;
    else
        q->head = w;
    q->tail = w;
}

static inline void sync_push_front(struct sync_queue *q, struct sync_waiter *w)
{
    w->next = q->head;
    w->queued = true;
    if (!q->head)
        q->tail = w;
    q->head = w;
}

// The first waiter, which is the caller's to ready; NULL: none.
static inline struct sync_waiter *sync_pop(struct sync_queue *q)
{
    struct sync_waiter *w = q->head;
    if (w) {
        q->head = w->next;
        if (!q->head)
            q->tail = NULL;
        w->queued = false;
    }
    return w;
}

// Parks the caller, which is on q; q is not locked on return.
static inline void sync_park(struct sync_queue *q, enum wait_reason reason)
{
    goparkunlock(sync_lock_of(q), reason);
}

// sync_mutex.c

// Panics as mutex_unlock would if nobody has locked m.
void mutex_check_locked(const struct mutex *m);

// The flags in the low bits of a mutex's state, whose rest is the goroutine that holds it.
enum { MUTEX_WAITERS = 1, MUTEX_STARVING = 2, MUTEX_WOKEN = 4, MUTEX_LENT = 8, MUTEX_FLAGS = 15 };

static inline struct g *mutex_owner(uintptr_t state)
{
    return (struct g *)(state & ~(uintptr_t)MUTEX_FLAGS);
}

// sync_lend.c

// The caller, urgent, is about to wait for m: whoever holds it, and whoever that one waits for, is
// urgent from now on. Blocks for moments. Context: goroutine, preemptible.
void lend_along(struct mutex *m);
// m is locked by the caller while others wait: it is lent the urgency of the first, if that is
// urgent.
void lend_to_owner(struct mutex *m);
// gp no longer holds a mutex whose state had MUTEX_LENT.
void lend_end(struct g *gp);
// gp holds a mutex whose state has MUTEX_LENT now.
void lend_begin(struct g *gp);
// Tells what the caller waits for; NULL: nothing any more.
void lend_waits_for(struct mutex *m);
// Puts w into q, which is locked: an urgent one before those that are not.
void lend_push(struct sync_queue *q, struct sync_waiter *w);

// sync_sema.c

// A count of permits beside a queue, both guarded by the queue's lock, for the blocking sides of
// rwmutex.
void sync_token_wait(struct sync_queue *q, uint32_t *tokens, enum wait_reason reason);
void sync_token_post(struct sync_queue *q, uint32_t *tokens, uint32_t n);
// Readies a list of waiters that have been taken off their queue. Context: no lock is held.
void sync_ready_list(struct sync_waiter *first);

#endif
