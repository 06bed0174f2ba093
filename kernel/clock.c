// SPDX-License-Identifier: BSD-2-Clause
// The counter, scaled to nanoseconds by a 32.32 fixed-point factor. The product needs 96 bits; it
// is taken in two halves, so it cannot overflow while the machine lives.

#include "kernel/clock.h"

#include "arch/arch.h"

static struct {
    uint64_t base, hz, mult; // mult: ns per count, 32 fractional bits
    uint64_t inverse;        // counts per ns, 32 fractional bits
    int64_t wall_at_base_ns;
} clock; // constant after clock_init

void clock_init(uint64_t counter_hz, int64_t wall_ns_at_boot)
{
    clock.hz = counter_hz;
    clock.mult = (1000000000ull << 32) / counter_hz;
    clock.inverse = (uint64_t)(((unsigned __int128)counter_hz << 32) / 1000000000u);
    clock.base = arch_counter();
    clock.wall_at_base_ns = wall_ns_at_boot;
}

int64_t clock_counter_ns(uint64_t counter)
{
    uint64_t n = counter - clock.base;
    return (int64_t)(((unsigned __int128)n * clock.mult) >> 32);
}

int64_t clock_mono_ns(void)
{
    return clock_counter_ns(arch_counter());
}

int64_t clock_wall_ns(void)
{
    return clock.wall_at_base_ns + clock_mono_ns();
}

uint64_t clock_hz(void)
{
    return clock.hz;
}

uint64_t clock_ns_to_cycles(int64_t ns)
{
    return (uint64_t)(((unsigned __int128)ns * clock.inverse) >> 32);
}
