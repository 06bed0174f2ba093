// SPDX-License-Identifier: BSD-2-Clause
// PCI: finding functions, their registers and their interrupts.
#ifndef DRIVERS_PCI_H
#define DRIVERS_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/mmio.h"
#include "kernel/acpi.h"
#include "kernel/irq.h"
#include "kernel/pcicfg.h"

enum pci_reg {
    PCI_VENDOR = 0x00,
    PCI_DEVICE = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_CLASS = 0x08, // and revision, in the low byte
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SECONDARY_BUS = 0x19, // bridges
    PCI_SUBSYSTEM = 0x2e,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
};

enum pci_command {
    PCI_COMMAND_IO = 1,
    PCI_COMMAND_MEMORY = 2,
    PCI_COMMAND_MASTER = 4,
    PCI_COMMAND_NO_INTX = 0x400,
};

enum pci_cap { PCI_CAP_MSI = 0x05, PCI_CAP_VENDOR = 0x09, PCI_CAP_MSIX = 0x11 };

// Where a register window is and how long; len 0: there is none, or it has no address.
struct pci_bar {
    uint64_t pa, len;
    bool io;
};

struct pci_dev {
    uint16_t segment;
    uint8_t bus, dev, fn;
    mmio_t *cfg; // its page of configuration space; NULL: through arch_pci_cfg_*
    uint16_t vendor, device;
    uint32_t class_code; // class, subclass, interface from the high byte down
    char name[16];       // "0000:00:02.0"

    struct pci_bar bar[6]; // pci_enable's
    uint8_t msix_cap;      // offset, 0: none in use
    mmio_t *msix_table;
};

// pci.c

// Calls found for every function behind every bridge. The pci_dev is the callee's to copy.
// Context: once, goroutine or boot.
void pci_scan(void (*found)(struct pci_dev *d));

uint32_t pci_read(struct pci_dev *d, unsigned off, unsigned size);
void pci_write(struct pci_dev *d, unsigned off, unsigned size, uint32_t value);
// Offset of the next capability of that kind after offset `after` (0: the first); 0 if there is
// none.
unsigned pci_next_cap(struct pci_dev *d, enum pci_cap id, unsigned after);
// Finds out the function's windows, has it answer there and lets it read and write memory.
void pci_enable(struct pci_dev *d);
// The configuration space of a bus of the segment whose window is at base; NULL: no memory for it.
mmio_t *pci_bus_window(uint64_t base, unsigned bus);
// Maps [off, off + len) of memory window n; NULL if that is not within it. After pci_enable.
mmio_t *pci_map(struct pci_dev *d, unsigned n, uint64_t off, uint64_t len);

// pci_assign.c

// Numbers the buses of a segment and gives its functions addresses, on machines where that is left
// to us; elsewhere nothing. Context: as pci_scan, before it.
void pci_assign(const struct acpi_segment *s);

// pci_irq.c

// Entries of the function's MSI-X table, all masked now; 0 if it has none that works.
unsigned pci_msix_init(struct pci_dev *d);
// Makes entry raise vector on core. False: the machine has no interrupt for it.
bool pci_msix_route(struct pci_dev *d, unsigned entry, int vector, unsigned core);
// From here the function interrupts by MSI-X, or again by its pin.
void pci_msix_enable(struct pci_dev *d, bool on);
// The function interrupts by MSI, with vector on core; false if it cannot, and then nothing has
// happened.
bool pci_msi_enable(struct pci_dev *d, int vector, unsigned core);
// Calls handler(arg) when the function's interrupt pin is raised, on core where that is not
// decided yet; pins that share a wire call all their handlers. False if nobody told where the pin
// is connected, or there is no vector left.
bool pci_pin_connect(struct pci_dev *d, irq_handler_fn *handler, void *arg, unsigned core);

#endif
