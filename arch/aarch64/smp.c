// SPDX-License-Identifier: BSD-2-Clause
// The firmware's power interface (PSCI), by hypervisor or secure monitor call as the device tree
// says; starting the other cores with it, one after another. Each begins at secondary_entry
// (boot/aarch64/head.S) with its tables and its stack in a struct core_start.

#include "arch/arch.h"
#include "arch/aarch64/cpu.h"
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/devtree.h"
#include "kernel/page.h"
#include "kernel/print.h"

static struct core_start start_info;
static struct m *starting;
static void (*starting_entry)(void);
// Who is being waited for: its number, 0 once it has come up or been given up, whoever is first.
// pairs: CORE-UP
static _Atomic(unsigned) awaited;

void secondary_main(void);

uint64_t psci_call(uint32_t function, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = c;
    if (dt.psci == DT_CALL_HVC)
        __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : :
                         "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
                         "x15", "x16", "x17", "memory");
    else if (dt.psci == DT_CALL_SMC)
        __asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : :
                         "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
                         "x15", "x16", "x17", "memory");
    else
        x0 = UINT64_MAX;
    return x0;
}

// Affinities in the order in which cores are numbered: the boot core first.
static uint64_t mpidr_of(unsigned core)
{
    if (core == 0)
        return cpus[0].mpidr;
    unsigned n = 0;
    for (unsigned i = 0; i < dt.n_cores; i++)
        if (dt.mpidr[i] != cpus[0].mpidr && ++n == core)
            return dt.mpidr[i];
    return UINT64_MAX;
}

unsigned arch_core_count(void)
{
    unsigned n = 1;
    while (n < MAX_CORES && dt.psci != DT_CALL_NONE && mpidr_of(n) != UINT64_MAX)
        n++;
    unsigned limit = (unsigned)cmdline_number("smp", MAX_CORES, 1, MAX_CORES);
    return MIN(n, limit);
}

// The new core, on its g0 stack, with the kernel's page tables.
void secondary_main(void)
{
    struct m *m = starting;
    void (*entry)(void) = starting_entry;
    arch_cpu_init(m);
    intr_init_core();
    timer_init_core();
    unsigned me = m->id;
    // Too late: the machine runs without this core. pairs: CORE-UP
    if (!atomic_compare_exchange_strong_explicit(&awaited, &me, 0, memory_order_acq_rel,
                                                 memory_order_relaxed))
        arch_halt();
    entry();
    __builtin_unreachable();
}

// What a core reads before its caches are on must be in memory.
static void clean(const void *p, size_t n)
{
    for (uintptr_t at = ROUND_DOWN((uintptr_t)p, (uintptr_t)16); at < (uintptr_t)p + n; at += 16)
        __asm__ volatile("dc cvac, %0" : : "r"(at) : "memory");
    __asm__ volatile("dsb sy" ::: "memory");
}

bool arch_start_core(unsigned n, struct m *m, void (*entry)(void))
{
    extern char secondary_entry[], secondary_mapped[];
    cpus[n].mpidr = mpidr_of(n);
    starting = m;
    starting_entry = entry;
    start_info = (struct core_start){
        .ttbr1 = kernel_ttbr1,
        .ttbr0 = kernel_ttbr0,
        .stack_top = m->g0->stack_top,
        .entry = (uintptr_t)secondary_mapped,
    };
    atomic_store_explicit(&awaited, n, memory_order_seq_cst);
    clean(&start_info, sizeof(start_info));
    uint64_t r = psci_call(dt.psci_cpu_on, cpus[n].mpidr, virt_to_phys(secondary_entry),
                           virt_to_phys(&start_info));
    if (r != 0) {
        klog("core %u: the firmware will not start it (%ld)", n, (long)r);
        return false;
    }
    int64_t until = clock_mono_ns() + 2000000000;
    // pairs: CORE-UP
    while (atomic_load_explicit(&awaited, memory_order_acquire) != 0) {
        unsigned expected = n;
        if (clock_mono_ns() > until &&
            atomic_compare_exchange_strong_explicit(&awaited, &expected, 0, memory_order_acq_rel,
                                                    memory_order_relaxed))
            return false;
        arch_relax();
    }
    return true;
}
