// SPDX-License-Identifier: BSD-2-Clause
// test: arch=host san=undefined smp=1 exit=2
// test: expect="fatal error: invalid opcode[^$]*san_undefined.c:main"
//
// Undefined behaviour ends the program where it happens.

#include <limits.h>
#include <stdio.h>

static volatile int large = INT_MAX;

int main(void)
{
    large = large + 1;
    printf("%d\n", large);
    return 0;
}
