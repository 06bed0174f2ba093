// SPDX-License-Identifier: BSD-2-Clause
// Interrupts of PCI functions: MSI-X, where every queue can have a vector of its own on a core of
// its own; MSI, with one for the function; or the shared pin. The option pci_irq=msi or pci_irq=pin
// does without the better ones, for machines that get them wrong.
//
// The MSI-X table is written while the function is masked as a whole; an entry is unmasked when
// it has been routed. Nothing masks entries later on: who does not want interrupts tells the
// device so.

#include "drivers/pci.h"

#include <stdatomic.h>

#include <string.h>

#include "kernel/acpi.h"
#include "kernel/cmdline.h"
#include "kernel/irq.h"
#include "kernel/print.h"

enum msix {
    MSIX_CONTROL = 2, // of the capability
    MSIX_TABLE = 4,
    MSIX_ENABLE = 0x8000,
    MSIX_MASK_ALL = 0x4000,
    MSIX_SIZE = 0x07ff,
    MSIX_ENTRY = 16, // bytes of a table entry
    MSIX_ENTRY_ADDR = 0,
    MSIX_ENTRY_ADDR_HIGH = 4,
    MSIX_ENTRY_DATA = 8,
    MSIX_ENTRY_CONTROL = 12,
    MSIX_ENTRY_MASKED = 1,
};

enum msi {
    MSI_CONTROL = 2, // of the capability
    MSI_ADDR = 4,
    MSI_ENABLE = 0x0001,
    MSI_MULTIPLE = 0x0070, // how many messages are on
    MSI_64BIT = 0x0080,
    MSI_MASKABLE = 0x0100,
};

// Whether the command line says to do without that kind.
static bool ruled_out(const char *kind)
{
    const char *most = cmdline_option("pci_irq");
    return most && (strcmp(most, "pin") == 0 ||
                    (strcmp(most, "msi") == 0 && strcmp(kind, "msi") != 0));
}

// The number by which the machine knows who sends a message.
static uint32_t sender(const struct pci_dev *d)
{
    return (uint32_t)d->segment << 16 | (uint32_t)d->bus << 8 | (uint32_t)d->dev << 3 | d->fn;
}

bool pci_msi_enable(struct pci_dev *d, int vector, unsigned core)
{
    unsigned cap = pci_next_cap(d, PCI_CAP_MSI, 0);
    if (!cap || ruled_out("msi"))
        return false;
    uint64_t addr;
    uint32_t data;
    uint32_t control = pci_read(d, cap + MSI_CONTROL, 2) & ~(uint32_t)(MSI_ENABLE | MSI_MULTIPLE);
    bool wide = control & MSI_64BIT;
    if (!arch_msi_message(sender(d), vector, core, &addr, &data) || (!wide && addr > UINT32_MAX))
        return false;
    pci_write(d, cap + MSI_CONTROL, 2, control);
    unsigned off = cap + MSI_ADDR;
    pci_write(d, off, 4, (uint32_t)addr);
    if (wide)
        pci_write(d, off += 4, 4, (uint32_t)(addr >> 32));
    pci_write(d, off += 4, 2, data);
    if (control & MSI_MASKABLE)
        pci_write(d, off + 4, 4, 0);
    pci_write(d, PCI_COMMAND, 2, pci_read(d, PCI_COMMAND, 2) | PCI_COMMAND_NO_INTX);
    pci_write(d, cap + MSI_CONTROL, 2, control | MSI_ENABLE);
    return true;
}

unsigned pci_msix_init(struct pci_dev *d)
{
    unsigned cap = pci_next_cap(d, PCI_CAP_MSIX, 0);
    if (!cap || ruled_out("msix"))
        return 0;
    uint32_t control = pci_read(d, cap + MSIX_CONTROL, 2);
    uint32_t where = pci_read(d, cap + MSIX_TABLE, 4);
    unsigned n = (control & MSIX_SIZE) + 1;
    mmio_t *table = pci_map(d, where & 7, where & ~7u, (uint64_t)n * MSIX_ENTRY);
    if (!table) {
        klog("pci %s: MSI-X table of %u entries is out of reach", d->name, n);
        return 0;
    }
    pci_write(d, cap + MSIX_CONTROL, 2, (control & ~(uint32_t)MSIX_ENABLE) | MSIX_MASK_ALL);
    for (unsigned i = 0; i < n; i++)
        mmio_write32(table + i * MSIX_ENTRY + MSIX_ENTRY_CONTROL, MSIX_ENTRY_MASKED);
    d->msix_cap = (uint8_t)cap;
    d->msix_table = table;
    return n;
}

