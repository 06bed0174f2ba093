// SPDX-License-Identifier: BSD-2-Clause
// test: san=none,undefined smp=2 exit=2
// test: expect="cannot write address 0x[0-9a-f]+ \\(not mapped\\)"
//
// Text is not writable under another address: the direct map leaves it out.

#include <heddle.h>

#include "kernel/page.h"

int main(void)
{
    *(volatile char *)phys_to_virt(virt_to_phys(&main)) = 0;
    return 0;
}
