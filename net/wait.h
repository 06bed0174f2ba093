// SPDX-License-Identifier: BSD-2-Clause
// Waiting with a deadline on a queue guarded by a spinlock, as sockets do.
#ifndef NET_WAIT_H
#define NET_WAIT_H

#include "sched/park.h"

// wait.c

// Parks the caller at the end of q, which l guards, until it is taken off and readied or
// deadline_ns comes (0: none). l is held on entry and not on return. The caller looks at its
// condition again afterwards, the clock included, since waking is only a hint. Context:
// goroutine, holding exactly l.
void net_wait(struct gqueue *q, struct spinlock *l, int64_t deadline_ns, enum wait_reason reason);

// Readies every goroutine of a queue that has been cut off its object: move the queue to a local
// variable under the lock, unlock, then call this. Context: goroutine or g0 with a P, no net
// locks held.
void net_wake_all(struct gqueue *q);

// Takes the whole queue. Context: the guarding lock is held.
static inline struct gqueue gqueue_take(struct gqueue *q)
{
    struct gqueue t = *q;
    q->head = q->tail = NULL;
    return t;
}

#endif