bool pci_msix_route(struct pci_dev *d, unsigned entry, int vector, unsigned core)
{
    uint64_t addr;
    uint32_t data;
    if (!arch_msi_message(sender(d), vector, core, &addr, &data))
        return false;
    mmio_t *e = d->msix_table + entry * MSIX_ENTRY;
    mmio_write32(e + MSIX_ENTRY_ADDR, (uint32_t)addr);
    mmio_write32(e + MSIX_ENTRY_ADDR_HIGH, (uint32_t)(addr >> 32));
    mmio_write32(e + MSIX_ENTRY_DATA, data);
    mmio_write32(e + MSIX_ENTRY_CONTROL, 0);
    return true;
}

void pci_msix_enable(struct pci_dev *d, bool on)
{
    uint32_t control = pci_read(d, d->msix_cap + MSIX_CONTROL, 2);
    control &= ~(uint32_t)(MSIX_ENABLE | MSIX_MASK_ALL);
    uint32_t command = pci_read(d, PCI_COMMAND, 2) & ~(uint32_t)PCI_COMMAND_NO_INTX;
    pci_write(d, PCI_COMMAND, 2, on ? command | PCI_COMMAND_NO_INTX : command);
    pci_write(d, d->msix_cap + MSIX_CONTROL, 2, on ? control | MSIX_ENABLE : control);
}

// A wire and those who share it. Handlers are only ever added.
#define WIRES 8u
#define WIRE_HANDLERS 8u

static struct wire {
    uint32_t gsi;
    _Atomic(unsigned) n; // pairs: PCI-WIRE
    struct {
        irq_handler_fn *fn;
        void *arg;
    } handler[WIRE_HANDLERS];
} wires[WIRES];
static unsigned n_wires;

// Context: interrupt handler.
static void wire_irq(void *arg)
{
    struct wire *w = arg;
    unsigned n = atomic_load_explicit(&w->n, memory_order_acquire); // pairs: PCI-WIRE
    for (unsigned i = 0; i < n; i++)
        w->handler[i].fn(w->handler[i].arg);
}

static struct wire *wire_of(const struct acpi_override *o, unsigned core)
{
    for (unsigned i = 0; i < n_wires; i++)
        if (wires[i].gsi == o->gsi)
            return &wires[i];
    if (n_wires == WIRES)
        return NULL;
    struct wire *w = &wires[n_wires];
    int vector = irq_alloc(wire_irq, w, "pci pin");
    if (vector < 0)
        return NULL;
    if (arch_irq_route(o->gsi, vector, core, true, o->active_low) != 0) {
        irq_free(vector);
        return NULL;
    }
    w->gsi = o->gsi;
    n_wires++;
    return w;
}

// The firmware's name for the pin's wire is an ISA interrupt number; the tables may say that this
// number arrives elsewhere. Pins are level-triggered and low unless the tables know better.
bool pci_pin_connect(struct pci_dev *d, irq_handler_fn *handler, void *arg, unsigned core)
{
    uint32_t line = pci_read(d, PCI_INTERRUPT_LINE, 1);
    if (pci_read(d, PCI_INTERRUPT_PIN, 1) == 0 || line == 0 || line == 0xff)
        return false;
    struct acpi_override o = { .gsi = line, .level = true, .active_low = true };
    for (uint32_t i = 0; i < acpi.n_overrides; i++)
        if (acpi.overrides[i].irq == line && acpi.overrides[i].level)
            o = acpi.overrides[i];
    struct wire *w = wire_of(&o, core);
    unsigned n = w ? atomic_load_explicit(&w->n, memory_order_relaxed) : WIRE_HANDLERS;
    if (n == WIRE_HANDLERS)
        return false;
    w->handler[n].fn = handler;
    w->handler[n].arg = arg;
    atomic_store_explicit(&w->n, n + 1, memory_order_release); // pairs: PCI-WIRE
    uint32_t command = pci_read(d, PCI_COMMAND, 2);
    pci_write(d, PCI_COMMAND, 2, command & ~(uint32_t)PCI_COMMAND_NO_INTX);
    return true;
}
