// SPDX-License-Identifier: BSD-2-Clause
// test: arch=x86_64 smp=1 kopts="clock=hpet" expect="clock: TSC .* by HPET"
// With the HPET as the only reference the clock goes at the rate the clock chip has.

#include "clock_rate.h"

int main(void)
{
    check_clock_rate();
    return 0;
}
