// SPDX-License-Identifier: BSD-2-Clause
// Numbers for PCI buses and addresses for registers where no firmware has given any: on machines
// that a device tree describes and that start the image directly. The tree says which windows of
// addresses there are; they are handed out upwards, each register window aligned to its size.
//
// Buses are numbered depth first, so that what lies behind a bridge is one range; so are the
// addresses behind it, which it must be told in steps of 1 MiB. Windows that do not fit below 4 GiB
// go to the other range if they can and no bridge is in between. I/O ports stay without addresses:
// no driver uses them. A pin's interrupt is written into the register where firmware would.

#include "drivers/pci.h"

#include "kernel/devtree.h"
#include "kernel/print.h"
#include "lib/util.h"

enum {
    PRIMARY_BUS = 0x18, SUBORDINATE_BUS = 0x1a, IO_BASE = 0x1c, IO_LIMIT = 0x1d,
    MEMORY_BASE = 0x20, MEMORY_LIMIT = 0x22, PREFETCH_BASE = 0x24, PREFETCH_LIMIT = 0x26,
    BRIDGE_STEP = 1 << 20, MAX_DEPTH = 8,
};

static struct {
    uint64_t next32, end32; // on the bus
    uint64_t next64, end64;
    unsigned last_bus, bus_limit;
    uint64_t base; // configuration space
    uint16_t segment;
} pool;

// The bridges on the way to a bus: at [0] the one on the root bus.
struct path {
    uint8_t dev[MAX_DEPTH];
    unsigned depth;
};

// An address for a window of that length; 0 if there is none.
static uint64_t take(uint64_t *next, uint64_t end, uint64_t len)
{
    uint64_t at = ROUND_UP(*next, len);
    if (at < *next || at > end || len > end - at)
        return 0;
    *next = at + len;
    return at;
}

// Gives window n of the function an address; returns the registers it takes. Context: the function
// does not answer at its windows.
static unsigned assign_bar(struct pci_dev *d, unsigned n, bool root)
{
    unsigned off = PCI_BAR0 + 4 * n;
    pci_write(d, off, 4, UINT32_MAX);
    uint32_t low = pci_read(d, off, 4);
    bool io = low & 1, wide = !io && (low >> 1 & 3) == 2 && n < 5;
    uint64_t mask = low & ~(uint32_t)15;
    if (wide) {
        pci_write(d, off + 4, 4, UINT32_MAX);
        mask |= (uint64_t)pci_read(d, off + 4, 4) << 32;
    } else if (mask) {
        mask |= 0xffffffff00000000ull;
    }
    uint64_t len = ~mask + 1, at = 0;
    if (mask && !io) {
        at = take(&pool.next32, pool.end32, MAX(len, (uint64_t)4096));
        if (!at && wide && root)
            at = take(&pool.next64, pool.end64, len);
    }
    pci_write(d, off, 4, (uint32_t)at);
    if (wide)
        pci_write(d, off + 4, 4, (uint32_t)(at >> 32));
    return wide ? 2 : 1;
}

// Pins behind a bridge arrive at the bridge's pins, moved on by the device's number.
static void assign_irq(struct pci_dev *d, const struct path *path)
{
    unsigned pin = pci_read(d, PCI_INTERRUPT_PIN, 1), dev = d->dev;
    if (pin == 0 || pin > 4)
        return;
    for (unsigned i = path->depth; i > 0; i--) {
        pin = (pin - 1 + dev) % 4 + 1;
        dev = path->dev[i - 1];
    }
    uint32_t where = (dev << 11) & dt.pci_irq_mask;
    for (uint32_t i = 0; i < dt.n_pci_irqs; i++) {
        const struct dt_pci_irq *e = &dt.pci_irqs[i];
        if (e->where == where && e->pin == pin && e->gsi < 255)
            pci_write(d, PCI_INTERRUPT_LINE, 1, e->gsi);
    }
}

static void assign_bus(unsigned bus, struct path *path);

