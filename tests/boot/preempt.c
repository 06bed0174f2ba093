// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=120 kopts="slice_us=500" expect="preempt: hogs gave way"
// Endless loops, twice as many as cores, the empty one included, give way to main, and no register
// of theirs changes while they do, each loop with values of its own.

#include <heddle.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#include <registers.h>

static _Atomic(int) broken;
static _Atomic(int) started;
static _Atomic(uint64_t) rounds[64];

static void empty_loop(void *unused)
{
    (void)unused;
    atomic_fetch_add(&started, 1);
    for (;;)
        __asm__ volatile("");
}

static void register_loop(void *arg)
{
    uint64_t n = (uintptr_t)arg;
    atomic_fetch_add(&started, 1);
    for (uint64_t i = 0;; i++) {
        uint64_t seed = n << 48 | i;
        if (!registers_survive(seed))
            atomic_store(&broken, 1);
        atomic_fetch_add(&rounds[n], 1);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    int n = go_numcpu();
    for (int i = 0; i < n; i++) {
        go(empty_loop, NULL);
        go(register_loop, (void *)(uintptr_t)i);
    }
    for (int i = 0; i < n; i++)
        while (atomic_load(&rounds[i]) < 200) {
            time_sleep(1000000);
            if (!registers_are_fresh())
                atomic_store(&broken, 1);
        }
    while (atomic_load(&started) < 2 * n)
        time_sleep(1000000);
    if (atomic_load(&broken)) {
        printf("preempt: a register changed\n");
        return 1;
    }
    printf("preempt: hogs gave way\n");
    return 0;
}
