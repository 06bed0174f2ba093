// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=120 expect="poll_storm: goroutines went on"
// A device that never runs dry: its poller always has work left and marks itself. Goroutines must
// nevertheless make progress, and their stacks must not grow by being stopped again and again
// before their first instruction.

#include <heddle.h>
#include <stdatomic.h>
#include <stdio.h>

#include "sched/netpoll.h"
#include "sched/sched.h"

static _Atomic(unsigned long) polls, rounds;
static _Atomic(bool) storm = true;

static bool poll(struct poller *pl)
{
    (void)pl;
    atomic_fetch_add(&polls, 1);
    return atomic_load(&storm);
}

static struct poller poller = { .poll = poll, .name = "storm" };

static void compute(void *unused)
{
    (void)unused;
    for (;;) {
        for (volatile int i = 0; i < 1000; i++)
            ;
        atomic_fetch_add(&rounds, 1);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    netpoll_register(&poller);
    for (int i = 0; i < go_numcpu(); i++)
        go(compute, NULL);
    netpoll_mark_wake(&poller);
    unsigned long last = 0;
    for (int i = 0; i < 10; i++) {
        unsigned long polls_before = atomic_load(&polls);
        while (atomic_load(&rounds) < last + 20 || atomic_load(&polls) < polls_before + 20)
            time_sleep(5000000);
        last = atomic_load(&rounds);
    }
    atomic_store(&storm, false);
    printf("poll_storm: goroutines went on\n");
    return 0;
}
