// SPDX-License-Identifier: BSD-2-Clause
// The process around the cores. There are no buses and no tables that describe the machine.

#include "arch/arch.h"
#include "arch/host/host.h"
#include "kernel/acpi.h"
#include "kernel/bootinfo.h"
#include "kernel/pcicfg.h"

const void *acpi_map(uint64_t pa, size_t len)
{
    return NULL;
}

void arch_machine_init(const struct bootinfo *bi)
{
    acpi.hw_reduced = true; // nothing is where a PC would have it
}

void arch_poweroff(int status)
{
    for (;;)
        linux_sys(SYS_EXIT_GROUP, status & 0xff);
}

void arch_halt(void)
{
    uint64_t all = ~0ull;
    linux_sys(SYS_RT_SIGPROCMASK, SIG_SETMASK, &all, 0, 8);
    for (;;)
        linux_sys(SYS_PAUSE);
}

bool arch_random_u64(uint64_t *out)
{
    return linux_sys(SYS_GETRANDOM, out, sizeof *out, 0) == sizeof *out;
}

uint32_t arch_pci_cfg_read(uint8_t bus, uint8_t dev, uint8_t fn, unsigned off, unsigned size)
{
    return UINT32_MAX >> (32 - 8 * size); // nobody answers
}

void arch_pci_cfg_write(uint8_t bus, uint8_t dev, uint8_t fn, unsigned off, unsigned size,
                        uint32_t value)
{
}
