// SPDX-License-Identifier: BSD-2-Clause
// Park and ready: the two calls every blocking operation is made of.
#ifndef SCHED_PARK_H
#define SCHED_PARK_H

#include "sched/g.h"

// park.c

// Runs on g0 once gp is G_WAITING and off its stack; from the moment it publishes gp (releases the
// lock that guards its wait queue) gp may run elsewhere and must not be touched. False: gp runs on
// at once.
typedef bool park_commit_fn(struct g *gp, void *arg);

// Parks the calling goroutine. Locks it holds are released by commit with spin_unlock_g; it must
// hold none that commit does not release. With a NULL commit nobody knows of it: it waits for ever.
// Returns when some other party has called goready on it. Context: a goroutine, not g0, not an
// interrupt handler.
void gopark(park_commit_fn *commit, void *arg, enum wait_reason reason);

// The common case: the caller holds exactly *l, has put itself on a wait queue guarded by it, and
// waits. The lock is not held on return.
void goparkunlock(struct spinlock *l, enum wait_reason reason);

// Makes a G_WAITING goroutine runnable on the calling core's P, to run next there (runnext).
// The caller must own gp: have taken it off its wait queue under that queue's lock.
// Context: goroutine or g0 with a P (netpoll, timer functions); never an interrupt handler.
void goready(struct g *gp);

// The same, but at the end of the local run queue: for the network and timers, which ready many at
// once.
void goready_tail(struct g *gp);

// goroutine.c

// go() for a goroutine of the runtime's own: go_count does not count it, and that it waits does not
// mean that the program goes on. Errors as go().
int go_system(const char *name, void (*fn)(void *), void *arg);

// park.c

const char *wait_reason_name(enum wait_reason r);

// gqueue: FIFO of Gs through g->link.
static inline bool gqueue_empty(const struct gqueue *q) { return q->head == NULL; }

static inline void gqueue_push(struct gqueue *q, struct g *gp)
{
    gp->link = NULL;
    if (q->tail)
        q->tail->link = gp;
    else
        q->head = gp;
    q->tail = gp;
}

static inline struct g *gqueue_pop(struct gqueue *q)
{
    struct g *gp = q->head;
    if (gp) {
        q->head = gp->link;
        if (!q->head)
            q->tail = NULL;
        gp->link = NULL;
    }
    return gp;
}

// Unlinks gp from anywhere in the queue; false if it is not there.
bool gqueue_remove(struct gqueue *q, struct g *gp);

#endif
