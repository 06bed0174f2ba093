// SPDX-License-Identifier: BSD-2-Clause
// test: arch=aarch64 smp=1,2 machines=q35,microvm exit=2 expect="fatal error: double fault"
// A fault that finds its exception stack gone is reported from the emergency stack like the rest.

#include "arch/arch.h"

int main(void)
{
    arch_irq_save();
    __asm__ volatile("msr spsel, #1; mov sp, %0; msr spsel, #0" : : "r"(4096l) : "memory");
    *(volatile char *)16 = 0;
    return 0;
}
