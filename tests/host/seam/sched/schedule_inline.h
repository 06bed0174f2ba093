// SPDX-License-Identifier: BSD-2-Clause
// In place of sched/schedule_inline.h where threads or a simulator play the scheduler: what it
// expands in place goes through the plain functions, which the test provides.
#ifndef SCHED_SCHEDULE_INLINE_H
#define SCHED_SCHEDULE_INLINE_H

#include "kernel/preempt.h"
#include "kernel/spin_inline.h"
#include "sched/park.h"
#include "sched/sched.h"

static inline bool enable_true(void)
{
    preempt_enable();
    return true;
}

static inline bool ready_and_enable(struct g *gp)
{
    goready(gp);
    return enable_true();
}

static inline void goparkunlock_inline(struct spinlock *l, enum wait_reason reason)
{
    goparkunlock(l, reason);
}

#endif
