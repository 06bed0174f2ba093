// SPDX-License-Identifier: BSD-2-Clause
// The processor's trap after each instruction, which arrives as SIGTRAP: an interrupt at every
// place of a stretch of code. Where there is none, single_step does nothing.
#ifndef TESTS_HOST_ARCH_SINGLE_STEP_H
#define TESTS_HOST_ARCH_SINGLE_STEP_H

#include <stdbool.h>

static inline void single_step(bool on)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    if (on)
        __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
    else
        __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
#else
    (void)on;
#endif
}

#endif
