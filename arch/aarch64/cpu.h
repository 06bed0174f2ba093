// SPDX-License-Identifier: BSD-2-Clause
// One core's hardware-facing data, and what the files of this room share.
#ifndef ARCH_AARCH64_CPU_H
#define ARCH_AARCH64_CPU_H

#include "sched/g.h"

// The frame entry.S builds on a core's exception stack. entry.S knows the offsets.
struct trap_frame {
    uint64_t x[31];
    uint64_t sp; // SP_EL0 where a goroutine or g0 ran; else the exception stack's
    uint64_t pc, pstate;
    uint64_t esr, far;
    uint64_t kind; // enum trap_kind
    uint64_t unused;
};

enum trap_kind {
    TRAP_SYNC, TRAP_IRQ, TRAP_FIQ, TRAP_ERROR,
    TRAP_NESTED = 4,    // or-ed in: came while an exception was handled
    TRAP_OVERFLOW = 8,  // and the exception stack was at its end
    TRAP_OTHER = 16,    // from another level or state: cannot be
};

// In TPIDRRO_EL0, which is free as there is no EL0.
struct cpu {
    uintptr_t exception_lo;  // 0: lowest usable address of the exception stack
    uintptr_t emergency_top; // 8: of the stack for what does not fit there
    uint64_t mpidr;
    uint32_t gicc_mask; // GICv2: this core's bit
    uint64_t gicr;      // GICv3: its redistributor, mapped
    uint64_t gicr_pa;   // and where that is
};

extern struct cpu cpus[MAX_CORES];

// What secondary_entry (boot/aarch64/head.S) is given by physical address.
struct core_start {
    uint64_t ttbr1, ttbr0;
    uint64_t stack_top;
    uint64_t entry;
};

// System registers.
#define sysreg_read(name)                                          \
    ({                                                             \
        uint64_t v_;                                               \
        __asm__ volatile("mrs %0, " #name : "=r"(v_) : : "memory"); \
        v_;                                                        \
    })
#define sysreg_write(name, value) \
    __asm__ volatile("msr " #name ", %0" : : "r"((uint64_t)(value)) : "memory")

static inline void isb(void)
{
    __asm__ volatile("isb" ::: "memory");
}

// mmu.c
void mmu_boot_tables(uint64_t image_pa, uint64_t mapped_end); // Context: first of all
void mmu_enable_wxn(void);
extern uint64_t kernel_ttbr0, kernel_ttbr1;

// serial.c
void console_at(uintptr_t registers);
void console_map(void); // Context: once the kernel's page tables are in use

// trap.c
void trap_dispatch(struct trap_frame *tf);

// intr.c
enum { SGI_WAKE = 0, SGI_STOP = 1, INTID_SPI = 32, INTID_NONE = 1020, INTID_LPI = 8192 };

// What a version of the interrupt controller does. Interrupt numbers are the GIC's.
struct gic_ops {
    void (*init_core)(unsigned core); // Context: that core
    uint32_t (*acknowledge)(void);    // INTID_NONE..1023: nothing
    void (*end)(uint32_t intid);
    void (*send)(unsigned core, unsigned sgi); // orders what was stored before
    void (*enable_spi)(uint32_t intid, unsigned core, bool level);
    uint32_t spis;                    // interrupt numbers there are, from 0
};
extern struct gic_ops gic;

void intr_init(void);      // Context: boot core, finds the controller
void intr_init_core(void); // this core's part
void intr_handle(struct trap_frame *tf); // Context: the IRQ exception
bool gicv2_init(void);
bool gicv3_init(void);
// Whether the controller has one security state only: then group 0 is ours and arrives as FIQ, and
// IPI_STOP reaches a core that has its interrupts off.
extern bool gic_has_fiq;
bool its_init(void);       // Context: boot core, after gicv3_init
void its_init_core(unsigned core);
bool its_route(uint32_t device, unsigned vector, unsigned core, uint64_t *addr, uint32_t *data);

// timer.c
void timer_init_core(void);
void timer_irq_off(void); // Context: the timer's interrupt

// smp.c
uint64_t psci_call(uint32_t function, uint64_t a, uint64_t b, uint64_t c);
void smp_init(void);

#endif
