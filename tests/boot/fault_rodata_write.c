// SPDX-License-Identifier: BSD-2-Clause
// test: smp=2 exit=2
// test: expect="cannot write address 0x[0-9a-f]+ \\(protected\\)"
//
// Constants are not writable.

#include <heddle.h>

static const char *volatile text = "a constant";

int main(void)
{
    *(volatile char *)text = 'A';
    return 0;
}
