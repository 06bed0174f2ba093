// SPDX-License-Identifier: BSD-2-Clause
// Time: clocks, sleeping, timers and tickers. All times are int64_t nanoseconds.
#ifndef HEDDLE_TIME_H
#define HEDDLE_TIME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(default)

#define TIME_US INT64_C(1000)
#define TIME_MS INT64_C(1000000)
#define TIME_S INT64_C(1000000000)

struct chan;
struct p;

// Since boot; never goes back, the same on every core.
int64_t time_mono(void);

// Since 1970-01-01 00:00 UTC.
int64_t time_wall(void);

// Blocks for at least ns nanoseconds; returns at once when ns <= 0.
void time_sleep(int64_t ns);

// A timer calls a function once, later. Its storage is the application's and must be zero (as
// static storage and `= {0}` are) before the first timer_start; every member is private. It may be
// freed or reused when timer_stop returned true, or when the function has started and no
// timer_reset has been made since.
struct timer {
    int64_t when_ns;
    struct timer *left, *right, *parent;
    void (*fn)(void *);
    void *arg;
    _Atomic(struct p *) home;
    uint8_t state;
    uint8_t flags;
    uint16_t rank;
    uint32_t runner;
};

// Calls fn(arg) in a goroutine of its own once ns nanoseconds have passed (at once when ns <= 0). A
// timer that is running is set anew. Never blocks and cannot fail; if there is no memory for the
// goroutine when the time has come, it is tried again a millisecond later until there is. A NULL fn
// panics.
void timer_start(struct timer *t, int64_t ns, void (*fn)(void *), void *arg);

// Stops t. True: fn had not been started and will not be. False: it has been started (and may be
// running now), or t was not set. Never blocks and does not wait for fn.
bool timer_stop(struct timer *t);

// Sets t anew to call the fn of its timer_start after ns nanoseconds. True: it had not fired yet
// (and now fires once, at the new time); false: it had fired or been stopped, and fires again.
// Panics when t was never started. Never blocks.
bool timer_reset(struct timer *t, int64_t ns);

// A channel (element: int64_t) that delivers the time_mono() at which ns nanoseconds had passed,
// once. The caller frees it with chan_free, before or after. NULL with errno ENOMEM. Never blocks.
struct chan *time_after(int64_t ns);

// A ticker sends the time on its channel at regular intervals. Ticks that nobody has received are
// dropped, not kept: the channel holds one.
struct ticker {
    struct chan *c; // element: int64_t, the time_mono() of the tick
    // Private.
    struct timer timer;
    int64_t period_ns;
};

// Starts t, which must be zero or stopped, with a tick every ns nanoseconds. 0, or -1 with errno
// EINVAL when ns <= 0, ENOMEM when there is no memory for the channel, EBUSY when it is running.
// Never blocks.
int ticker_start(struct ticker *t, int64_t ns);

// Stops the ticks; a tick not yet received is dropped. Does not close t->c, so that nobody takes
// the end for a tick. May be started again.
void ticker_stop(struct ticker *t);

// Changes the interval; the next tick comes ns nanoseconds from now, none of the old ones later
// than this call. Starts a stopped ticker again. -1 with errno EINVAL when ns <= 0 or t was never
// started.
int ticker_reset(struct ticker *t, int64_t ns);

// Stops t and frees its channel, on which nobody may be waiting. t is as new.
void ticker_free(struct ticker *t);

#pragma GCC visibility pop

#endif
