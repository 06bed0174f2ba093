// SPDX-License-Identifier: BSD-2-Clause
// PCI enumeration. Configuration space is reached through the memory windows ACPI tells of
// (ECAM), a mapping per bus made when the bus is first looked at, or else through the
// architecture's own way, which covers segment 0. Bus numbers and register windows are the
// firmware's, or pci_assign's; what was left without an address is reported and unusable.
//
// Everything runs once, on one core, before any driver is interrupted: no locks.

#include "drivers/pci.h"

#include <string.h>

#include "kernel/acpi.h"
#include "kernel/print.h"
#include "kernel/vm.h"
#include "lib/util.h"

#define BUS_WINDOW ((size_t)1 << 20) // 32 devices of 8 functions of 4 KiB
#define MAX_CAPS 48u                 // more than fit into 192 bytes: the list is a loop

struct bus_set {
    uint64_t bit[4];
};

static bool bus_take(struct bus_set *s, unsigned bus)
{
    uint64_t m = 1ull << (bus % 64);
    bool had = s->bit[bus / 64] & m;
    s->bit[bus / 64] &= ~m;
    return had;
}

static void bus_add(struct bus_set *s, unsigned bus)
{
    s->bit[bus / 64] |= 1ull << (bus % 64);
}

uint32_t pci_read(struct pci_dev *d, unsigned off, unsigned size)
{
    if (!d->cfg)
        return arch_pci_cfg_read(d->bus, d->dev, d->fn, off, size);
    switch (size) {
    case 1: return mmio_read8(d->cfg + off);
    case 2: return mmio_read16(d->cfg + off);
    default: return mmio_read32(d->cfg + off);
    }
}

void pci_write(struct pci_dev *d, unsigned off, unsigned size, uint32_t value)
{
    if (!d->cfg) {
        arch_pci_cfg_write(d->bus, d->dev, d->fn, off, size, value);
        return;
    }
    switch (size) {
    case 1: mmio_write8(d->cfg + off, (uint8_t)value); break;
    case 2: mmio_write16(d->cfg + off, (uint16_t)value); break;
    default: mmio_write32(d->cfg + off, value); break;
    }
}

unsigned pci_next_cap(struct pci_dev *d, enum pci_cap id, unsigned after)
{
    if (!(pci_read(d, PCI_STATUS, 2) & 0x10))
        return 0;
    unsigned off = after ? after + 1 : PCI_CAPABILITIES;
    for (unsigned i = 0; i < MAX_CAPS; i++) {
        off = pci_read(d, off, 1) & 0xfc;
        if (off < 0x40)
            return 0;
        if (pci_read(d, off, 1) == (uint32_t)id)
            return off;
        off++;
    }
    klog("pci %s: capability list without end", d->name);
    return 0;
}

// Reads window n and how long it is. Returns the number of registers it takes. Context: the
// function does not answer at its windows.
static unsigned size_bar(struct pci_dev *d, unsigned n)
{
    unsigned off = PCI_BAR0 + 4 * n;
    uint32_t low = pci_read(d, off, 4), high = 0;
    bool io = low & 1, wide = !io && (low >> 1 & 3) == 2 && n < 5;
    pci_write(d, off, 4, UINT32_MAX);
    uint64_t mask = pci_read(d, off, 4);
    pci_write(d, off, 4, low);
    if (wide) {
        high = pci_read(d, off + 4, 4);
        pci_write(d, off + 4, 4, UINT32_MAX);
        mask |= (uint64_t)pci_read(d, off + 4, 4) << 32;
        pci_write(d, off + 4, 4, high);
    } else if (mask) {
        mask |= 0xffffffff00000000ull;
    }
    uint64_t flags = io ? 3 : 15;
    mask &= ~flags;
    if (io && mask)
        mask |= 0xffff0000u; // many decode 16 bits only
    uint64_t pa = ((uint64_t)high << 32 | low) & ~flags;
    if (mask && !pa && !io)
        klog("pci %s: window %u has no address", d->name, n);
    if (mask && pa)
        d->bar[n] = (struct pci_bar){ .pa = pa, .len = ~mask + 1, .io = io };
    return wide ? 2 : 1;
}

