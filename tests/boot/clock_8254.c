// SPDX-License-Identifier: BSD-2-Clause
// test: arch=x86_64 smp=1 kopts="clock=8254" expect="clock: TSC .* by 8254"
// With the 8254 as the only reference the clock goes at the rate the clock chip has.

#include "clock_rate.h"

int main(void)
{
    check_clock_rate();
    return 0;
}
