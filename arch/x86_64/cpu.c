// SPDX-License-Identifier: BSD-2-Clause
// One core's descriptor tables, stacks for interrupts, and processor features.

#include "arch/x86_64/cpu.h"

#include "arch/arch.h"
#include "arch/x86_64/asm.h"
#include "kernel/panic.h"
#include "sched/sched.h"

enum {
    CR0_MP = 1 << 1, CR0_EM = 1 << 2, CR0_TS = 1 << 3, CR0_NE = 1 << 5, CR0_WP = 1 << 16,
    CR4_PGE = 1 << 7, CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10, CR4_UMIP = 1 << 11,
    CR4_OSXSAVE = 1 << 18, CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21,
};

// What assembly relies on.
_Static_assert(offsetof(struct g, sp) == 0 && offsetof(struct g, stack_top) == 8 &&
               offsetof(struct g, preempt_off) == 24 && offsetof(struct m, resched) == 0 &&
               offsetof(struct cpu, g) == 0 && offsetof(struct cpu, g0) == 8 &&
               offsetof(struct cpu, m) == 16, "switch.S has other offsets");

// What the page attribute bits choose: as after a reset, but for entry 1 (PTE_PWT alone), which is
// write-combining instead of write-through.
#define PAT_ENTRIES 0x0007040600070106ull

struct cpu cpus[MAX_CORES];
struct cpu_features cpu_features;
uint32_t arch_xsave_size = 512; // read by arch_preempt_stub
bool arch_have_xsave;
bool arch_fences_elided; // see arch_device_fence
const uint32_t arch_mxcsr_default = 0x1f80; // exceptions masked, round to nearest

struct idt_gate {
    uint16_t offset_lo, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_hi, reserved;
};

static struct idt_gate idt[256] __attribute__((aligned(16)));
extern char trap_stubs[];

static unsigned ist_of(unsigned vector)
{
    switch (vector) {
    case 2: return IST_NMI;
    case 8: return IST_DOUBLE_FAULT;
    default: return vector < 32 ? IST_FAULT : IST_IRQ;
    }
}

static void make_idt(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uintptr_t stub = (uintptr_t)trap_stubs + i * 16;
        idt[i] = (struct idt_gate){
            .offset_lo = (uint16_t)stub,
            .selector = KERNEL_CS,
            // Before the stacks exist a trap runs where it happened.
            .ist = 0,
            .type = 0x8e,
            .offset_mid = (uint16_t)(stub >> 16),
            .offset_hi = (uint32_t)(stub >> 32),
        };
    }
}

