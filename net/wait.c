// SPDX-License-Identifier: BSD-2-Clause
// Waiting with a deadline (wait.h). The timer lives on the waiter's stack. Its function may find
// the waiter gone from the queue already, and may still be running when the waiter goes on: so
// the waiter waits for it before the stack frame ends, or before it queues itself again.
#include "net/wait.h"

#include "sched/timer.h"

struct waiter {
    struct timer timer;
    struct gqueue *q;
    struct spinlock *l;
    struct g *gp;
};

// Context: g0.
static void expired(void *arg)
{
    struct waiter *w = arg;
    struct g *gp = w->gp;
    spin_lock(w->l);
    bool waiting = gqueue_remove(w->q, gp);
    spin_unlock(w->l);
    if (waiting)
        goready_tail(gp);
}

void net_wait(struct gqueue *q, struct spinlock *l, int64_t deadline_ns, enum wait_reason reason)
{
    struct g *gp = getg();
    gqueue_push(q, gp);
    if (!deadline_ns) {
        goparkunlock(l, reason);
        return;
    }
    struct waiter w = {.q = q, .l = l, .gp = gp};
    if (gp->is_system)
        timer_arm(&w.timer, deadline_ns, expired, &w);
    else
        timer_arm_vital(&w.timer, deadline_ns, expired, &w);
    goparkunlock(l, reason);
    timer_disarm_sync(&w.timer);
}

void net_wake_all(struct gqueue *q)
{
    struct g *gp;
    while ((gp = gqueue_pop(q)))
        goready_tail(gp);
}
