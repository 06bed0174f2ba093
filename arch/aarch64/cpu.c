// SPDX-License-Identifier: BSD-2-Clause
// One core's exception vectors, the stacks for them, and what it allows.

#include "arch/aarch64/cpu.h"

#include "arch/arch.h"
#include "kernel/panic.h"
#include "sched/sched.h"

// What assembly relies on.
_Static_assert(offsetof(struct g, sp) == 0 && offsetof(struct g, stack_top) == 8 &&
               offsetof(struct g, m) == 16 && offsetof(struct g, preempt_off) == 24 &&
               offsetof(struct m, resched) == 0 && offsetof(struct m, g0) == 8,
               "switch.S has other offsets");
_Static_assert(offsetof(struct cpu, exception_lo) == 0 &&
               offsetof(struct cpu, emergency_top) == 8, "entry.S has other offsets");

enum {
    EXCEPTION_PAGES = 4, // entry.S knows
    EMERGENCY_PAGES = 3,
    CPACR_FP = 3 << 20,
};

struct cpu cpus[MAX_CORES];
bool arch_fences_elided; // see arch_device_fence

static struct { uintptr_t exception, emergency; } tops[MAX_CORES];

// The boot core's, until it has its own.
static _Alignas(16) uint8_t boot_exception_stack[8192], boot_emergency_stack[8192];

static void use_stack(struct cpu *c, uintptr_t lo, uintptr_t top, uintptr_t emergency_top)
{
    c->exception_lo = lo;
    c->emergency_top = emergency_top;
    __asm__ volatile("msr tpidrro_el0, %0\n\t"
                     "msr spsel, #1\n\t"
                     "mov sp, %1\n\t"
                     "msr spsel, #0"
                     : : "r"(c), "r"(top) : "memory");
}

static void init_registers(struct m *m)
{
    extern char trap_vectors[];
    cpus[m->id].mpidr = sysreg_read(mpidr_el1) & 0xff00ffffffull;
    setg(m->g0);
    sysreg_write(vbar_el1, (uintptr_t)trap_vectors);
    sysreg_write(cpacr_el1, CPACR_FP);
    sysreg_write(cntkctl_el1, 0);
    sysreg_write(mdscr_el1, 0);
    isb();
    sysreg_write(fpcr, 0);
    sysreg_write(fpsr, 0);
}

void arch_cpu_init_boot(struct m *m0)
{
    init_registers(m0);
    use_stack(&cpus[0], (uintptr_t)boot_exception_stack,
              (uintptr_t)boot_exception_stack + sizeof(boot_exception_stack),
              (uintptr_t)boot_emergency_stack + sizeof(boot_emergency_stack));
    __asm__ volatile("msr daifclr, #5" ::: "memory"); // system errors, and IPI_STOP
}

bool arch_cpu_alloc(unsigned core)
{
    tops[core].exception = stack_alloc_kernel(EXCEPTION_PAGES);
    tops[core].emergency = stack_alloc_kernel(EMERGENCY_PAGES);
    return tops[core].exception && tops[core].emergency;
}

// Context: the core itself, once its stacks exist.
void arch_cpu_init(struct m *m)
{
    uintptr_t top = tops[m->id].exception;
    if (m->id != 0) {
        init_registers(m);
        mmu_enable_wxn();
    }
    use_stack(&cpus[m->id], top - EXCEPTION_PAGES * 4096, top, tops[m->id].emergency);
    if (m->id != 0)
        __asm__ volatile("msr daifclr, #5" ::: "memory");
}
