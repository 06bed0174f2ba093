// SPDX-License-Identifier: BSD-2-Clause
// Local APICs (x2APIC where offered, registers in memory otherwise), I/O APICs, message-signalled
// interrupts.

#include "arch/arch.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "kernel/acpi.h"
#include "kernel/irq.h"
#include "kernel/panic.h"
#include "kernel/print.h"
#include "kernel/vm.h"

enum {
    LAPIC_ID = 0x20, LAPIC_TPR = 0x80, LAPIC_EOI = 0xb0, LAPIC_SVR = 0xf0, LAPIC_ICR = 0x300,
    LAPIC_ICR_HI = 0x310, LAPIC_LVT_TIMER = 0x320, LAPIC_LVT_LINT0 = 0x350, LAPIC_LVT_LINT1 = 0x360,
    LAPIC_LVT_ERROR = 0x370, LAPIC_TIMER_INIT = 0x380,
    LAPIC_TIMER_CUR = 0x390, LAPIC_TIMER_DIV = 0x3e0,
    LVT_MASKED = 1 << 16, LVT_TSC_DEADLINE = 2 << 17,
    ICR_NMI = 4 << 8, ICR_INIT = 5 << 8, ICR_STARTUP = 6 << 8, ICR_ASSERT = 1 << 14,
    ICR_PENDING = 1 << 12,
};

static volatile uint32_t *lapic; // NULL with x2APIC

static uint32_t lapic_read(uint32_t reg)
{
    return lapic ? lapic[reg / 4] : (uint32_t)rdmsr(0x800 + reg / 16);
}

static void lapic_write(uint32_t reg, uint32_t v)
{
    if (lapic)
        lapic[reg / 4] = v;
    else
        wrmsr(0x800 + reg / 16, v);
}

void lapic_eoi(void)
{
    lapic_write(LAPIC_EOI, 0);
}

uint32_t lapic_id(void)
{
    uint32_t id = lapic_read(LAPIC_ID);
    return lapic ? id >> 24 : id;
}

void lapic_init(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    if (cpu_features.x2apic) {
        wrmsr(MSR_APIC_BASE, base | 1 << 11 | 1 << 10);
    } else {
        wrmsr(MSR_APIC_BASE, base | 1 << 11);
        if (!lapic)
            lapic = vm_map_mmio(acpi.lapic_addr, 4096);
        if (!lapic)
            throw("lapic_init: no memory to map the local APIC");
    }
    lapic_write(LAPIC_TPR, 0);
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
    lapic_write(LAPIC_LVT_LINT1, LVT_MASKED);
    lapic_write(LAPIC_LVT_ERROR, LVT_MASKED);
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    lapic_write(LAPIC_SVR, 0x100 | VECTOR_SPURIOUS);
    lapic_eoi();
}

void lapic_timer_setup(bool tsc_deadline)
{
    lapic_write(LAPIC_TIMER_DIV, 3); // by 16
    lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | (tsc_deadline ? LVT_TSC_DEADLINE : 0));
    // A deadline written before the mode has changed would be lost; in memory, writes may wait.
    __asm__ volatile("mfence" ::: "memory");
}

void lapic_timer_oneshot(uint32_t ticks)
{
    lapic_write(LAPIC_TIMER_INIT, ticks);
}

uint32_t lapic_timer_current(void)
{
    return lapic_read(LAPIC_TIMER_CUR);
}

// Sends to one local APIC. The two halves of the register are written with interrupts off, as a
// handler may send too.
static void send(uint32_t apic_id, uint32_t what)
{
    if (!lapic) {
        // Writing an x2APIC register waits for nothing: what the other core is to find must be
        // stored before.
        __asm__ volatile("mfence; lfence" ::: "memory");
        wrmsr(0x800 + LAPIC_ICR / 16, (uint64_t)apic_id << 32 | what);
        return;
    }
    bool on = arch_irq_save();
    while (lapic_read(LAPIC_ICR) & ICR_PENDING)
        arch_relax();
    lapic_write(LAPIC_ICR_HI, apic_id << 24);
    lapic_write(LAPIC_ICR, what);
    arch_irq_restore(on);
}

void arch_send_ipi(unsigned core, enum ipi what)
{
    uint32_t cmd = what == IPI_STOP ? ICR_NMI | ICR_ASSERT : VECTOR_WAKE | ICR_ASSERT;
    send(cpus[core].apic_id, cmd);
}

// INIT, then twice STARTUP, with the pauses of the MultiProcessor Specification, B.4.
void lapic_send_init_sipi(uint32_t apic_id, uint8_t page)
{
    send(apic_id, ICR_INIT | ICR_ASSERT);
    timer_spin_us(200);
    for (int i = 0; i < 2; i++) {
        send(apic_id, ICR_STARTUP | ICR_ASSERT | page);
        timer_spin_us(20);
    }
}

// What device interrupts can be addressed to: eight bits, without interrupt remapping. Those of
// other cores go to the boot core.
static uint32_t device_target(unsigned core)
{
    uint32_t id = cpus[core].apic_id;
    return id < 0xff ? id : cpus[0].apic_id & 0xff;
}

bool arch_msi_message(uint32_t device, int vector, unsigned core, uint64_t *addr, uint32_t *data)
{
    (void)device;
    *addr = 0xfee00000u | (uint64_t)device_target(core) << 12;
    *data = (uint32_t)vector;
    return true;
}

// I/O APICs

static struct {
    volatile uint32_t *regs; // [0] selects a register, [4] is its window
    uint32_t gsi_base, entries;
} ioapics[ACPI_MAX_IOAPICS];
static unsigned n_ioapics;

static void ioapic_write(unsigned n, uint32_t reg, uint32_t v)
{
    ioapics[n].regs[0] = reg;
    ioapics[n].regs[4] = v;
}

// Context: boot core.
void ioapic_init(void)
{
    // The old interrupt controllers stay silent.
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    for (unsigned i = 0; i < acpi.n_ioapics; i++) {
        volatile uint32_t *regs = vm_map_mmio(acpi.ioapics[i].addr, 4096);
        if (!regs)
            throw("ioapic_init: no memory to map an I/O APIC");
        ioapics[n_ioapics].regs = regs;
        ioapics[n_ioapics].gsi_base = acpi.ioapics[i].gsi_base;
        regs[0] = 1;
        ioapics[n_ioapics].entries = (regs[4] >> 16 & 0xff) + 1;
        for (uint32_t e = 0; e < ioapics[n_ioapics].entries; e++)
            ioapic_write(n_ioapics, 0x10 + 2 * e, LVT_MASKED);
        n_ioapics++;
    }
}

// Context: boot or a goroutine of the one that configures devices; not concurrent.
int arch_irq_route(uint32_t gsi, int vector, unsigned core, bool level, bool active_low)
{
    for (unsigned i = 0; i < n_ioapics; i++) {
        if (gsi < ioapics[i].gsi_base || gsi - ioapics[i].gsi_base >= ioapics[i].entries)
            continue;
        uint32_t e = gsi - ioapics[i].gsi_base;
        ioapic_write(i, 0x11 + 2 * e, device_target(core) << 24);
        ioapic_write(i, 0x10 + 2 * e, (uint32_t)vector | (level ? 1u << 15 : 0) |
                                      (active_low ? 1u << 13 : 0));
        return 0;
    }
    klog("interrupt: no I/O APIC has global interrupt %u", gsi);
    return -1;
}
