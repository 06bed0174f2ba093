// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 kopts="slice_us=100" expect="^printed 2400 lines$"
// test: reject="line .*line |^[^l]*end$"
//
// printf from goroutines on every core at once, while they are preempted: lines stay whole, and
// none disturbs another's errno or the number printf returns.

#include <errno.h>
#include <heddle.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PRINTERS = 12, LINES = 200 };

static struct waitgroup printing;
static _Atomic(int) printed;

static void printer(void *arg)
{
    int id = (int)(long)arg;
    for (int i = 0; i < LINES; i++) {
        char text[64];
        int n = snprintf(text, sizeof(text), "line %d.%d %.*s end\n", id, i, i % 30,
                         "------------------------------");
        errno = id + 1;
        if (printf("line %d.%d %.*s end\n", id, i, i % 30, "------------------------------") != n ||
            errno != id + 1) {
            puts("wrong result or errno");
            exit(1);
        }
        atomic_fetch_add(&printed, 1);
        if (i % 16 == 0)
            go_yield();
    }
    waitgroup_done(&printing);
}

int main(void)
{
    waitgroup_add(&printing, PRINTERS);
    for (long i = 0; i < PRINTERS; i++)
        go(printer, (void *)i);
    waitgroup_wait(&printing);
    printf("printed %d lines\n", printed);
    return 0;
}
