// SPDX-License-Identifier: BSD-2-Clause
// test: smp=2 exit=2
// test: expect="cannot write address 0x[0-9a-f]+ \\(not mapped\\)"
//
// Below a core's scheduling stack lies a guard page.

#include <heddle.h>

#include "sched/sched.h"

int main(void)
{
    struct g *g0 = getg()->m->g0;
    *(volatile char *)(g0->stack_lo + 8) = 0; // its lowest page is there
    *(volatile char *)(g0->stack_lo - 8) = 0;
    return 0;
}
