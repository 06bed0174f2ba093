// SPDX-License-Identifier: BSD-2-Clause
// The mutex, with Go's two modes.
//
// state is one word: the goroutine that locked it (0: free) and four flags in the low bits.
//   WAITERS   the queue is not empty. Changed only under the queue's lock.
//   STARVING  the mutex goes from hand to hand in queue order. Changed only under the queue's lock,
//             while locked.
//   WOKEN     somebody who has waited is awake and will either lock or queue again: unlock need
//             wake nobody.
//   LENT      the owner is urgent on behalf of somebody who waits (sync_lend.c). Set only under the
//             queue's lock, while locked; goes with the owner.
// Normal mode: unlock frees the mutex and wakes the first waiter, which competes with whoever comes
// by; that keeps the mutex busy, since a newcomer is already running. A waiter that lost goes back
// to the front of the queue, and when it has waited STARVE_NS it sets STARVING. Starving mode:
// unlock does not free the mutex but makes the first waiter its owner; newcomers queue without
// trying. The mode ends with a waiter that waited less, or the last one.
//
// No wake-up is lost: WAITERS is set by a compare-and-swap that finds the mutex locked, so the
// unlock that follows sees it; an unlock that leaves because of WOKEN relies on that goroutine,
// which clears WOKEN only together with taking the mutex (then its own unlock sees WAITERS) or with
// queueing on a locked mutex.
//
// An unlock that frees the mutex while nobody waits or is about to does so by its last access: the
// next owner may free the memory.

#include "sched/sync.h"

#include <heddle/go.h>

#include "kernel/clock.h"
#include "kernel/panic.h"
#include "kernel/preempt.h"
#include "sched/sched.h"

enum {
    WAITERS = MUTEX_WAITERS,
    STARVING = MUTEX_STARVING,
    WOKEN = MUTEX_WOKEN,
    LENT = MUTEX_LENT,
    FLAGS = MUTEX_FLAGS,
};
enum { SPIN_TRIES = 4, SPIN_RELAX = 30 };
#define STARVE_NS ((int64_t)1000000)

static inline bool cas(struct mutex *m, uintptr_t *old, uintptr_t new, memory_order order)
{
    return atomic_compare_exchange_strong_explicit(&m->state, old, new, order,
                                                   memory_order_relaxed);
}

// Spinning helps only if the owner runs on another core right now, so that it may unlock soon, and
// nobody else wants this core. Gs are never unmapped, so looking at a stale owner is harmless.
static bool can_spin(uintptr_t state, unsigned tries)
{
    struct g *owner = mutex_owner(state);
    if (tries >= SPIN_TRIES || p_count() < 2 || !owner || (state & STARVING) || owner == getg())
        return false;
    if (atomic_load_explicit(&owner->status, memory_order_relaxed) != G_RUNNING)
        return false;
    preempt_disable();
    struct p *p = getg()->m->p;
    bool alone = p && runq_empty(p);
    preempt_enable();
    return alone;
}

static void spin(struct mutex *m, uintptr_t state)
{
    for (int i = 0; i < SPIN_RELAX; i++) {
        arch_relax();
        if (atomic_load_explicit(&m->state, memory_order_relaxed) != state)
            return;
    }
}

// Queues *me behind the owner and parks, unless the mutex is free by now. True: woken; false: not
// queued.
static bool wait_in_line(struct mutex *m, struct sync_waiter *me, bool *awake, bool starving)
{
    sync_lock(&m->queue);
    uintptr_t old = atomic_load_explicit(&m->state, memory_order_relaxed), new;
    do {
        if (!mutex_owner(old)) {
            sync_unlock(&m->queue);
            return false;
        }
        new = old | WAITERS | (starving ? STARVING : 0);
        if (*awake)
            new &= ~(uintptr_t)WOKEN;
    } while (!cas(m, &old, new, memory_order_relaxed));
    *awake = false;
    me->owner = false;
    bool again = me->since_ns != 0;
    if (!again)
        me->since_ns = clock_mono_ns();
    if (unlikely(is_urgent(me->g)))
        lend_push(&m->queue, me);
    else if (again)
        sync_push_front(&m->queue, me);
    else
        sync_push(&m->queue, me);
    sync_park(&m->queue, WAIT_MUTEX);
    return true;
}

// The caller has locked m, state being what it made of it if it did so itself.
static void got_it(struct mutex *m, struct sync_waiter *me, uintptr_t state)
{
    if (getg()->waits_for)
        lend_waits_for(NULL);
    if (state & WAITERS)
        lend_to_owner(m);
}

