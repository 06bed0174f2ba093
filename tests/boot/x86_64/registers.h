// SPDX-License-Identifier: BSD-2-Clause
// Registers that preemption must keep: general, x87, SSE, and AVX where there is AVX.
#ifndef TESTS_BOOT_X86_64_REGISTERS_H
#define TESTS_BOOT_X86_64_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

static bool have_avx(void)
{
    uint32_t a = 1, b, c, d, lo, hi;
    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    if (!(c >> 27 & 1) || !(c >> 28 & 1))
        return false;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & 6) == 6;
}

// Fills the registers, spins, looks at them again.
static bool sse_survives(uint64_t seed)
{
    uint64_t in[4] = { seed, ~seed, seed * 3, seed * 7 }, out[4];
    uint64_t gpr = seed;
    long double x87 = (long double)seed, back;
    __asm__ volatile("movdqu (%[in]), %%xmm5\n\t"
                     "movdqu 16(%[in]), %%xmm15\n\t"
                     "fldt %[f]\n\t"
                     "mov %[seed], %%r15\n\t"
                     "mov $20000, %%ecx\n"
                     "1:\tdec %%ecx\n\t"
                     "jnz 1b\n\t"
                     "mov %%r15, %[seed]\n\t"
                     "fstpt %[g]\n\t"
                     "movdqu %%xmm5, (%[out])\n\t"
                     "movdqu %%xmm15, 16(%[out])\n\t"
                     : [seed] "+r"(gpr), [g] "=m"(back)
                     : [in] "r"(in), [out] "r"(out), [f] "m"(x87)
                     : "rcx", "r15", "xmm5", "xmm15", "memory", "cc");
    return gpr == seed && back == x87 && !__builtin_memcmp(in, out, sizeof(in));
}

static bool avx_survives(uint64_t seed)
{
    uint64_t in[4] = { seed, seed + 1, seed + 2, seed + 3 }, out[4];
    __asm__ volatile("vmovdqu (%[in]), %%ymm7\n\t"
                     "mov $20000, %%ecx\n"
                     "1:\tdec %%ecx\n\t"
                     "jnz 1b\n\t"
                     "vmovdqu %%ymm7, (%[out])\n\t"
                     "vzeroupper\n\t"
                     : : [in] "r"(in), [out] "r"(out) : "rcx", "xmm7", "memory", "cc");
    return !__builtin_memcmp(in, out, sizeof(in));
}

static bool registers_survive(uint64_t seed)
{
    return sse_survives(seed) && (!have_avx() || avx_survives(seed));
}

// Whether the x87 stack is empty, as the ABI promises any function that is called.
static bool registers_are_fresh(void)
{
    struct { uint32_t control, status, tags, rest[4]; } env;
    __asm__ volatile("fnstenv %0; fldenv %0" : "+m"(env));
    return (env.tags & 0xffff) == 0xffff;
}

#endif
