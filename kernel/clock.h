// SPDX-License-Identifier: BSD-2-Clause
// Time since boot in nanoseconds, monotonic across cores.
#ifndef KERNEL_CLOCK_H
#define KERNEL_CLOCK_H

#include <stdint.h>

// clock.c
void clock_init(uint64_t counter_hz, int64_t wall_ns_at_boot);
int64_t clock_mono_ns(void); // what time_mono() returns; any context
int64_t clock_wall_ns(void); // nanoseconds since 1970-01-01 UTC
int64_t clock_counter_ns(uint64_t counter); // what it was when arch_counter() said that
uint64_t clock_hz(void);
uint64_t clock_ns_to_cycles(int64_t ns);

#endif
