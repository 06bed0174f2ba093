// SPDX-License-Identifier: BSD-2-Clause
// Tickers: a timer of the runtime's whose function offers the time to a channel of capacity 1 and
// arms itself anew.
//
// The function and the calls below exclude each other by timer_disarm_sync: after it, no tick is
// under way and none will come, so what the channel still holds is the last of the old ticks and is
// dropped. Calls on one ticker are the application's to serialise, as in starting a timer twice.

#include <errno.h>
#include <heddle/chan.h>
#include <heddle/time.h>

#include "kernel/clock.h"
#include "sched/chan.h"
#include "sched/timer.h"

// The next tick keeps the phase; intervals that have gone by entirely are left out. Context: g0.
static void tick(void *arg)
{
    struct ticker *t = arg;
    int64_t now = clock_mono_ns();
    int64_t late_ns = now - t->timer.when_ns;
    int64_t next;
    if (late_ns < 0)
        late_ns = 0;
    if (__builtin_add_overflow(now - late_ns % t->period_ns, t->period_ns, &next))
        next = INT64_MAX;
    chan_deliver(t->c, &now);
    timer_arm_vital(&t->timer, next, tick, t);
}

int ticker_start(struct ticker *t, int64_t ns)
{
    if (ns <= 0) {
        errno = EINVAL;
        return -1;
    }
    if (timer_is_armed(&t->timer)) {
        errno = EBUSY;
        return -1;
    }
    if (!t->c && !(t->c = chan_make(sizeof(int64_t), 1)))
        return -1;
    return ticker_reset(t, ns);
}

void ticker_stop(struct ticker *t)
{
    timer_disarm_sync(&t->timer);
    if (t->c)
        chan_discard(t->c);
}

int ticker_reset(struct ticker *t, int64_t ns)
{
    if (ns <= 0 || !t->c) {
        errno = EINVAL;
        return -1;
    }
    ticker_stop(t);
    t->period_ns = ns;
    timer_arm_vital(&t->timer, time_after_ns(ns), tick, t);
    return 0;
}

void ticker_free(struct ticker *t)
{
    ticker_stop(t);
    chan_free(t->c);
    t->c = NULL;
}
