// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4,8 machines=q35,microvm timeout=60 expect="smp: all cores met"
// Every core runs a goroutine at the same moment: as many goroutines as cores meet at a barrier
// that spins.

#include <heddle.h>
#include <stdatomic.h>
#include <stdio.h>

#include "arch/arch.h"

static _Atomic(int) arrived;
static _Atomic(int) done;

static void meet(void *unused)
{
    (void)unused;
    atomic_fetch_add(&arrived, 1);
    while (atomic_load(&arrived) < go_numcpu())
        arch_relax();
    atomic_fetch_add(&done, 1);
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    for (int i = 0; i < go_numcpu(); i++)
        if (go(meet, NULL) != 0)
            return 1;
    while (atomic_load(&done) < go_numcpu())
        time_sleep(1000000);
    printf("smp: all cores met, %d\n", go_numcpu());
    return 0;
}
