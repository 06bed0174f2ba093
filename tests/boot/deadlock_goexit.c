// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 exit=2 reject="asleep"
// test: expect="last one(.|\n)*fatal error: no goroutines \(main called runtime.Goexit\) - dead"
// main ends by go_exit, the others run on; when the last has gone there is nothing left that could
// end the machine. A timer whose function is still to come is something.

#include "check.h"

static struct timer t;

static void last(void *unused)
{
    printf("last one\n");
}

static void other(void *unused)
{
    time_sleep(20 * TIME_MS);
    timer_start(&t, 20 * TIME_MS, last, NULL);
}

int main(void)
{
    check(go(other, NULL) == 0);
    go_exit();
}
