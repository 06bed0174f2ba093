// SPDX-License-Identifier: BSD-2-Clause
// test: arch=host smp=1,2 mem=512M timeout=60 expect="^40000 stacks$"
//
// More goroutines at once than a process may have mappings for their stacks and guards: all of them
// start, grow, wait and end.

#include <heddle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GOROUTINES = 40000, GROWN_EVERY = 100 };

static struct chan *gate;
static struct waitgroup started, ended;

static void waits(void *arg)
{
    if ((uintptr_t)arg % GROWN_EVERY == 0) {
        volatile char deep[20000];
        memset((char *)deep, 1, sizeof deep);
    }
    waitgroup_done(&started);
    chan_recv(gate, NULL);
    waitgroup_done(&ended);
}

int main(void)
{
    gate = chan_make(0, 0);
    waitgroup_add(&started, GOROUTINES);
    waitgroup_add(&ended, GOROUTINES);
    for (uintptr_t i = 0; i < GOROUTINES; i++)
        if (go(waits, (void *)i) != 0)
            exit(1);
    waitgroup_wait(&started);
    chan_close(gate);
    waitgroup_wait(&ended);
    printf("%d stacks\n", GOROUTINES);
    return 0;
}
