// SPDX-License-Identifier: BSD-2-Clause
// Mutexes lend urgency: while an urgent goroutine waits for one, whoever holds it is urgent too, so
// that no ordinary goroutine keeps the urgent one waiting but for what it does with the mutex held.
//
// MUTEX_LENT in a mutex's state says that its owner's urgency counts one more because of it. It is
// set by the urgent goroutine that comes to wait (lend_along) or by an owner that finds an urgent
// one waiting (lend_to_owner), under the lock of the mutex's queue; unlock takes it away together
// with the ownership, and the count from whom it was lent to. The count may be taken away by an
// unlock before it has been added by who set the flag: it is modulo 128, and right in the end.
//
// Along: the owner may wait for another mutex in turn. g->waits_for says which; a goroutine sets it
// before it queues and clears it when it has the mutex, under its lend_lock; so whoever finds it
// set under that lock may look at the mutex: its memory is in use until the goroutine has got it.
// The waiter moves to the front there, and so on, at most CHAIN_MAX times. A holder that lies in a
// run queue is fetched out of it (urgent_expedite), by whoever is the first to lend to it.
//
// Lock order: lend_lock, then a queue's lock.
//
// Readers of a rwmutex are not known one by one, and are lent nothing; its writers are, by the
// mutex within.

#include "sched/sync.h"

#include "kernel/preempt.h"
#include "sched/world.h"

enum { CHAIN_MAX = 8, LENT_MASK = URGENT_OWN - 1 };

// Changes the count of gp by one, modulo 128, without touching its own urgency.
static void add(struct g *gp, uint8_t by)
{
    uint8_t old = atomic_load_explicit(&gp->urgency, memory_order_relaxed), new;
    do {
        new = (uint8_t)((old & URGENT_OWN) | ((old + by) & LENT_MASK));
    } while (!atomic_compare_exchange_weak_explicit(&gp->urgency, &old, new, memory_order_relaxed,
                                                    memory_order_relaxed));
}

void lend_begin(struct g *gp)
{
    add(gp, 1);
}

void lend_end(struct g *gp)
{
    add(gp, LENT_MASK);
}

void lend_push(struct sync_queue *q, struct sync_waiter *w)
{
    struct sync_waiter *prev = NULL;
    for (struct sync_waiter *at = q->head; at && is_urgent(at->g); at = at->next)
        prev = at;
    if (!prev) {
        sync_push_front(q, w);
    } else if (prev == q->tail) {
        sync_push(q, w);
    } else {
        w->next = prev->next;
        w->queued = true;
        prev->next = w;
    }
}

// gp, which waits in q, is urgent now: to the front. Context: q is locked.
static void move_up(struct sync_queue *q, struct g *gp)
{
    struct sync_waiter *prev = NULL, *w = q->head;
    for (; w && w->g != gp; w = w->next)
        prev = w;
    if (!w || !prev)
        return;
    prev->next = w->next;
    if (q->tail == w)
        q->tail = prev;
    lend_push(q, w);
}

// Sets MUTEX_LENT for m's owner, which is returned in *owner (NULL: nobody). False: it was set.
// Context: m's queue is locked.
static bool set_lent(struct mutex *m, struct g **owner)
{
    uintptr_t old = atomic_load_explicit(&m->state, memory_order_relaxed);
    for (;;) {
        *owner = mutex_owner(old);
        if (!*owner || (old & MUTEX_LENT))
            return false;
        if (atomic_compare_exchange_weak_explicit(&m->state, &old, old | MUTEX_LENT,
                                                  memory_order_relaxed, memory_order_relaxed))
            break;
    }
    lend_begin(*owner);
    return true;
}

void lend_to_owner(struct mutex *m)
{
    struct g *owner;
    sync_lock(&m->queue);
    if (m->queue.head && is_urgent(m->queue.head->g))
        set_lent(m, &owner);
    sync_unlock(&m->queue);
}

void lend_waits_for(struct mutex *m)
{
    struct g *gp = getg();
    spin_lock(&gp->lend_lock);
    gp->waits_for = m;
    spin_unlock(&gp->lend_lock);
}

// gp, urgent by now, may itself wait for a mutex: lends to the owner of that one. The owner, or
// NULL if there is nobody new to lend to.
static struct g *lend_from(struct g *gp)
{
    struct g *owner = NULL;
    bool new = false;
    spin_lock(&gp->lend_lock);
    struct mutex *m = gp->waits_for;
    if (m) {
        sync_lock(&m->queue);
        move_up(&m->queue, gp);
        new = set_lent(m, &owner);
        sync_unlock(&m->queue);
    }
    spin_unlock(&gp->lend_lock);
    return new ? owner : NULL;
}

// Stopping the world takes a mutex too, so the caller may wait for that one in between.
static void expedite(struct g *holder, struct mutex *m)
{
    urgent_expedite(holder);
    lend_waits_for(m);
}

void lend_along(struct mutex *m)
{
    struct g *gp = lend_from(getg());
    for (int n = 0; gp && n < CHAIN_MAX; n++) {
        struct g *last = gp;
        gp = lend_from(gp);
        // Whoever stops the world is not preempted for long, and looking for him takes stopping it.
        if (!gp && !world_mutex_is(m) &&
            atomic_load_explicit(&last->status, memory_order_relaxed) == G_RUNNABLE)
            expedite(last, m);
    }
}
