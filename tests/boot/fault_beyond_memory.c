// SPDX-License-Identifier: BSD-2-Clause
// test: smp=2 mem=128M exit=2
// test: expect="cannot read address 0x[0-9a-f]+ \\(not mapped\\)"
//
// The direct map ends with memory.

#include <heddle.h>

#include "kernel/page.h"

int main(void)
{
    return *(volatile char *)phys_to_virt(256ull << 20);
}
