// SPDX-License-Identifier: BSD-2-Clause
// Clocks and sleeping as applications see them.
//
// A sleeper's timer lies on its own stack, armed by the commit function when the goroutine has left
// it: so it cannot fire before the goroutine can be readied, and it is out of the heap before the
// goroutine runs on.

#include <heddle/chan.h>
#include <heddle/time.h>

#include "kernel/clock.h"
#include "sched/chan.h"
#include "sched/park.h"
#include "sched/timer.h"

struct sleeper {
    struct timer timer;
    int64_t when_ns;
};

int64_t time_mono(void)
{
    return clock_mono_ns();
}

int64_t time_wall(void)
{
    return clock_wall_ns();
}

int64_t time_after_ns(int64_t ns)
{
    int64_t now = clock_mono_ns(), when;
    if (ns <= 0)
        return now;
    return __builtin_add_overflow(now, ns, &when) ? INT64_MAX : when;
}

static void sleep_over(void *gp)
{
    goready_tail(gp);
}

// Context: g0. The goroutine may run elsewhere as soon as the timer is armed.
static bool sleep_commit(struct g *gp, void *arg)
{
    struct sleeper *s = arg;
    timer_arm_new(&s->timer, s->when_ns, sleep_over, gp, !gp->is_system);
    return true;
}

void time_sleep(int64_t ns)
{
    if (ns <= 0)
        return;
    struct sleeper s;
    s.when_ns = time_after_ns(ns);
    gopark(sleep_commit, &s, WAIT_SLEEP);
}

static void after_due(void *arg)
{
    int64_t now = clock_mono_ns();
    chan_deliver(arg, &now);
}

struct chan *time_after(int64_t ns)
{
    struct chan *c = chan_make_timed(sizeof(int64_t), 1);
    if (c)
        timer_arm_new(c->timer, time_after_ns(ns), after_due, c, true);
    return c;
}
