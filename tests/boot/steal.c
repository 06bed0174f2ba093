// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=120 expect="steal: every goroutine ran once"
// One P makes far more goroutines than its queue holds; each runs exactly once, and where there are
// several cores, more than one of them takes part.

#include <heddle.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include "sched/sched.h"

enum { N = 5000 };

static _Atomic(uint8_t) ran[N];
static _Atomic(uint32_t) done;
static _Atomic(uint64_t) cores_seen;

static void work(void *arg)
{
    uintptr_t n = (uintptr_t)arg;
    preempt_disable();
    unsigned core = getg()->m->id;
    preempt_enable();
    for (volatile int i = 0; i < 2000; i++)
        ;
    atomic_fetch_or(&cores_seen, 1ull << core);
    atomic_fetch_add(&ran[n], 1);
    atomic_fetch_add(&done, 1);
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (int round = 0; round < 3; round++) {
        for (uintptr_t i = 0; i < N; i++)
            if (go(work, (void *)i) != 0) {
                printf("steal: go failed at %lu\n", (unsigned long)i);
                return 1;
            }
        while (atomic_load(&done) < (uint32_t)(round + 1) * N)
            time_sleep(1000000);
    }
    for (int i = 0; i < N; i++)
        if (ran[i] != 3) {
            printf("steal: goroutine %d ran %d times\n", i, ran[i]);
            return 1;
        }
    int cores = __builtin_popcountll(cores_seen);
    if (go_numcpu() > 1 && cores < 2) {
        printf("steal: only one of %d cores took part\n", go_numcpu());
        return 1;
    }
    printf("steal: every goroutine ran once in each round\n");
    return 0;
}
