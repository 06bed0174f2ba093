// SPDX-License-Identifier: BSD-2-Clause
// Starting the other cores, one after another: each begins in real mode at the trampoline page and
// finds its stack and its number in variables that belong to it until it reports.

#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "kernel/acpi.h"
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/page.h"
#include "kernel/print.h"
#include "sched/g.h"

uintptr_t trampoline_stack; // read by the starting core

uint64_t trampoline_pa;     // a free page below 640 KiB, 0: none; set at boot

static struct m *starting;
static void (*starting_entry)(void);
// Who is being waited for: its number, 0 once it has come up or been given up, whoever is first.
// pairs: CORE-UP
static _Atomic(unsigned) awaited;

void ap_entry(void);

// apic ids in the order in which cores are numbered: the boot core first.
static uint32_t apic_id_of(unsigned core)
{
    uint32_t boot = cpus[0].apic_id;
    if (core == 0)
        return boot;
    unsigned n = 0;
    for (unsigned i = 0; i < acpi.n_cores; i++)
        if (acpi.cores[i].apic_id != boot && ++n == core)
            return acpi.cores[i].apic_id;
    return UINT32_MAX;
}

unsigned arch_core_count(void)
{
    unsigned n = 1;
    while (n < MAX_CORES && apic_id_of(n) != UINT32_MAX)
        n++;
    unsigned limit = (unsigned)cmdline_number("smp", MAX_CORES, 1, MAX_CORES);
    return MIN(n, limit);
}

// The new core, in 64-bit mode, on its g0 stack, with the kernel's page tables.
void ap_entry(void)
{
    struct m *m = starting;
    void (*entry)(void) = starting_entry;
    arch_cpu_init(m);
    lapic_init();
    timer_init_core();
    unsigned me = m->id;
    // Too late: the machine runs without this core. pairs: CORE-UP
    if (!atomic_compare_exchange_strong_explicit(&awaited, &me, 0, memory_order_acq_rel,
                                                 memory_order_relaxed))
        arch_halt();
    entry();
    __builtin_unreachable();
}

bool arch_start_core(unsigned n, struct m *m, void (*entry)(void))
{
    extern char trampoline_start[], trampoline_end[];
    if (trampoline_pa == 0) {
        klog("no memory below 640 KiB to start a core in");
        return false;
    }
    memcpy(phys_to_virt(trampoline_pa), trampoline_start,
           (size_t)(trampoline_end - trampoline_start));
    cpus[n].apic_id = apic_id_of(n);
    starting = m;
    starting_entry = entry;
    trampoline_stack = m->g0->stack_top;
    atomic_store_explicit(&awaited, n, memory_order_seq_cst);
    lapic_send_init_sipi(cpus[n].apic_id, (uint8_t)(trampoline_pa >> 12));
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
