// SPDX-License-Identifier: BSD-2-Clause
// test: arch=x86_64 smp=1 kopts="clock=hpet" expect="clock: TSC .* by HPET"
// With the HPET as the only reference the clock goes at the rate the clock chip has, as far as a
// busy host lets one see.

#include "check.h"
#include "arch/arch.h"

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    int64_t start = arch_wall_seconds(), now = start;
    while ((now = arch_wall_seconds()) == start)
        time_sleep(TIME_MS);
    int64_t from = time_mono();
    while (arch_wall_seconds() < now + 2)
        time_sleep(TIME_MS);
    int64_t took_ms = (time_mono() - from) / TIME_MS;
    printf("two seconds of the chip are %ld ms\n", (long)took_ms);
    check(took_ms > 1000 && took_ms < 10000);
    return 0;
}
