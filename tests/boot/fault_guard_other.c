// SPDX-License-Identifier: BSD-2-Clause
// test: smp=2 exit=2
// test: expect="^fatal error: stack overflow"
//
// Writing beyond the end of another goroutine's stack hits its guard page, not a neighbour.

#include <heddle.h>

#include "sched/sched.h"

static struct g *volatile other;

static void sleeper(void *unused)
{
    (void)unused;
    other = getg();
    time_sleep(20 * 1000000000ll);
}

int main(void)
{
    go(sleeper, NULL);
    while (!other)
        go_yield();
    *(volatile char *)(other->stack_lo + 8) = 0; // the lowest page comes to be
    *(volatile char *)(other->stack_lo - 8) = 0;
    return 0;
}
