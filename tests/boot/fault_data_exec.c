// SPDX-License-Identifier: BSD-2-Clause
// test: smp=2 exit=2
// test: expect="cannot execute address 0x[0-9a-f]+ \\(protected\\)"
//
// Data is not executable: a copy of a function in a static array cannot be called.

#include <heddle.h>
#include <string.h>

static _Alignas(64) char copy[64];

static __attribute__((noinline)) void nothing(void) { __asm__ volatile(""); }

int main(void)
{
    memcpy(copy, (void *)nothing, sizeof(copy));
    ((void (*)(void))copy)();
    return 0;
}
