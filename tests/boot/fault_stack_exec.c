// SPDX-License-Identifier: BSD-2-Clause
// test: smp=2 exit=2
// test: expect="cannot execute address 0x[0-9a-f]+ \\(protected\\)"
//
// Stacks are not executable.

#include <heddle.h>
#include <string.h>

static __attribute__((noinline)) void nothing(void) { __asm__ volatile(""); }

int main(void)
{
    char copy[64];
    memcpy(copy, (void *)nothing, 64);
    ((void (*)(void))copy)();
    return 0;
}
