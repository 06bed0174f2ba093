// SPDX-License-Identifier: BSD-2-Clause
// One core's hardware-facing data, at its gs base.
#ifndef ARCH_X86_64_CPU_H
#define ARCH_X86_64_CPU_H

#include "sched/g.h"

// The frame entry.S builds on a trap's stack.
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_map;
} __attribute__((packed));

struct cpu {
    struct g *g;  // gs:0, the running G
    struct g *g0; // gs:8
    struct m *m;
    uint32_t apic_id;
    uint32_t core;
    uint64_t gdt[7];
    struct tss tss;
};

// Interrupt stack table slots; every vector has one, so a goroutine's own stack is never trusted.
enum { IST_IRQ = 1, IST_DOUBLE_FAULT, IST_NMI, IST_FAULT };
enum { KERNEL_CS = 0x08, KERNEL_DS = 0x10, TSS_SEL = 0x18 };

// Vectors: exceptions 0-31, devices from 32, the runtime's own at the top.
enum {
    VECTOR_DEVICE = 32,
    VECTOR_DEVICE_END = 0xf0,
    VECTOR_TIMER = 0xf0,
    VECTOR_WAKE = 0xf1,
    VECTOR_SPURIOUS = 0xff,
};

extern struct cpu cpus[MAX_CORES];

struct cpu_features {
    bool x2apic, tsc_deadline, xsave, smep, smap, umip, pge, pat, rdrand, gib_pages, fsgsbase;
    bool hypervisor, invariant_tsc;
    uint32_t xsave_size; // bytes of the state a preempted goroutine saves
    uint64_t xcr0;
};
extern struct cpu_features cpu_features;

// intr.c
void lapic_init(void); // this core's
void lapic_eoi(void);
void lapic_timer_oneshot(uint32_t ticks);
void lapic_timer_setup(bool tsc_deadline);
uint32_t lapic_timer_current(void);
void lapic_send_init_sipi(uint32_t apic_id, uint8_t page);
uint32_t lapic_id(void);
void ioapic_init(void);

// trap.c
void trap_dispatch(struct trap_frame *tf);

// timer.c
void timer_init_core(void);
void timer_spin_us(unsigned us);

// smp.c
extern uint64_t trampoline_pa;
extern char boot_pml4[]; // identity map of the first 4 GiB, for starting cores

// mmu.c
extern uint64_t kernel_pml4_pa;

#endif
