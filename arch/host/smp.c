// SPDX-License-Identifier: BSD-2-Clause
// Cores as threads. With at least as many processors as cores, and more than one of each, each
// thread is bound to a processor of its own (pin=0: none is); else Linux shares them out.

#include "arch/arch.h"
#include "arch/host/host.h"
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/print.h"

enum { MASK_WORDS = 16 }; // processors 0 to 1023

static uint64_t processors[MASK_WORDS]; // those this process may use, set once

static struct m *starting;
static void (*starting_entry)(void);
static _Atomic(bool) is_up; // pairs: CORE-UP

static unsigned processor_count(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MASK_WORDS; i++)
        n += (unsigned)__builtin_popcountll(processors[i]);
    return n;
}

unsigned arch_core_count(void)
{
    if (processor_count() == 0)
        linux_sys(SYS_SCHED_GETAFFINITY, 0, sizeof processors, processors);
    unsigned n = MIN(MAX(processor_count(), 1u), (unsigned)MAX_CORES);
    return (unsigned)cmdline_number("smp", n, 1, MAX_CORES);
}

// Binds this thread to the nth processor there is.
static void bind_to(unsigned nth)
{
    uint64_t mask[MASK_WORDS] = { 0 };
    for (unsigned cpu = 0; cpu < 64 * MASK_WORDS; cpu++) {
        if (!(processors[cpu / 64] >> cpu % 64 & 1) || nth-- > 0)
            continue;
        mask[cpu / 64] = 1ull << cpu % 64;
        linux_sys(SYS_SCHED_SETAFFINITY, 0, sizeof mask, mask);
        return;
    }
}

void host_thread_init(struct cpu *c)
{
    c->tid = (int)linux_sys(SYS_GETTID);
    host_timer_init(c);
    unsigned cores = arch_core_count();
    if (cores > 1 && cores <= processor_count() && cmdline_number("pin", 1, 0, 1))
        bind_to(c->core);
}

// The new thread, on its g0's stack, all signals blocked.
static void thread_entry(void)
{
    void (*entry)(void) = starting_entry;
    arch_cpu_init(starting);
    uint64_t none = 0;
    linux_sys(SYS_RT_SIGPROCMASK, SIG_SETMASK, &none, 0, 8);
    // pairs: CORE-UP
    atomic_store_explicit(&is_up, true, memory_order_release);
    entry();
    __builtin_unreachable();
}

bool arch_start_core(unsigned n, struct m *m, void (*entry)(void))
{
    starting = m;
    starting_entry = entry;
    atomic_store_explicit(&is_up, false, memory_order_relaxed);
    uint64_t all = ~0ull, old;
    linux_sys(SYS_RT_SIGPROCMASK, SIG_SETMASK, &all, &old, 8);
    long tid = host_clone(m->g0->stack_top, thread_entry);
    linux_sys(SYS_RT_SIGPROCMASK, SIG_SETMASK, &old, 0, 8);
    if (tid < 0) {
        klog("core %u: Linux starts no thread for it (error %ld)", n, -tid);
        return false;
    }
    // pairs: CORE-UP
    while (!atomic_load_explicit(&is_up, memory_order_acquire))
        host_relax();
    return true;
}
