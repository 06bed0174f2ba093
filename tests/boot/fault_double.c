// SPDX-License-Identifier: BSD-2-Clause
// test: arch=x86_64 smp=1,2 machines=q35,microvm exit=2 expect="fatal error: double fault"
// A page fault whose own stack is gone becomes a double fault, which has a stack of its own and is
// reported like the rest.

#include "arch/x86_64/cpu.h"
#include "kernel/preempt.h"

int main(void)
{
    preempt_disable();
    cpus[getg()->m->id].tss.ist[IST_FAULT - 1] = 0x1000;
    *(volatile char *)16 = 0;
    return 0;
}
