// SPDX-License-Identifier: BSD-2-Clause
// The board around the cores: tables, interrupt controllers, clock chip, the ways to end.

#include "arch/arch.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "kernel/acpi.h"
#include "kernel/bootinfo.h"
#include "kernel/cmdline.h"
#include "kernel/mptable.h"
#include "kernel/page.h"
#include "kernel/pcicfg.h"
#include "kernel/print.h"
#include "kernel/vm.h"

const void *acpi_map(uint64_t pa, size_t len)
{
    if (pa + len < pa || pa + len > (1ull << 46))
        return NULL;
    uintptr_t va = (uintptr_t)phys_to_virt(pa);
    bool mapped = true;
    for (uintptr_t at = ROUND_DOWN(va, PAGE_SIZE); at < va + len; at += PAGE_SIZE)
        mapped &= arch_is_mapped(at);
    // Tables that firmware put into memory it merely calls reserved.
    return mapped ? (const void *)va : vm_map_mmio(pa, len);
}

void arch_machine_init(const struct bootinfo *bi)
{
    trampoline_pa = bi->low_page;
    uint64_t rsdp = bi->rsdp_pa;
    if (rsdp == 0)
        rsdp = acpi_find_rsdp(0xe0000, 0x100000);
    if ((rsdp == 0 || !acpi_parse(rsdp, &acpi)) && !mptable_parse(&acpi))
        klog("no tables that describe the machine; one core, no PCI windows");
    if (acpi.lapic_addr == 0)
        acpi.lapic_addr = 0xfee00000;
    lapic_init();
    cpus[0].apic_id = lapic_id();
    ioapic_init();
}

static void power_off_acpi(void)
{
    if (!acpi.have_s5)
        return;
    if (acpi.hw_reduced && acpi.sleep_control.bits) {
        uint8_t v = (uint8_t)(acpi.s5_a << 2 | 1 << 5);
        if (acpi.sleep_control.space == ACPI_SPACE_IO)
            outb((uint16_t)acpi.sleep_control.addr, v);
        else
            *(volatile uint8_t *)vm_map_mmio(acpi.sleep_control.addr, 1) = v;
        return;
    }
    if (acpi.pm1a_control.bits && acpi.pm1a_control.space == ACPI_SPACE_IO)
        outw((uint16_t)acpi.pm1a_control.addr, (uint16_t)(acpi.s5_a << 10 | 1 << 13));
    if (acpi.pm1b_control.bits && acpi.pm1b_control.space == ACPI_SPACE_IO)
        outw((uint16_t)acpi.pm1b_control.addr, (uint16_t)(acpi.s5_b << 10 | 1 << 13));
}

// A line for whoever started the emulator, by port 0xe9. Only with exit=debugcon: on another
// machine the port may mean anything.
static bool tell_emulator(const char *line)
{
    const char *how = cmdline_option("exit");
    if (!how || __builtin_strcmp(how, "debugcon") != 0)
        return false;
    while (*line)
        outb(0xe9, (uint8_t)*line++);
    return true;
}

void arch_console_wanted(void)
{
    tell_emulator("input\n");
}

void arch_poweroff(int status)
{
    char line[24];
    ksnprintf(line, sizeof(line), "exit %d\n", status & 0xff);
    if (tell_emulator(line))
        outl(0xf4, (uint32_t)status & 0x7f); // the emulator's exit port
    power_off_acpi();
    arch_halt();
}

void arch_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

bool arch_random_u64(uint64_t *out)
{
    if (!cpu_features.rdrand)
        return false;
    for (int i = 0; i < 10; i++) {
        unsigned char ok;
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*out), "=qm"(ok) : : "cc");
        if (ok)
            return true;
    }
    return false;
}

// The MC146818 clock chip (its data sheet's register numbers). Read until two readings agree, as it
// may tick between.

enum { RTC_SEC, RTC_MIN = 2, RTC_HOUR = 4, RTC_DAY = 7, RTC_MONTH, RTC_YEAR, RTC_A, RTC_B };

static uint8_t rtc_read(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

static void rtc_snapshot(uint8_t v[6])
{
    static const uint8_t regs[6] = { RTC_SEC, RTC_MIN, RTC_HOUR, RTC_DAY, RTC_MONTH, RTC_YEAR };
    for (int i = 0; i < 10000 && (rtc_read(RTC_A) & 0x80); i++)
        arch_relax();
    for (int i = 0; i < 6; i++)
        v[i] = rtc_read(regs[i]);
}

// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = y / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m + (m > 2 ? -3u : 9u)) + 2) / 5 + d - 1;
    return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

int64_t arch_wall_seconds(void)
{
    uint8_t v[6], again[6];
    for (int tries = 0; tries < 10; tries++) {
        rtc_snapshot(v);
        rtc_snapshot(again);
        if (__builtin_memcmp(v, again, sizeof(v)) == 0)
            break;
    }
    uint8_t mode = rtc_read(RTC_B);
    if (mode == 0xff)
        return 0; // nobody at the port
    bool pm = !(mode & 2) && (v[2] & 0x80);
    v[2] &= 0x7f;
    if (!(mode & 4))
        for (int i = 0; i < 6; i++)
            v[i] = (uint8_t)((v[i] >> 4) * 10 + (v[i] & 15));
    if (!(mode & 2))
        v[2] = (uint8_t)(v[2] % 12 + (pm ? 12 : 0));
    if (v[4] < 1 || v[4] > 12 || v[3] < 1 || v[3] > 31)
        return 0;
    return ((days_from_civil(2000 + v[5], v[4], v[3]) * 24 + v[2]) * 60 + v[1]) * 60 + v[0];
}

// Configuration mechanism #1 of the PCI specification.

static uint16_t pci_select(uint8_t bus, uint8_t dev, uint8_t fn, unsigned off)
{
    outl(0xcf8, 0x80000000u | (uint32_t)bus << 16 | (uint32_t)dev << 11 | (uint32_t)fn << 8 |
                (off & 0xfc));
    return (uint16_t)(0xcfc + (off & 3));
}

uint32_t arch_pci_cfg_read(uint8_t bus, uint8_t dev, uint8_t fn, unsigned off, unsigned size)
{
    uint16_t port = pci_select(bus, dev, fn, off);
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

void arch_pci_cfg_write(uint8_t bus, uint8_t dev, uint8_t fn, unsigned off, unsigned size,
                        uint32_t value)
{
    uint16_t port = pci_select(bus, dev, fn, off);
    if (size == 1)
        outb(port, (uint8_t)value);
    else if (size == 2)
        outw(port, (uint16_t)value);
    else
        outl(port, value);
}