static void load_tables(struct cpu *c)
{
    struct { uint16_t limit; uint64_t base; } __attribute__((packed)) ptr;
    uint64_t base = (uintptr_t)&c->tss;
    c->gdt[0] = 0;
    c->gdt[1] = 0x00af9b000000ffff;
    c->gdt[2] = 0x00cf93000000ffff;
    c->gdt[3] = (sizeof(struct tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
                (base >> 24 & 0xff) << 56;
    c->gdt[4] = base >> 32;
    c->tss.io_map = sizeof(struct tss);
    ptr.limit = sizeof(c->gdt) - 1;
    ptr.base = (uintptr_t)c->gdt;
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\tmovl %2, %%eax\n\t"
                     "movl %%eax, %%ds\n\t"
                     "movl %%eax, %%es\n\t"
                     "movl %%eax, %%ss\n\t"
                     : : "m"(ptr), "i"(KERNEL_CS), "i"(KERNEL_DS) : "rax", "memory");
    ptr.limit = sizeof(idt) - 1;
    ptr.base = (uintptr_t)idt;
    __asm__ volatile("lidt %0; ltr %w1" : : "m"(ptr), "r"(TSS_SEL) : "memory");
}

static void detect_features(void)
{
    struct cpu_features *f = &cpu_features;
    struct cpuid l1 = cpuid(1, 0);
    uint32_t max = cpuid(0, 0).a, max_ext = cpuid(0x80000000, 0).a;
    f->x2apic = l1.c >> 21 & 1;
    f->tsc_deadline = l1.c >> 24 & 1;
    f->xsave = l1.c >> 26 & 1;
    f->rdrand = l1.c >> 30 & 1;
    f->hypervisor = l1.c >> 31;
    f->pge = l1.d >> 13 & 1;
    f->pat = l1.d >> 16 & 1;
    if (max >= 7) {
        struct cpuid l7 = cpuid(7, 0);
        f->smep = l7.b >> 7 & 1;
        f->smap = l7.b >> 20 & 1;
        f->umip = l7.c >> 2 & 1;
    }
    if (max_ext >= 0x80000001)
        f->gib_pages = cpuid(0x80000001, 0).d >> 26 & 1;
    if (max_ext >= 0x80000007)
        f->invariant_tsc = cpuid(0x80000007, 0).d >> 8 & 1;
    // "TCGT", the beginning of the interpreter's signature.
    arch_fences_elided = l1.c >> 31 && cpuid(0x40000000, 0).b == 0x54474354;
    if (f->xsave) {
        // x87, SSE, AVX and the three parts of AVX-512, of which applications may be compiled to
        // use any.
        struct cpuid d = cpuid(0xd, 0);
        f->xcr0 = (((uint64_t)d.d << 32) | d.a) & 0xe7;
        if ((f->xcr0 & 0xe0) != 0xe0)
            f->xcr0 &= 0x7;
    }
}

static void enable_features(void)
{
    const struct cpu_features *f = &cpu_features;
    write_cr0((read_cr0() & ~(uint64_t)(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE | CR0_WP);
    uint64_t cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cr4 |= f->pge ? CR4_PGE : 0;
    // No page is a user's: whatever becomes one by a mistake can be neither run nor read.
    cr4 |= f->smep ? CR4_SMEP : 0;
    cr4 |= f->smap ? CR4_SMAP : 0;
    cr4 |= f->umip ? CR4_UMIP : 0;
    cr4 |= f->xsave ? CR4_OSXSAVE : 0;
    write_cr4(cr4);
    if (f->xsave)
        xsetbv(0, f->xcr0);
    if (f->pat)
        wrmsr(MSR_PAT, PAT_ENTRIES);
    // Clean state for whoever runs first.
    __asm__ volatile("fninit; ldmxcsr %0" : : "m"(arch_mxcsr_default));
}

static void set_gs(struct cpu *c, struct m *m)
{
    c->m = m;
    c->g0 = m->g0;
    c->g = m->g0;
    c->core = m->id;
    wrmsr(MSR_GS_BASE, (uintptr_t)c);
}

void arch_cpu_init_boot(struct m *m0)
{
    detect_features();
    enable_features();
    if (cpu_features.xsave) {
        arch_xsave_size = cpuid(0xd, 0).b;
        arch_have_xsave = true;
        cpu_features.xsave_size = arch_xsave_size;
    }
    make_idt();
    load_tables(&cpus[0]);
    set_gs(&cpus[0], m0);
}

bool arch_cpu_alloc(unsigned core)
{
    static const struct { uint8_t slot, pages; } stacks[] = {
        { IST_IRQ, 3 }, { IST_FAULT, 3 }, { IST_DOUBLE_FAULT, 3 }, { IST_NMI, 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++) {
        uintptr_t top = stack_alloc_kernel(stacks[i].pages);
        if (!top)
            return false;
        cpus[core].tss.ist[stacks[i].slot - 1] = top;
    }
    return true;
}

// Context: the core itself, once its stacks exist. The IDT is shared, so its stack slots are
// switched on by the boot core, which comes here first.
void arch_cpu_init(struct m *m)
{
    struct cpu *c = &cpus[m->id];
    if (m->id == 0) {
        for (unsigned i = 0; i < 256; i++)
            idt[i].ist = (uint8_t)ist_of(i);
        return;
    }
    enable_features();
    load_tables(c);
    set_gs(c, m);
}
