// SPDX-License-Identifier: BSD-2-Clause
// Condition variables. A waiter joins the queue before it unlocks the mutex, so no signal sent
// after that misses it; it parks only if it has not been signalled by the time it gets there.
// Signals go to waiters in the order in which they joined.

#include "sched/sync.h"

#include <heddle/go.h>

void cond_wait(struct cond *c, struct mutex *m)
{
    struct sync_waiter me = { .g = getg() };
    // Found out before anything is queued: a panic that is recovered leaves no waiter behind.
    mutex_check_locked(m);
    sync_lock(&c->queue);
    sync_push(&c->queue, &me);
    sync_unlock(&c->queue);
    mutex_unlock(m);

    sync_lock(&c->queue);
    if (me.queued) {
        me.parked = true;
        sync_park(&c->queue, WAIT_COND);
    } else {
        sync_unlock(&c->queue);
    }
    mutex_lock(m);
}

void cond_signal(struct cond *c)
{
    struct g *wake = NULL;
    sync_lock(&c->queue);
    struct sync_waiter *w = sync_pop(&c->queue);
    if (w && w->parked)
        wake = w->g;
    sync_unlock(&c->queue);
    if (wake)
        goready(wake);
}

void cond_broadcast(struct cond *c)
{
    struct sync_queue woken = { 0 };
    struct sync_waiter *w;
    sync_lock(&c->queue);
    while ((w = sync_pop(&c->queue)) != NULL) {
        // One that has not parked looks at `queued` under the lock and runs on by itself.
        if (w->parked)
            sync_push(&woken, w);
    }
    sync_unlock(&c->queue);
    sync_ready_list(woken.head);
}