void mutex_lock_slow(struct mutex *m)
{
    struct sync_waiter me = { .g = getg() };
    bool awake = false; // WOKEN is set on this goroutine's behalf
    bool starving = false;
    unsigned tries = 0;
    for (;;) {
        uintptr_t old = atomic_load_explicit(&m->state, memory_order_relaxed);
        if (!mutex_owner(old)) {
            uintptr_t new = (uintptr_t)me.g | (old & FLAGS);
            if (awake)
                new &= ~(uintptr_t)WOKEN;
            // pairs: MUTEX-STATE
            if (cas(m, &old, new, memory_order_acquire)) {
                got_it(m, &me, new);
                return;
            }
            continue;
        }
        if (can_spin(old, tries)) {
            if (!awake && (old & (WAITERS | WOKEN)) == WAITERS &&
                cas(m, &old, old | WOKEN, memory_order_relaxed)) {
                awake = true;
                old |= WOKEN;
            }
            spin(m, old);
            tries++;
            continue;
        }
        if (me.since_ns == 0)
            lend_waits_for(m);
        if (unlikely(is_urgent(me.g)))
            lend_along(m);
        if (!wait_in_line(m, &me, &awake, starving))
            continue;
        if (me.owner) {
            got_it(m, &me, 0);
            return;
        }
        awake = true;
        tries = 0;
        starving = starving || clock_mono_ns() - me.since_ns > STARVE_NS;
    }
}

bool mutex_trylock(struct mutex *m)
{
    uintptr_t old = atomic_load_explicit(&m->state, memory_order_relaxed);
    while (!mutex_owner(old)) {
        // pairs: MUTEX-STATE
        if (cas(m, &old, (uintptr_t)getg() | old, memory_order_acquire)) {
            if (unlikely(old & WAITERS))
                lend_to_owner(m);
            return true;
        }
    }
    return false;
}

// Starving mode: makes w, just taken off the queue, the owner. The queue's lock is held and is
// released.
static void hand_over(struct mutex *m, struct sync_waiter *w)
{
    uintptr_t old = atomic_load_explicit(&m->state, memory_order_relaxed), new;
    bool last = !m->queue.head;
    bool ends = last || clock_mono_ns() - w->since_ns <= STARVE_NS;
    bool lent = !last && is_urgent(m->queue.head->g);
    do {
        new = (uintptr_t)w->g | (old & WOKEN) | (last ? 0 : WAITERS) | (ends ? 0 : STARVING) |
              (lent ? LENT : 0);
    } while (!cas(m, &old, new, memory_order_relaxed));
    w->owner = true;
    struct g *gp = w->g;
    if (unlikely(lent))
        lend_begin(gp);
    sync_unlock(&m->queue);
    if (unlikely(old & LENT))
        lend_end(mutex_owner(old));
    goready(gp);
    // It has waited long: let it run here and now.
    if (getg()->preempt_off == 0)
        go_yield();
}

// The mutex is locked and has waiters. False: that has changed, look again.
static bool unlock_to_waiter(struct mutex *m)
{
    sync_lock(&m->queue);
    uintptr_t old = atomic_load_explicit(&m->state, memory_order_relaxed);
    bool serve = mutex_owner(old) && (old & WAITERS) && ((old & STARVING) || !(old & WOKEN));
    if (!serve) {
        sync_unlock(&m->queue);
        return false;
    }
    struct sync_waiter *w = sync_pop(&m->queue);
    if (unlikely(!w))
        throw("mutex: marked as waited for, with an empty queue");
    if (old & STARVING) {
        hand_over(m, w);
        return true;
    }
    uintptr_t new = WOKEN | (m->queue.head ? WAITERS : 0);
    // Only WOKEN can change meanwhile, set by a spinner. If so, it is the one that is awake.
    // pairs: MUTEX-STATE
    if (!cas(m, &old, new, memory_order_release)) {
        sync_push_front(&m->queue, w);
        sync_unlock(&m->queue);
        return false;
    }
    struct g *gp = w->g;
    sync_unlock(&m->queue);
    if (unlikely(old & LENT))
        lend_end(mutex_owner(old));
    goready(gp);
    return true;
}

void mutex_unlock_slow(struct mutex *m)
{
    for (;;) {
        uintptr_t old = atomic_load_explicit(&m->state, memory_order_relaxed);
        if (unlikely(!mutex_owner(old)))
            go_panic("sync: unlock of unlocked mutex");
        if ((old & STARVING) || (old & (WAITERS | WOKEN)) == WAITERS) {
            if (unlock_to_waiter(m))
                return;
            continue;
        }
        // pairs: MUTEX-STATE
        if (cas(m, &old, old & (FLAGS & ~LENT), memory_order_release)) {
            if (unlikely(old & LENT))
                lend_end(mutex_owner(old));
            return;
        }
    }
}

void mutex_check_locked(const struct mutex *m)
{
    if (!mutex_owner(atomic_load_explicit(&m->state, memory_order_relaxed)))
        go_panic("sync: unlock of unlocked mutex");
}
