// SPDX-License-Identifier: BSD-2-Clause
// The hot inlines of arch.h for parts of the kernel that a test compiles by themselves: the current
// G is a thread-local variable, defined by whoever plays the scheduler there.
#ifndef TESTS_HOST_ARCH_INLINE_H
#define TESTS_HOST_ARCH_INLINE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct g;
extern _Thread_local struct g *host_g;

static inline struct g *getg(void) { return host_g; }
static inline void setg(struct g *gp) { host_g = gp; }

// Cores are threads here, and there may be more of them than processors.
static inline void arch_relax(void)
{
    sched_yield();
}

static inline void arch_device_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void arch_fence_after_rmw(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
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
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline bool arch_irq_save(void) { return false; }
static inline void arch_irq_restore(bool on) { (void)on; }
static inline void arch_irq_enable(void) {}
static inline void arch_idle(void) {}

static inline bool arch_flag(const _Atomic(bool) *flag)
{
    return __atomic_load_n((const bool *)flag, __ATOMIC_RELAXED);
}

void trace_goroutine(const struct g *gp, uint64_t what);
static inline void arch_trace_goroutine(const struct g *gp, uint64_t what)
{
    trace_goroutine(gp, what);
}

#endif
