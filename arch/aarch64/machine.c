// SPDX-License-Identifier: BSD-2-Clause
// The board around the cores: the ways to end, the clock chip, random numbers.

#include "arch/arch.h"
#include "arch/aarch64/cpu.h"
#include "kernel/acpi.h"
#include "kernel/bootinfo.h"
#include "kernel/cmdline.h"
#include "kernel/devtree.h"
#include "kernel/page.h"
#include "kernel/pcicfg.h"
#include "kernel/print.h"
#include "kernel/vm.h"

// Arm's semihosting interface, answered by an emulator or a debugger: what to do, and its argument
// or where its arguments are.
enum { SEMI_WRITE0 = 0x04, SEMI_EXIT_EXTENDED = 0x20, SEMI_EXIT_BY_APPLICATION = 0x20026 };

static uint64_t semihosting(uint64_t what, uintptr_t argument)
{
    register uint64_t x0 __asm__("x0") = what;
    register uint64_t x1 __asm__("x1") = argument;
    __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
    return x0;
}

const void *acpi_map(uint64_t pa, size_t len)
{
    if (pa + len < pa || pa + len > (1ull << 46))
        return NULL;
    uintptr_t va = (uintptr_t)phys_to_virt(pa);
    bool mapped = true;
    for (uintptr_t at = ROUND_DOWN(va, PAGE_SIZE); at < va + len; at += PAGE_SIZE)
        mapped &= arch_is_mapped(at);
    return mapped ? (const void *)va : vm_map_mmio(pa, len);
}

void arch_machine_init(const struct bootinfo *bi)
{
    (void)bi;
    arch_fences_elided = dt.qemu;
    intr_init();
}

// A line for whoever started the emulator. Only with exit=semihosting: elsewhere the instruction is
// undefined.
static bool tell_emulator(const char *line)
{
    const char *how = cmdline_option("exit");
    if (!how || __builtin_strcmp(how, "semihosting") != 0)
        return false;
    semihosting(SEMI_WRITE0, (uintptr_t)line);
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
    if (tell_emulator(line)) {
        uint64_t args[2] = { SEMI_EXIT_BY_APPLICATION, (uint64_t)(status & 0xff) };
        semihosting(SEMI_EXIT_EXTENDED, (uintptr_t)args);
    }
    if (dt.psci_system_off)
        psci_call(dt.psci_system_off, 0, 0, 0);
    arch_halt();
}

void arch_halt(void)
{
    for (;;)
        __asm__ volatile("msr daifset, #15; dsb sy; wfi" ::: "memory");
}

// RNDR, where the processor has it.
bool arch_random_u64(uint64_t *out)
{
    if (sysreg_read(id_aa64isar0_el1) >> 60 == 0)
        return false;
    for (int i = 0; i < 10; i++) {
        uint64_t failed;
        __asm__ volatile("mrs %0, S3_3_C2_C4_0; cset %1, eq" : "=r"(*out), "=r"(failed) : : "cc");
        if (!failed)
            return true;
    }
    return false;
}

int64_t arch_wall_seconds(void)
{
    volatile uint8_t *rtc = dt.rtc.len ? vm_map_mmio(dt.rtc.base, 0x1000) : NULL;
    return rtc ? (int64_t)arch_mmio_read32(rtc) : 0;
}

// There is no way to configuration space but its window in memory.

uint32_t arch_pci_cfg_read(uint8_t bus, uint8_t dev, uint8_t fn, unsigned off, unsigned size)
{
    (void)bus, (void)dev, (void)fn, (void)off, (void)size;
    return UINT32_MAX;
}

void arch_pci_cfg_write(uint8_t bus, uint8_t dev, uint8_t fn, unsigned off, unsigned size,
                        uint32_t value)
{
    (void)bus, (void)dev, (void)fn, (void)off, (void)size, (void)value;
}
