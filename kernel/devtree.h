// SPDX-License-Identifier: BSD-2-Clause
// What a device tree says about the machine: memory, cores, interrupt controller, console, PCI
// windows, the ways to start cores and to power off. Whatever contradicts itself is left out, and
// what remains is plain numbers in fixed arrays.
#ifndef KERNEL_DEVTREE_H
#define KERNEL_DEVTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/acpi.h"

#define DT_MAX_CORES 64
#define DT_MAX_GICR 8
#define DT_MAX_PCI_IRQS 128

struct bootinfo;

struct dt_range {
    uint64_t base, len; // len 0: none
};

// Interrupt pin `pin` (1 to 4) of devices whose address, masked, is `where` arrives at gsi.
struct dt_pci_irq {
    uint32_t where;
    uint32_t gsi;
    uint8_t pin;
    bool level, active_low;
};

enum dt_call { DT_CALL_NONE, DT_CALL_HVC, DT_CALL_SMC };

struct dt_info {
    bool present;
    const char *bootargs; // within the tree, "" if there are none

    // Cores that may be started, in the order of the tree.
    uint32_t n_cores;
    uint64_t mpidr[DT_MAX_CORES];
    enum dt_call psci;
    uint32_t psci_cpu_on, psci_system_off;

    // Generic interrupt controller; global interrupt numbers are its own, shared ones from 32.
    unsigned gic; // 0: none found; 2, 3 (which is 4 as well)
    struct dt_range gicd, gicc; // gicc: version 2
    uint32_t n_gicr;
    struct dt_range gicr[DT_MAX_GICR]; // version 3
    struct dt_range v2m, its;          // message-signalled interrupts, by either version
    uint32_t timer_irq;                // the virtual timer's

    struct dt_range uart; // PL011
    struct dt_range rtc;  // PL031
    bool qemu;
    uint8_t seed[32];     // random bytes from the loader
    uint32_t seed_len;

    // PCI windows with addresses for devices: pci is the address on the bus, base the processor's.
    struct dt_range pci_mmio32, pci_mmio64;
    uint64_t pci_bus32, pci_bus64;
    uint32_t pci_irq_mask;
    uint32_t n_pci_irqs;
    struct dt_pci_irq pci_irqs[DT_MAX_PCI_IRQS];
};

// What devtree_parse found at boot; constant once other cores run.
extern struct dt_info dt;

// devtree.c

// Reads the tree at blob, of at most max bytes. Fills dt, and of the tables that drivers look at
// (struct acpi_info) the windows to PCI's configuration space and the virtio devices. False if
// there is no believable tree. Needs no heap, prints nothing. Context: boot, one core.
bool devtree_parse(const void *blob, size_t max, struct dt_info *out, struct acpi_info *tables);

// Adds the memory the tree tells of, and what of it is taken, to the memory map. blob_pa is where
// the tree itself lies. Context: as devtree_parse, after it.
void devtree_memory(const void *blob, size_t max, uint64_t blob_pa, struct bootinfo *bi);

#endif