// Asking for sizes puts nonsense into the address registers, so the function is deaf meanwhile.
// Moving windows is what takes an emulator its time: they go and come back once.
void pci_enable(struct pci_dev *d)
{
    uint32_t command = pci_read(d, PCI_COMMAND, 2);
    pci_write(d, PCI_COMMAND, 2, command & ~(uint32_t)(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
    for (unsigned n = 0; n < ARRAY_LEN(d->bar);)
        n += size_bar(d, n);
    pci_write(d, PCI_COMMAND, 2, command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

mmio_t *pci_map(struct pci_dev *d, unsigned n, uint64_t off, uint64_t len)
{
    const struct pci_bar *b = n < ARRAY_LEN(d->bar) ? &d->bar[n] : NULL;
    if (!b || b->io || len == 0 || off > b->len || len > b->len - off)
        return NULL;
    return vm_map_mmio(b->pa + off, len);
}

mmio_t *pci_bus_window(uint64_t base, unsigned bus)
{
    // Of the last segment asked for: one is all that most machines have.
    static uint64_t mapped;
    static mmio_t *windows[256];
    if (mapped != base)
        memset(windows, 0, sizeof windows);
    mapped = base;
    if (!windows[bus])
        windows[bus] = vm_map_mmio(base + bus * BUS_WINDOW, BUS_WINDOW);
    return windows[bus];
}

// A bridge: the bus behind it is to be looked at, if its number makes sense.
static void bridge(struct pci_dev *d, unsigned bus_last, struct bus_set *todo,
                   struct bus_set *unseen)
{
    unsigned bus = pci_read(d, PCI_SECONDARY_BUS, 1);
    if (bus <= d->bus || bus > bus_last)
        klog("pci %s: bridge to bus %u not followed", d->name, bus);
    else if (bus_take(unseen, bus))
        bus_add(todo, bus);
}

// True if there is a function; *multi says whether there may be others beside it.
static bool scan_function(struct pci_dev *d, unsigned bus_last, struct bus_set *todo,
                          struct bus_set *unseen, void (*found)(struct pci_dev *), bool *multi)
{
    uint32_t id = pci_read(d, PCI_VENDOR, 4);
    if ((id & 0xffff) == 0xffff || id == 0)
        return false;
    d->vendor = (uint16_t)id;
    d->device = (uint16_t)(id >> 16);
    d->class_code = pci_read(d, PCI_CLASS, 4) >> 8;
    ksnprintf(d->name, sizeof d->name, "%04x:%02x:%02x.%u", d->segment, d->bus, d->dev, d->fn);
    uint32_t type = pci_read(d, PCI_HEADER_TYPE, 1);
    *multi = type & 0x80;
    if ((type & 0x7f) == 1)
        bridge(d, bus_last, todo, unseen);
    else if ((type & 0x7f) == 0)
        found(d);
    return true;
}

// All buses first..last of a segment that hang together with the first. base 0: no memory window.
static void scan_segment(uint64_t base, uint16_t segment, unsigned first, unsigned last,
                         void (*found)(struct pci_dev *))
{
    struct bus_set todo = { { 0 } }, unseen = { { ~0ull, ~0ull, ~0ull, ~0ull } };
    bus_add(&todo, first);
    bus_take(&unseen, first);
    for (unsigned bus = first; bus <= last; bus++) {
        if (!bus_take(&todo, bus)) // a bridge's bus has a higher number than its own
            continue;
        mmio_t *window = NULL;
        if (base && !(window = pci_bus_window(base, bus))) {
            klog("pci: no memory to look at bus %u", bus);
            return;
        }
        for (unsigned dev = 0; dev < 32; dev++) {
            bool multi = false;
            for (unsigned fn = 0; fn < (multi ? 8 : 1); fn++) {
                struct pci_dev d = { .segment = segment, .bus = (uint8_t)bus,
                                     .dev = (uint8_t)dev, .fn = (uint8_t)fn };
                bool more = false;
                if (window)
                    d.cfg = window + (dev << 15 | fn << 12);
                if (scan_function(&d, last, &todo, &unseen, found, &more) && fn == 0)
                    multi = more;
            }
        }
    }
}

void pci_scan(void (*found)(struct pci_dev *d))
{
    for (uint32_t i = 0; i < acpi.n_segments; i++) {
        const struct acpi_segment *s = &acpi.segments[i];
        pci_assign(s);
        scan_segment(s->base, s->segment, s->bus_first, s->bus_last, found);
    }
    if (!acpi.n_segments && !acpi.hw_reduced)
        scan_segment(0, 0, 0, 255, found);
}
