// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 exit=2 expect="^panic: crash\n" reject="^panic: crash[^^]*^panic: crash|never"
// Several goroutines panic at once on all cores, while main yields: one report, one end.

#include "check.h"

static _Atomic(bool) now;

static void crashes(void *arg)
{
    while (!now)
        go_yield();
    go_panic("crash");
}

int main(void)
{
    for (int i = 0; i < 8; i++)
        go(crashes, NULL);
    now = true;
    for (;;)
        go_yield();
}
