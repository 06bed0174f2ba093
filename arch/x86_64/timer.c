// SPDX-License-Identifier: BSD-2-Clause
// The time-stamp counter as clock and the local APIC's timer as alarm.
//
// The counter's rate comes from CPUID where it is said there, else from a comparison with the ACPI
// PM timer, the HPET or the 8254: several windows of a few milliseconds, each bounded by the best
// of several paired readings, and of those the window with the tightest bounds is believed. A
// window disturbed by somebody else's work has loose bounds.

#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "kernel/acpi.h"
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/panic.h"
#include "kernel/print.h"
#include "kernel/vm.h"

enum { PM_HZ = 3579545, PIT_HZ = 1193182, WINDOW_US = 3000, WINDOWS = 3, READINGS = 8 };

struct reference {
    uint32_t (*read)(void);
    uint32_t hz, mask;
    bool down;
    const char *name;
};

static volatile uint32_t *pm_mmio;
static uint64_t apic_hz; // of the APIC timer after its divider; 0 with TSC deadline
static uint32_t apic_mult; // APIC ticks per ns, 32 fractional bits

// The event timer's main counter: 32 bits of it will do.
enum { HPET_PERIOD = 4, HPET_CONFIG = 0x10, HPET_COUNTER = 0xf0, HPET_BYTES = 0x100 };
#define HPET_PERIOD_MAX_FS 100000000u // by its specification
static volatile uint8_t *hpet;

static uint32_t read_hpet(void)
{
    return *(volatile uint32_t *)(hpet + HPET_COUNTER);
}

// Its rate, once it counts; 0 if there is none.
static uint32_t start_hpet(void)
{
    if (acpi.hpet_addr == 0 || !(hpet = vm_map_mmio(acpi.hpet_addr, HPET_BYTES)))
        return 0;
    uint32_t period_fs = *(volatile uint32_t *)(hpet + HPET_PERIOD);
    if (period_fs == 0 || period_fs > HPET_PERIOD_MAX_FS)
        return 0;
    volatile uint32_t *config = (volatile uint32_t *)(hpet + HPET_CONFIG);
    *config |= 1;
    return (uint32_t)(1000000000000000ull / period_fs);
}

static uint32_t read_pm(void)
{
    return pm_mmio ? *pm_mmio : inl((uint16_t)acpi.pm_timer.addr);
}

// Channel 2 of the 8254, whose gate is in our hands and whose output drives nothing.
static uint32_t read_pit(void)
{
    outb(0x43, 0x80);
    uint32_t lo = inb(0x42);
    return lo | (uint32_t)inb(0x42) << 8;
}

static void start_pit(void)
{
    outb(0x61, (inb(0x61) & ~2) | 1);
    outb(0x43, 0xb4); // channel 2, both bytes, rate generator
    outb(0x42, 0xff);
    outb(0x42, 0xff);
}

// Whether the reference moves at all.
static bool alive(const struct reference *r)
{
    uint32_t first = r->read();
    for (int i = 0; i < 1000; i++)
        if (r->read() != first)
            return true;
    return false;
}

// Whether the command line leaves that reference to be used: clock= names the only one.
static bool allowed(const char *name)
{
    const char *only = cmdline_option("clock");
    return !only || strcmp(only, name) == 0;
}

static bool find_reference(struct reference *r)
{
    if (acpi.pm_timer.bits && allowed("pm")) {
        if (acpi.pm_timer.space == ACPI_SPACE_MEMORY)
            pm_mmio = vm_map_mmio(acpi.pm_timer.addr, 4);
        *r = (struct reference){ read_pm, PM_HZ, 0xffffff, false, "PM timer" };
        if (alive(r))
            return true;
    }
    uint32_t hz = allowed("hpet") ? start_hpet() : 0;
    if (hz) {
        *r = (struct reference){ read_hpet, hz, UINT32_MAX, false, "HPET" };
        if (alive(r))
            return true;
    }
    start_pit();
    *r = (struct reference){ read_pit, PIT_HZ, 0xffff, true, "8254" };
    return alive(r);
}

// A reading of the reference between two of the counter that lie closest together.
static uint64_t paired(const struct reference *r, uint32_t *ref, uint64_t *slack)
{
    uint64_t at = 0;
    *slack = UINT64_MAX;
    for (int i = 0; i < READINGS; i++) {
        uint64_t before = arch_counter();
        uint32_t v = r->read();
        uint64_t after = arch_counter();
        if (after - before < *slack) {
            *slack = after - before;
            *ref = v;
            at = before + (after - before) / 2;
        }
    }
    return at;
}

