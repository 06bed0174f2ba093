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
