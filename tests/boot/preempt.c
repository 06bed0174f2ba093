// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=120 kopts="slice_us=500" expect="preempt: hogs gave way"
// Endless loops, twice as many as cores, the empty one included, give way to main, and no register
// of theirs changes while they do: general, x87, SSE and AVX where there is AVX, each loop with
// values of its own.

#include <heddle.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

static _Atomic(int) broken;
static _Atomic(int) started;
static _Atomic(uint64_t) rounds[64];

static void empty_loop(void *unused)
{
    (void)unused;
    atomic_fetch_add(&started, 1);
    for (;;)
        __asm__ volatile("");
}

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

static void register_loop(void *arg)
{
    uint64_t n = (uintptr_t)arg;
    bool avx = have_avx();
    atomic_fetch_add(&started, 1);
    for (uint64_t i = 0;; i++) {
        uint64_t seed = n << 48 | i;
        if (!sse_survives(seed) || (avx && !avx_survives(seed)))
            atomic_store(&broken, 1);
        atomic_fetch_add(&rounds[n], 1);
    }
}

// Whether the x87 stack is empty, as the ABI promises any function that is called.
static bool x87_is_empty(void)
{
    struct { uint32_t control, status, tags, rest[4]; } env;
    __asm__ volatile("fnstenv %0; fldenv %0" : "+m"(env));
    return (env.tags & 0xffff) == 0xffff;
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    int n = go_numcpu();
    for (int i = 0; i < n; i++) {
        go(empty_loop, NULL);
        go(register_loop, (void *)(uintptr_t)i);
    }
    for (int i = 0; i < n; i++)
        while (atomic_load(&rounds[i]) < 200) {
            time_sleep(1000000);
            if (!x87_is_empty())
                atomic_store(&broken, 1);
        }
    while (atomic_load(&started) < 2 * n)
        time_sleep(1000000);
    if (atomic_load(&broken)) {
        printf("preempt: a register changed\n");
        return 1;
    }
    printf("preempt: hogs gave way\n");
    return 0;
}
