// SPDX-License-Identifier: BSD-2-Clause
// The hot inlines of arch.h for the kernel as a Linux process on x86-64. gs:0 is the current G,
// gs:8 the core's g0 (struct cpu), as on the bare machine: Linux leaves the register to programs.
//
// Whether interrupts are on is a flag of the core at gs:24, not the thread's signal mask: a signal
// that finds it set leaves what it announced in gs:28 and returns, and whoever clears the flag
// looks there. Each step is one instruction, so that it does not matter between which two of them a
// preempted goroutine moves to another core: only with interrupts on can it.
#ifndef ARCH_HOST_INLINE_H
#define ARCH_HOST_INLINE_H

#include <heddle_self.h>
#include <stdbool.h>
#include <stdint.h>

struct g;

// intr.c: runs the handlers of what was announced while interrupts were off.
void host_irq_deliver(void);
// intr.c: sleeps, as arch_idle.
void host_idle(void);
// intr.c: another thread may need the processor.
void host_relax(void);

static inline struct g *getg(void)
{
    return heddle_self();
}

static inline void setg(struct g *gp)
{
    __asm__ volatile("movq %0, %%gs:0" : : "r"(gp) : "memory");
}

// Whoever is waited for may have no processor: now and then this thread gives its own away.
static inline void arch_relax(void)
{
    enum { EVERY = 128 };
    uint32_t n;
    __asm__ volatile("pause; incl %%gs:32; movl %%gs:32, %0" : "=r"(n) : : "memory", "cc");
    if (__builtin_expect(n % EVERY == 0, 0))
        host_relax();
}

static inline void arch_device_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

// A locked instruction is one already.
static inline void arch_fence_after_rmw(void)
{
    __asm__ volatile("" ::: "memory");
}

// Registers of devices that a test plays in memory.
static inline uint8_t arch_mmio_read8(const volatile void *r)
{
    uint8_t v = *(const volatile uint8_t *)r;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return v;
}

static inline uint16_t arch_mmio_read16(const volatile void *r)
{
    uint16_t v = *(const volatile uint16_t *)r;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return v;
}

static inline uint32_t arch_mmio_read32(const volatile void *r)
{
    uint32_t v = *(const volatile uint32_t *)r;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return v;
}

static inline void arch_mmio_write8(volatile void *r, uint8_t v)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
    *(volatile uint8_t *)r = v;
}

static inline void arch_mmio_write16(volatile void *r, uint16_t v)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
    *(volatile uint16_t *)r = v;
}

static inline void arch_mmio_write32(volatile void *r, uint32_t v)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
    *(volatile uint32_t *)r = v;
}

static inline uint64_t arch_counter(void)
{
    uint32_t lo, hi;
    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return ((uint64_t)hi << 32) | lo;
}

static inline bool arch_irq_save(void)
{
    uint32_t was_off;
    __asm__ volatile("movl %%gs:24, %0; movl $1, %%gs:24" : "=r"(was_off) : : "memory");
    return was_off == 0;
}

static inline void arch_irq_enable(void)
{
    uint32_t pending;
    __asm__ volatile("movl $0, %%gs:24; movl %%gs:28, %0" : "=r"(pending) : : "memory");
    if (__builtin_expect(pending != 0, 0))
        host_irq_deliver();
}

static inline void arch_irq_restore(bool on)
{
    if (on)
        arch_irq_enable();
}

static inline void arch_idle(void)
{
    host_idle();
}

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

#endif
