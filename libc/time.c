// SPDX-License-Identifier: BSD-2-Clause
// The C library's clocks and sleeps on the runtime's. Nothing interrupts a sleep: there are no
// signals. Processor time is the time since boot: the machine runs nothing else.

#include <errno.h>
#include <reent.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include <heddle/time.h>

#include "kernel/clock.h"
#include "libc/libc.h"
#include "lib/util.h"

enum { NS_PER_US = 1000 };

static int read_clock(clockid_t id, int64_t *ns)
{
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        *ns = clock_wall_ns();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *ns = clock_mono_ns();
        return 0;
    default:
        return EINVAL;
    }
}

// Nanoseconds of ts, at most those of 292 years; -1 when it is malformed.
static int64_t timespec_ns(const struct timespec *ts)
{
    int64_t ns;
    if (ts->tv_nsec < 0 || ts->tv_nsec >= TIME_S || ts->tv_sec < 0)
        return -1;
    if (__builtin_mul_overflow((int64_t)ts->tv_sec, TIME_S, &ns) ||
        __builtin_add_overflow(ns, (int64_t)ts->tv_nsec, &ns))
        return INT64_MAX;
    return ns;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

WEAK_EXPORT int clock_gettime(clockid_t id, struct timespec *ts)
{
    int64_t ns;
    int error = read_clock(id, &ns);
    if (error)
        return fail(error);
    *ts = (struct timespec){ .tv_sec = ns / TIME_S, .tv_nsec = ns % TIME_S };
    return 0;
}

WEAK_EXPORT int clock_getres(clockid_t id, struct timespec *ts)
{
    int64_t ns;
    int error = read_clock(id, &ns);
    if (error)
        return fail(error);
    if (ts)
        *ts = (struct timespec){ .tv_sec = 0, .tv_nsec = 1 };
    return 0;
}

WEAK_EXPORT int clock_settime(clockid_t id, const struct timespec *ts)
{
    return fail(EPERM);
}

// Returns the error instead of setting errno, as POSIX has it.
WEAK_EXPORT int clock_nanosleep(clockid_t id, int flags, const struct timespec *ts,
                                struct timespec *left)
{
    int64_t now, ns = timespec_ns(ts);
    int error = read_clock(id, &now);
    if (error || ns < 0)
        return error ? error : EINVAL;
    if (flags & TIMER_ABSTIME)
        ns -= MIN(now, ns);
    time_sleep(ns);
    return 0;
}

WEAK_EXPORT int nanosleep(const struct timespec *ts, struct timespec *left)
{
    int error = clock_nanosleep(CLOCK_MONOTONIC, 0, ts, left);
    if (error)
        return fail(error);
    if (left)
        *left = (struct timespec){ 0, 0 };
    return 0;
}

WEAK_EXPORT int usleep(useconds_t us)
{
    time_sleep((int64_t)us * NS_PER_US);
    return 0;
}

WEAK_EXPORT unsigned sleep(unsigned seconds)
{
    time_sleep((int64_t)seconds * TIME_S);
    return 0;
}

EXPORT int _gettimeofday_r(struct _reent *r, struct timeval *tv, void *zone)
{
    int64_t us = clock_wall_ns() / NS_PER_US;
    tv->tv_sec = us / 1000000;
    tv->tv_usec = us % 1000000;
    return 0;
}

WEAK_EXPORT int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    return _gettimeofday_r(NULL, tv, zone);
}

_Static_assert(CLOCKS_PER_SEC == 1000000, "times and clock count microseconds");

EXPORT clock_t _times_r(struct _reent *r, struct tms *t)
{
    clock_t us = (clock_t)(clock_mono_ns() / NS_PER_US);
    *t = (struct tms){ .tms_utime = us };
    return us;
}

WEAK_EXPORT clock_t times(struct tms *t)
{
    return _times_r(NULL, t);
}
