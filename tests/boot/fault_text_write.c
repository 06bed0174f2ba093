// SPDX-License-Identifier: BSD-2-Clause
// test: san=none,undefined smp=2 exit=2
// test: expect="cannot write address 0x[0-9a-f]+ \\(protected\\)[^$]*fault_text_write.c:main"
//
// Text is not writable.

#include <heddle.h>

int main(void)
{
    *(volatile char *)&main = 0;
    return 0;
}
