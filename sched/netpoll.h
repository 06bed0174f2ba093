// SPDX-License-Identifier: BSD-2-Clause
// Where devices meet the scheduler. An interrupt handler only marks its poller and masks its
// source; a core in its find-work path, or about to sleep, polls.
#ifndef SCHED_NETPOLL_H
#define SCHED_NETPOLL_H

#include "sched/g.h"

struct poller {
    // Polls the source with a bound on its work; readies goroutines with goready_tail. When it has
    // drained the source it re-enables the source's interrupt and looks once more; true: work is
    // left, poll again. Context: g0 with a P; never two cores at once for one poller (netpoll holds
    // `busy`).
    bool (*poll)(struct poller *pl);
    void *ctx;
    const char *name;
    bool inside; // what it announces comes from within the machine (loopback)
    _Atomic(uint32_t) busy;    // 1 while a core polls it. pairs: POLLER-BUSY
    _Atomic(uint32_t) pending; // legal to set at any time; must be set when there is work
    struct poller *next;       // list, set once at registration
};

// netpoll.c

// Adds a poller for ever. Context: before or after the scheduler starts, any goroutine.
void netpoll_register(struct poller *pl);

// Announces work. Context: an interrupt handler, whose core reschedules on return.
void netpoll_mark(struct poller *pl);
// The same for a goroutine or g0: wakes a core to poll if one sleeps.
void netpoll_mark_wake(struct poller *pl);

// Polls what is marked. Context: g0 with a P. Returns true if anything was polled.
bool netpoll(void);

// Announces work of every poller that is not inside. Context: an interrupt handler.
void netpoll_mark_all(void);
// When something was last polled, by the coarse clock. Any context.
int64_t netpoll_last_ns(void);

// True if a poller is registered by which something may come from outside. Any context.
bool netpoll_outside(void);

// True if some poller is marked and nobody is polling it. Any context.
bool netpoll_pending(void);

#endif
