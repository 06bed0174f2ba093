// SPDX-License-Identifier: BSD-2-Clause
// Timers as the runtime itself uses them: the function runs on g0 of some core that holds a P, may
// take spinlocks and ready goroutines, and must not block or allocate without bound.
// <heddle/time.h> builds the application's timers (whose functions run in goroutines of their own)
// on the same struct timer.
#ifndef SCHED_TIMER_H
#define SCHED_TIMER_H

#include <heddle/time.h>

#include "sched/g.h"

// timer.c

// Arms t, whose storage is zero or a timer that has been used before, to call fn(arg) once
// time_mono() reaches when_ns. Replaces an earlier arming atomically. O(log n), allocates nothing,
// cannot fail. Safe against a concurrent firing. A timer that is not armed moves to the caller's P;
// an armed one stays where it is. Context: goroutine or g0 with a P.
void timer_arm(struct timer *t, int64_t when_ns, void (*fn)(void *), void *arg);

// The same for a timer that may wake a goroutine which waits for nothing outside the machine: while
// one is armed the program is not deadlocked. Those of timer_start count too; those of timer_arm do
// not (see deadlock.c). Context: as timer_arm.
void timer_arm_vital(struct timer *t, int64_t when_ns, void (*fn)(void *), void *arg);

// Either of the two for a timer nobody else knows of, whatever its storage held before. Context: as
// timer_arm.
void timer_arm_new(struct timer *t, int64_t when_ns, void (*fn)(void *), void *arg, bool vital);

// Disarms; true if fn had not been started for the current arming. When false, fn may be running on
// another core right now: an owner about to free t must use timer_disarm_sync instead or let fn
// take a reference. Context: any with a P.
bool timer_disarm(struct timer *t);

// The same, and waits until no core is inside fn on behalf of t. A fn that arms t again, which is
// undone too, must do so as its last use of anything the caller is about to free. Context: not fn
// itself, holding no lock that fn takes.
bool timer_disarm_sync(struct timer *t);

// True if t is armed and its function has not been started. A hint unless the caller excludes
// changes.
bool timer_is_armed(struct timer *t);

// For the scheduler. Runs timers of p that are due at now_ns, a bounded number of them; returns
// when the next is due (now or earlier when the bound was hit, INT64_MAX: none). Context: g0,
// holding some P; p may be another's (an idle core steals timers).
int64_t timers_run(struct p *p, int64_t now_ns);

// Earliest timer of p, INT64_MAX when none. Any context, one relaxed load.
static inline int64_t timers_next(struct p *p)
{
    return atomic_load_explicit(&p->timers.next_ns, memory_order_relaxed);
}

void timers_init(struct p *p);
// Moves every timer of from to the calling core's P. Context: the world is stopped.
void timers_move(struct p *from);

// time.c

// now + ns, no later than the last time there is.
int64_t time_after_ns(int64_t ns);

// preempt.c: told by timer.c, after the timer is in p's heap, that when_ns is now p's earliest.
// Context: preemption is off and no lock of timer.c is held, but the caller of timer_arm may hold
// locks of lower rank.
void sched_timer_earlier(struct p *p, int64_t when_ns);

#endif
