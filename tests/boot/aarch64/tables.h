// SPDX-License-Identifier: BSD-2-Clause
// What the device tree must have told of the machine models.
#ifndef TESTS_BOOT_AARCH64_TABLES_H
#define TESTS_BOOT_AARCH64_TABLES_H

#include "check.h"
#include "kernel/devtree.h"

static inline void check_tree(void)
{
    check(dt.present && dt.qemu && dt.n_cores == (uint32_t)go_numcpu());
    check(dt.psci != DT_CALL_NONE && dt.uart.len && dt.rtc.len && dt.timer_irq == 27);
    check(acpi.n_segments == 1 && dt.pci_mmio32.len && dt.n_pci_irqs == 16);
    check(acpi.n_virtio_mmio == 32 && dt.seed_len == 32);
}

static inline void check_pci_machine(void)
{
    check_tree();
    check(dt.gic == 3 && dt.n_gicr >= 1 && dt.its.len);
}

// All slots for virtio are in the tree, however few have a device.
static inline void check_mmio_machine(unsigned n)
{
    (void)n;
    check_tree();
    check(dt.gic == 2 && dt.gicc.len && dt.v2m.len);
}

#endif