static uint64_t measure(const struct reference *r)
{
    uint64_t best_slack = UINT64_MAX, hz = 0;
    for (int w = 0; w < WINDOWS; w++) {
        uint32_t ref0, ref1;
        uint64_t slack0, slack1;
        uint64_t t0 = paired(r, &ref0, &slack0);
        uint32_t want = (uint32_t)((uint64_t)r->hz * WINDOW_US / 1000000), gone;
        do {
            uint32_t now = r->read();
            gone = (r->down ? ref0 - now : now - ref0) & r->mask;
        } while (gone < want);
        uint64_t t1 = paired(r, &ref1, &slack1);
        gone = (r->down ? ref0 - ref1 : ref1 - ref0) & r->mask;
        if (gone != 0 && slack0 + slack1 < best_slack) {
            best_slack = slack0 + slack1;
            hz = (t1 - t0) * r->hz / gone;
        }
    }
    return hz;
}

// The rate as the processor states it; 0 if it does not.
static uint64_t stated_hz(void)
{
    if (cpuid(0, 0).a >= 0x15) {
        struct cpuid c = cpuid(0x15, 0);
        if (c.a && c.b && c.c)
            return (uint64_t)c.c * c.b / c.a;
    }
    // Hypervisors state it in kHz.
    if (cpuid(1, 0).c >> 31 && cpuid(0x40000000, 0).a >= 0x40000010)
        return (uint64_t)cpuid(0x40000010, 0).a * 1000;
    return 0;
}

void timer_spin_us(unsigned us)
{
    uint64_t until = arch_counter() + clock_hz() / 1000000 * us;
    while ((int64_t)(arch_counter() - until) < 0)
        arch_relax();
}

// The APIC timer's rate, by the clock.
static void measure_apic(void)
{
    uint64_t best = UINT64_MAX;
    for (int w = 0; w < WINDOWS; w++) {
        lapic_timer_oneshot(UINT32_MAX);
        uint64_t t0 = arch_counter();
        uint32_t a0 = lapic_timer_current();
        timer_spin_us(1000);
        uint64_t t1 = arch_counter();
        uint32_t a1 = lapic_timer_current();
        uint64_t slack = arch_counter() - t1;
        if (slack < best && t1 > t0) {
            best = slack;
            apic_hz = (uint64_t)(a0 - a1) * clock_hz() / (t1 - t0);
        }
    }
    lapic_timer_oneshot(0);
    if (apic_hz == 0)
        throw("arch_clock_init: the local APIC's timer does not count");
    apic_mult = (uint32_t)((apic_hz << 32) / 1000000000u);
}

void arch_clock_init(void)
{
    const char *source = "CPUID";
    uint64_t hz = stated_hz();
    if (hz == 0) {
        struct reference ref;
        if (!find_reference(&ref))
            throw("arch_clock_init: no PM timer, HPET or 8254 to measure the TSC by");
        source = ref.name;
        hz = measure(&ref);
    }
    clock_init(hz, arch_wall_seconds() * 1000000000);
    timer_init_core();
    if (!cpu_features.tsc_deadline)
        measure_apic();
    klog("clock: TSC %lu.%03lu MHz by %s, alarm by %s", (unsigned long)(hz / 1000000),
         (unsigned long)(hz / 1000 % 1000), source,
         cpu_features.tsc_deadline ? "TSC deadline" : "local APIC");
    // An interpreter's counter is the host's clock, whatever its CPUID says.
    if (!cpu_features.invariant_tsc && !cpu_features.hypervisor)
        klog("clock: this processor does not promise that its TSC keeps its rate");
}

void timer_init_core(void)
{
    lapic_timer_setup(cpu_features.tsc_deadline);
}

void arch_timer_arm(int64_t deadline_ns)
{
    if (deadline_ns == INT64_MAX) {
        if (cpu_features.tsc_deadline)
            wrmsr(MSR_TSC_DEADLINE, 0);
        else
            lapic_timer_oneshot(0);
        return;
    }
    int64_t in = deadline_ns - clock_mono_ns();
    in = in < 1000 ? 1000 : in > 1000000000 ? 1000000000 : in;
    if (cpu_features.tsc_deadline) {
        wrmsr(MSR_TSC_DEADLINE, arch_counter() + clock_ns_to_cycles(in));
        return;
    }
    uint64_t ticks = ((uint64_t)in * apic_mult >> 32) + 1;
    lapic_timer_oneshot((uint32_t)MIN(ticks, UINT32_MAX));
}
