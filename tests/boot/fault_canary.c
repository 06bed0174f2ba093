// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1 exit=2
// test: expect="^fatal error: stack smashing: [^$]*fault_canary.c:" reject="not noticed"
//
// A function that writes beyond an array of its own does not return.

#include <heddle.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/boot/check.h"

extern uintptr_t __stack_chk_guard;

static __attribute__((noinline)) void smash(volatile unsigned n)
{
    char array[16];
    volatile char *at = array;
    for (unsigned i = 0; i < n; i++)
        at[i] = 'x';
    printf("%c\n", at[0]);
}

int main(void)
{
    check(__stack_chk_guard >> 32 != 0 && (__stack_chk_guard & 0xff) == 0);
    smash(16);
    smash(32);
    puts("not noticed");
    return 0;
}
