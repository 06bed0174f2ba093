// SPDX-License-Identifier: BSD-2-Clause
// The hot inlines of arch.h for AArch64. TPIDR_EL1 is the current G; TPIDRRO_EL0 its core's struct
// cpu. Of PSTATE only I is ever changed: F stays clear, so that a core can be stopped.
#ifndef ARCH_AARCH64_INLINE_H
#define ARCH_AARCH64_INLINE_H

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
    __asm__ volatile("msr tpidr_el1, %0" : : "r"(gp) : "memory");
}

static inline void arch_relax(void)
{
    __asm__ volatile("yield" ::: "memory");
}

// QEMU's interpreter leaves fences out wherever it runs guest code in one thread only (before 8.2),
// though its devices run in another. Dropping a translation makes it take a lock, which orders.
extern bool arch_fences_elided;

static inline void arch_device_fence(void)
{
    __asm__ volatile("dsb sy" ::: "memory");
    if (__builtin_expect(arch_fences_elided, 0))
        __asm__ volatile("tlbi vaae1, xzr" ::: "memory");
}

// Exclusives with acquire and release let what is around them pass; only a barrier does not.
static inline void arch_fence_after_rmw(void)
{
    __asm__ volatile("dmb ish" ::: "memory");
}

// Registers of devices: plain loads and stores, which hypervisors can follow, between what orders
// them with memory that a device looks at too, though it may share no more than the outer domain.
static inline uint8_t arch_mmio_read8(const volatile void *r)
{
    uint32_t v;
    __asm__ volatile("ldrb %w0, [%1]; dmb oshld" : "=r"(v) : "r"(r) : "memory");
    return (uint8_t)v;
}

static inline uint16_t arch_mmio_read16(const volatile void *r)
{
    uint32_t v;
    __asm__ volatile("ldrh %w0, [%1]; dmb oshld" : "=r"(v) : "r"(r) : "memory");
    return (uint16_t)v;
}

static inline uint32_t arch_mmio_read32(const volatile void *r)
{
    uint32_t v;
    __asm__ volatile("ldr %w0, [%1]; dmb oshld" : "=r"(v) : "r"(r) : "memory");
    return v;
}

static inline uint64_t arch_mmio_read64(const volatile void *r)
{
    uint64_t v;
    __asm__ volatile("ldr %0, [%1]; dmb oshld" : "=r"(v) : "r"(r) : "memory");
    return v;
}

static inline void arch_mmio_write8(volatile void *r, uint8_t v)
{
    __asm__ volatile("dmb osh; strb %w0, [%1]" : : "r"((uint32_t)v), "r"(r) : "memory");
}

static inline void arch_mmio_write16(volatile void *r, uint16_t v)
{
    __asm__ volatile("dmb osh; strh %w0, [%1]" : : "r"((uint32_t)v), "r"(r) : "memory");
}

static inline void arch_mmio_write32(volatile void *r, uint32_t v)
{
    __asm__ volatile("dmb osh; str %w0, [%1]" : : "r"(v), "r"(r) : "memory");
}

static inline void arch_mmio_write64(volatile void *r, uint64_t v)
{
    __asm__ volatile("dmb osh; str %0, [%1]" : : "r"(v), "r"(r) : "memory");
}

// The barrier keeps the reading behind what comes before it, a lock taken say: times read on
// different cores then agree with the order of events.
static inline uint64_t arch_counter(void)
{
    uint64_t v;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(v) : : "memory");
    return v;
}

static inline bool arch_irq_save(void)
{
    uint64_t daif;
    __asm__ volatile("mrs %0, daif; msr daifset, #2" : "=r"(daif) : : "memory");
    return (daif & 0x80) == 0;
}

static inline void arch_irq_enable(void)
{
    __asm__ volatile("msr daifclr, #2" ::: "memory");
}

static inline void arch_irq_restore(bool on)
{
    if (on)
        arch_irq_enable();
}

static inline bool arch_flag(const _Atomic(bool) *flag)
{
    return __atomic_load_n((const bool *)flag, __ATOMIC_RELAXED);
}

static inline void arch_trace_goroutine(const struct g *gp, uint64_t what)
{
    register const struct g *x0 __asm__("x0") = gp;
    register uint64_t x1 __asm__("x1") = what;
    // The way back is kept here, so that the caller need not. What is read of gp is written before;
    // what is written nobody here reads.
    __asm__ volatile("stp x29, x30, [sp, #-16]!\n\t"
                     "bl arch_trace_thunk\n\t"
                     "ldp x29, x30, [sp], #16"
                     : : "r"(x0), "r"(x1), "m"(*(const char(*)[128])gp) : "cc");
}

// WFI ends with an interrupt that is pending, masked or not; it is taken when I is cleared.
static inline void arch_idle(void)
{
    __asm__ volatile("dsb sy; wfi; msr daifclr, #2; isb; msr daifset, #2" ::: "memory");
}

#endif
