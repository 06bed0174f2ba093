// SPDX-License-Identifier: BSD-2-Clause
// What this architecture's tables must have told of the machine models.
#ifndef TESTS_BOOT_X86_64_TABLES_H
#define TESTS_BOOT_X86_64_TABLES_H

#include "check.h"
#include "kernel/acpi.h"

// The model whose devices are on PCI.
static inline void check_pci_machine(void)
{
    check(acpi.n_cores == (uint32_t)go_numcpu() && acpi.n_ioapics >= 1 && acpi.n_segments == 1);
    check(acpi.have_fadt && acpi.pm_timer.bits && acpi.pm1a_control.bits && acpi.have_s5);
    check(acpi.n_virtio_mmio == 0 && acpi.hpet_addr && acpi.refused == 0);
}

// The model whose devices are registers in memory; n of them are virtio's.
static inline void check_mmio_machine(unsigned n)
{
    check(acpi.n_cores == (uint32_t)go_numcpu() && acpi.n_ioapics >= 1);
    check(acpi.hw_reduced && acpi.sleep_control.bits && acpi.have_s5 && acpi.reset.bits);
    check(acpi.n_virtio_mmio == n && acpi.refused == 0);
}

#endif
