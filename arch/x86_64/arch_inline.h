// SPDX-License-Identifier: BSD-2-Clause
// The hot inlines of arch.h for x86-64. gs:0 is the current G, gs:8 the core's g0 (struct cpu).
#ifndef ARCH_X86_64_INLINE_H
#define ARCH_X86_64_INLINE_H

#include <heddle_self.h>
#include <stdbool.h>
#include <stdint.h>

struct g;

static inline struct g *getg(void)
{
    return heddle_self();
}

static inline void setg(struct g *gp)
{
    __asm__ volatile("movq %0, %%gs:0" : : "r"(gp) : "memory");
}

static inline void arch_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

// QEMU's interpreter leaves fences out wherever it runs guest code in one thread only (before 8.2),
// though its devices run in another. Dropping a translation makes it take a lock, which orders.
extern bool arch_fences_elided;

static inline void arch_device_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__builtin_expect(arch_fences_elided, 0))
        __asm__ volatile("invlpg (%0)" : : "r"(0l) : "memory");
}

// A locked instruction is one already.
static inline void arch_fence_after_rmw(void)
{
    __asm__ volatile("" ::: "memory");
}

// Registers of devices: uncached memory, which the processor keeps in order with all other.
static inline uint8_t arch_mmio_read8(const volatile void *r)
{
    uint8_t v = *(const volatile uint8_t *)r;
    __asm__ volatile("" ::: "memory");
    return v;
}

static inline uint16_t arch_mmio_read16(const volatile void *r)
{
    uint16_t v = *(const volatile uint16_t *)r;
    __asm__ volatile("" ::: "memory");
    return v;
}

static inline uint32_t arch_mmio_read32(const volatile void *r)
{
    uint32_t v = *(const volatile uint32_t *)r;
    __asm__ volatile("" ::: "memory");
    return v;
}

static inline void arch_mmio_write8(volatile void *r, uint8_t v)
{
    __asm__ volatile("" ::: "memory");
    *(volatile uint8_t *)r = v;
}

static inline void arch_mmio_write16(volatile void *r, uint16_t v)
{
    __asm__ volatile("" ::: "memory");
    *(volatile uint16_t *)r = v;
}

static inline void arch_mmio_write32(volatile void *r, uint32_t v)
{
    __asm__ volatile("" ::: "memory");
    *(volatile uint32_t *)r = v;
}

static inline uint64_t arch_counter(void)
{
    uint32_t lo, hi;
    // Not before the loads that precede it: else a time could be earlier than one it is known to
    // follow.
    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return ((uint64_t)hi << 32) | lo;
}

static inline bool arch_irq_save(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
    return (flags & 0x200) != 0;
}

static inline void arch_irq_enable(void)
{
    __asm__ volatile("sti" ::: "memory");
}

static inline void arch_irq_restore(bool on)
{
    if (on)
        arch_irq_enable();
}

// A compiler does not fold an atomic load into the comparison.
static inline bool arch_flag(const _Atomic(bool) *flag)
{
    bool set;
    __asm__("cmpb $0, %1" : "=@ccne"(set) : "m"(*flag));
    return set;
}

static inline void arch_trace_goroutine(const struct g *gp, uint64_t what)
{
    // What it reads of gp is written before; what it writes nobody here reads.
    __asm__ volatile("call arch_trace_thunk"
                     : : "D"(gp), "S"(what), "m"(*(const char(*)[128])gp) : "cc");
}

// sti takes effect after the next instruction, so no interrupt fits between it and hlt.
static inline void arch_idle(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

#endif