static void assign_bridge(struct pci_dev *d, struct path *path)
{
    if (path->depth == MAX_DEPTH || pool.last_bus == pool.bus_limit) {
        klog("pci %s: too many bridges; not followed", d->name);
        return;
    }
    unsigned bus = ++pool.last_bus;
    pci_write(d, PRIMARY_BUS, 1, d->bus);
    pci_write(d, PCI_SECONDARY_BUS, 1, bus);
    pci_write(d, SUBORDINATE_BUS, 1, pool.bus_limit);
    pool.next32 = ROUND_UP(pool.next32, (uint64_t)BRIDGE_STEP);
    uint64_t first = pool.next32;
    path->dev[path->depth++] = d->dev;
    assign_bus(bus, path);
    path->depth--;
    pool.next32 = ROUND_UP(pool.next32, (uint64_t)BRIDGE_STEP);
    pci_write(d, SUBORDINATE_BUS, 1, pool.last_bus);
    // A window whose base is above its limit is closed.
    bool any = pool.next32 > first && pool.next32 <= pool.end32;
    pci_write(d, MEMORY_BASE, 2, any ? (uint32_t)(first >> 16) : 0xfff0);
    pci_write(d, MEMORY_LIMIT, 2, any ? (uint32_t)((pool.next32 - 1) >> 16) & 0xfff0 : 0);
    pci_write(d, PREFETCH_BASE, 2, 0xfff0);
    pci_write(d, PREFETCH_LIMIT, 2, 0);
    pci_write(d, IO_BASE, 1, 0xf0);
    pci_write(d, IO_LIMIT, 1, 0);
    pci_write(d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void assign_function(struct pci_dev *d, struct path *path)
{
    uint32_t type = pci_read(d, PCI_HEADER_TYPE, 1) & 0x7f;
    pci_write(d, PCI_COMMAND, 2, 0);
    unsigned bars = type == 0 ? 6 : type == 1 ? 2 : 0;
    for (unsigned n = 0; n < bars;)
        n += assign_bar(d, n, path->depth == 0);
    assign_irq(d, path);
    if (type == 1)
        assign_bridge(d, path);
}

static void assign_bus(unsigned bus, struct path *path)
{
    mmio_t *window = pci_bus_window(pool.base, bus);
    for (unsigned dev = 0; window && dev < 32; dev++) {
        unsigned functions = 1;
        for (unsigned fn = 0; fn < functions; fn++) {
            struct pci_dev d = { .segment = pool.segment, .bus = (uint8_t)bus,
                                 .dev = (uint8_t)dev, .fn = (uint8_t)fn,
                                 .cfg = window + (dev << 15 | fn << 12) };
            uint32_t id = pci_read(&d, PCI_VENDOR, 4);
            if ((id & 0xffff) == 0xffff || id == 0)
                continue;
            ksnprintf(d.name, sizeof d.name, "%04x:%02x:%02x.%u", d.segment, bus, dev, fn);
            if (fn == 0 && (pci_read(&d, PCI_HEADER_TYPE, 1) & 0x80))
                functions = 8;
            assign_function(&d, path);
        }
    }
}

void pci_assign(const struct acpi_segment *s)
{
    // A bus address that differs from the processor's would have to be told apart everywhere.
    if (!dt.present || !dt.pci_mmio32.len || dt.pci_bus32 != dt.pci_mmio32.base)
        return;
    pool.next32 = MAX(dt.pci_mmio32.base, (uint64_t)4096);
    pool.end32 = dt.pci_mmio32.base + dt.pci_mmio32.len;
    if (dt.pci_mmio64.len && dt.pci_bus64 == dt.pci_mmio64.base) {
        pool.next64 = dt.pci_mmio64.base;
        pool.end64 = dt.pci_mmio64.base + dt.pci_mmio64.len;
    }
    pool.base = s->base;
    pool.segment = s->segment;
    pool.last_bus = s->bus_first;
    pool.bus_limit = s->bus_last;
    struct path path = { .depth = 0 };
    assign_bus(s->bus_first, &path);
}
