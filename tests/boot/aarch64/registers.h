// SPDX-License-Identifier: BSD-2-Clause
// Registers that preemption must keep: general, flags, SIMD, and the floating-point control and
// status.
#ifndef TESTS_BOOT_AARCH64_REGISTERS_H
#define TESTS_BOOT_AARCH64_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

enum { ROUND_DOWNWARDS = 2 << 22 };

// Fills registers, spins, looks at them again. Carry and overflow stay as the comparison before the
// loop left them: what counts down does not touch the flags.
static bool registers_survive(uint64_t seed)
{
    uint64_t in[6] = { seed, ~seed, seed * 3, seed * 7, seed * 11, seed * 13 }, out[6];
    uint64_t x3 = seed, x28 = ~seed, flags = 0, fpcr = ROUND_DOWNWARDS, fpsr = seed & 1;
    __asm__ volatile("ldp q5, q31, [%[in]]\n\t"
                     "ldr q12, [%[in], #32]\n\t"
                     "msr fpcr, %[fpcr]\n\t"
                     "msr fpsr, %[fpsr]\n\t"
                     "mov x3, %[x3]\n\t"
                     "mov x28, %[x28]\n\t"
                     "mov x2, #20000\n\t"
                     "cmp %[seed], #0\n"
                     "1:\tsub x2, x2, #1\n\t"
                     "cbnz x2, 1b\n\t"
                     "mrs %[flags], nzcv\n\t"
                     "mov %[x3], x3\n\t"
                     "mov %[x28], x28\n\t"
                     "mrs %[fpcr], fpcr\n\t"
                     "mrs %[fpsr], fpsr\n\t"
                     "msr fpcr, xzr\n\t"
                     "msr fpsr, xzr\n\t"
                     "stp q5, q31, [%[out]]\n\t"
                     "str q12, [%[out], #32]\n\t"
                     : [x3] "+r"(x3), [x28] "+r"(x28), [flags] "=&r"(flags), [fpcr] "+r"(fpcr),
                       [fpsr] "+r"(fpsr)
                     : [in] "r"(in), [out] "r"(out), [seed] "r"(seed)
                     : "x2", "x3", "x28", "v5", "v12", "v31", "memory", "cc");
    uint64_t expected = seed == 0 ? 0x60000000 : seed >> 63 ? 0xa0000000 : 0x20000000;
    return x3 == seed && x28 == ~seed && flags == expected && fpcr == ROUND_DOWNWARDS &&
           fpsr == (seed & 1) && !__builtin_memcmp(in, out, sizeof(in));
}

// Whether rounding and exceptions are as every goroutine finds them at its start.
static bool registers_are_fresh(void)
{
    uint64_t fpcr, fpsr;
    __asm__ volatile("mrs %0, fpcr; mrs %1, fpsr" : "=r"(fpcr), "=r"(fpsr));
    return fpcr == 0 && fpsr == 0;
}

#endif
