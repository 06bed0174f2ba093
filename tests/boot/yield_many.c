// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=120 expect="yield_many: every turn was counted once"
// Many goroutines yield, park and wake one another with every queue full and every core stealing:
// none is lost and none runs twice at a time. Each counts its own turns in a plain variable, which
// a double would spoil.

#include <heddle.h>
#include <stdatomic.h>
#include <stdio.h>

enum { GOROUTINES = 60, TURNS = 400 };

static unsigned long turns[GOROUTINES];
static _Atomic(int) inside[GOROUTINES];
static struct waitgroup wg;

static void take_turns(void *arg)
{
    unsigned long n = (unsigned long)(uintptr_t)arg;
    for (int i = 0; i < TURNS; i++) {
        if (atomic_fetch_add(&inside[n], 1) != 0)
            go_panic("yield_many: goroutine %lu runs twice", n);
        turns[n]++;
        atomic_fetch_sub(&inside[n], 1);
        if (i % 16 == 15)
            time_sleep(1000);
        else
            go_yield();
    }
    waitgroup_done(&wg);
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    waitgroup_add(&wg, GOROUTINES);
    for (uintptr_t i = 0; i < GOROUTINES; i++)
        if (go(take_turns, (void *)i) != 0)
            return 1;
    waitgroup_wait(&wg);
    for (int i = 0; i < GOROUTINES; i++)
        if (turns[i] != TURNS) {
            printf("yield_many: goroutine %d had %lu turns\n", i, turns[i]);
            return 1;
        }
    printf("yield_many: every turn was counted once\n");
    return 0;
}
