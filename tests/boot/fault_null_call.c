// SPDX-License-Identifier: BSD-2-Clause
// test: smp=2 exit=2
// test: expect="cannot execute address 0x0 \\(null pointer\\)"
//
// Page 0 is not mapped for execution either, and the way that led there is reported.

#include <heddle.h>

static void (*volatile callback)(void);

int main(void)
{
    callback();
    return 0;
}
