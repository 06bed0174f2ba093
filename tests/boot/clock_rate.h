// SPDX-License-Identifier: BSD-2-Clause
// What the tests of the clock's references share.
#ifndef TESTS_BOOT_CLOCK_RATE_H
#define TESTS_BOOT_CLOCK_RATE_H

#include "arch/arch.h"
#include "check.h"

// The clock goes at the rate the clock chip has, as far as a busy host lets one see.
static inline void check_clock_rate(void)
{
    int64_t start = arch_wall_seconds(), now = start;
    while ((now = arch_wall_seconds()) == start)
        time_sleep(TIME_MS);
    int64_t from = time_mono();
    while (arch_wall_seconds() < now + 2)
        time_sleep(TIME_MS);
    int64_t took_ms = (time_mono() - from) / TIME_MS;
    printf("two seconds of the chip are %ld ms\n", (long)took_ms);
    check(took_ms > 1000 && took_ms < 10000);
}

#endif
