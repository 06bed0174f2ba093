// SPDX-License-Identifier: BSD-2-Clause
// From a device tree to numbers, in one walk. A node's addresses are written in its parent's cells
// and mean the processor's once every ancestor's "ranges" has been applied; the walk keeps a stack
// of both. Interrupts are believed to be a GIC's: three cells of kind, number and flags.

#include "kernel/devtree.h"

#include <string.h>

#include "kernel/bootinfo.h"
#include "kernel/fdt.h"
#include "lib/util.h"

struct dt_info dt;

enum { MAX_DEPTH = 8, ADDR_PCI = 3 };

struct level {
    fdt_node node;
    uint32_t addr, size; // cells of the children's addresses and sizes
    struct fdt_prop ranges;
};

struct walk {
    const struct fdt *f;
    struct dt_info *out;
    struct acpi_info *tables;
    const char *stdout_path;
    struct level up[MAX_DEPTH + 1]; // up[n]: the ancestor, or the node itself, at depth n
};

// The processor's address of a child of the node at depth d; UINT64_MAX if it has none.
static uint64_t translate(const struct walk *w, int d, uint64_t addr)
{
    for (; d > 0; d--) {
        const struct level *bus = &w->up[d];
        uint32_t parent = w->up[d - 1].addr, entry = bus->addr + parent + bus->size;
        if (!bus->ranges.p || bus->addr > 2)
            return UINT64_MAX;
        if (bus->ranges.len == 0)
            continue; // as on the parent
        uint32_t n = entry ? bus->ranges.len / 4 / entry : 0, i = 0;
        for (; i < n; i++) {
            uint64_t child = fdt_number(bus->ranges, i * entry, bus->addr);
            uint64_t len = fdt_number(bus->ranges, i * entry + bus->addr + parent, bus->size);
            if (addr < child || addr - child >= len)
                continue;
            addr = addr - child + fdt_number(bus->ranges, i * entry + bus->addr, parent);
            break;
        }
        if (i == n)
            return UINT64_MAX;
    }
    return addr;
}

// Entry n of the node's "reg"; len 0 if there is none.
static struct dt_range reg(const struct walk *w, int depth, uint32_t n)
{
    const struct level *bus = &w->up[depth - 1];
    struct fdt_prop prop = fdt_get(w->f, w->up[depth].node, "reg");
    uint32_t entry = bus->addr + bus->size;
    if (entry == 0 || entry > 4 || prop.len / 4 / entry <= n)
        return (struct dt_range){ 0, 0 };
    uint64_t base = translate(w, depth - 1, fdt_number(prop, n * entry, bus->addr));
    uint64_t len = fdt_number(prop, n * entry + bus->addr, bus->size);
    if (base == UINT64_MAX || base + len < base)
        return (struct dt_range){ 0, 0 };
    return (struct dt_range){ base, len };
}

// The interrupt that begins at cell i: kind, number, flags. 0 if it is none.
static uint32_t gic_interrupt(struct fdt_prop prop, uint32_t i, bool *level, bool *low)
{
    uint32_t kind = fdt_cell(prop, i), n = fdt_cell(prop, i + 1), flags = fdt_cell(prop, i + 2);
    *level = (flags & 12) != 0;
    *low = (flags & 10) != 0;
    if (prop.len / 4 < i + 3 || kind > 1 || n > (kind == 0 ? 987u : 15u))
        return 0;
    return n + (kind == 0 ? 32 : 16);
}

static bool compatible(const struct walk *w, fdt_node node, const char *what)
{
    return fdt_has(w->f, node, "compatible", what);
}

static bool disabled(const struct walk *w, fdt_node node)
{
    const char *status = fdt_string(w->f, node, "status");
    return status && strcmp(status, "okay") != 0 && strcmp(status, "ok") != 0;
}

static void cpu(struct walk *w, int depth)
{
    struct fdt_prop prop = fdt_get(w->f, w->up[depth].node, "reg");
    uint32_t cells = w->up[depth - 1].addr;
    const char *how = fdt_string(w->f, w->up[depth].node, "enable-method");
    if (!prop.p || cells == 0 || cells > 2 || prop.len != 4 * cells ||
        w->out->n_cores == DT_MAX_CORES || (how && strcmp(how, "psci") != 0))
        return;
    w->out->mpidr[w->out->n_cores++] = fdt_number(prop, 0, cells);
}

static void psci(struct walk *w, fdt_node node)
{
    const char *method = fdt_string(w->f, node, "method");
    struct dt_info *out = w->out;
    bool old = !compatible(w, node, "arm,psci-0.2") && !compatible(w, node, "arm,psci-1.0");
    out->psci = !method                       ? DT_CALL_NONE
                : strcmp(method, "hvc") == 0 ? DT_CALL_HVC
                : strcmp(method, "smc") == 0 ? DT_CALL_SMC
                                             : DT_CALL_NONE;
    // Only the first version let the firmware choose its function numbers.
    out->psci_cpu_on = old ? fdt_u32(w->f, node, "cpu_on", 0) : 0xc4000003;
    out->psci_system_off = old ? 0 : 0x84000008;
}

static void gic(struct walk *w, int depth)
{
    fdt_node node = w->up[depth].node;
    struct dt_info *out = w->out;
    if (compatible(w, node, "arm,gic-v3")) {
        uint32_t regions = fdt_u32(w->f, node, "#redistributor-regions", 1);
        out->gic = 3;
        out->gicd = reg(w, depth, 0);
        for (uint32_t i = 0; i < MIN(regions, (uint32_t)DT_MAX_GICR); i++)
            out->gicr[out->n_gicr++] = reg(w, depth, 1 + i);
        return;
    }
    out->gic = 2;
    out->gicd = reg(w, depth, 0);
    out->gicc = reg(w, depth, 1);
}

static void virtio_mmio(struct walk *w, int depth)
{
    struct acpi_info *t = w->tables;
    struct dt_range r = reg(w, depth, 0);
    struct acpi_virtio_mmio v = { .addr = r.base, .len = (uint32_t)MIN(r.len, 1u << 20) };
    v.gsi = gic_interrupt(fdt_get(w->f, w->up[depth].node, "interrupts"), 0, &v.level,
                          &v.active_low);
    if (r.len && v.gsi && t->n_virtio_mmio < ACPI_MAX_VIRTIO_MMIO)
        t->virtio_mmio[t->n_virtio_mmio++] = v;
}

static fdt_node by_phandle(const struct fdt *f, uint32_t phandle)
{
    int depth;
    for (fdt_node n = NULL; (n = fdt_next(f, n, &depth)) != NULL;)
        if (fdt_u32(f, n, "phandle", 0) == phandle)
            return n;
    return NULL;
}

// Which interrupt each pin raises. An entry: the device's address (3 cells), its pin, then the
// controller, an address there, and the interrupt as the controller counts.
static void pci_pins(struct walk *w, fdt_node node)
{
    struct fdt_prop map = fdt_get(w->f, node, "interrupt-map");
    struct dt_info *out = w->out;
    out->pci_irq_mask = fdt_cell(fdt_get(w->f, node, "interrupt-map-mask"), 0);
    for (uint32_t i = 0; i + 5 <= map.len / 4 && out->n_pci_irqs < DT_MAX_PCI_IRQS;) {
        fdt_node controller = by_phandle(w->f, fdt_cell(map, i + 4));
        if (!controller || fdt_u32(w->f, controller, "#interrupt-cells", 0) != 3)
            return;
        uint32_t skip = fdt_u32(w->f, controller, "#address-cells", 0);
        if (skip > 4)
            return;
        struct dt_pci_irq e = { .where = fdt_cell(map, i), .pin = (uint8_t)fdt_cell(map, i + 3) };
        e.gsi = gic_interrupt(map, i + 5 + skip, &e.level, &e.active_low);
        if (e.gsi)
            out->pci_irqs[out->n_pci_irqs++] = e;
        i += 5 + skip + 3;
    }
}

static void pci_host(struct walk *w, int depth)
{
    fdt_node node = w->up[depth].node;
    struct acpi_info *t = w->tables;
    struct dt_range ecam = reg(w, depth, 0);
    if (ecam.len < 1 << 20 || t->n_segments)
        return; // one is enough
    struct fdt_prop buses = fdt_get(w->f, node, "bus-range");
    uint32_t first = buses.p ? fdt_cell(buses, 0) : 0, last = buses.p ? fdt_cell(buses, 1) : 255;
    if (first > last || last > 255)
        return;
    last = MIN(last, first + (uint32_t)(ecam.len >> 20) - 1);
    // The tree's window begins at the first bus.
    t->segments[t->n_segments++] = (struct acpi_segment){
        .base = ecam.base - ((uint64_t)first << 20),
        .segment = (uint16_t)fdt_u32(w->f, node, "linux,pci-domain", 0),
        .bus_first = (uint8_t)first,
        .bus_last = (uint8_t)last,
    };
    struct fdt_prop ranges = fdt_get(w->f, node, "ranges");
    uint32_t parent = w->up[depth - 1].addr, entry = ADDR_PCI + parent + 2;
    for (uint32_t i = 0; i + entry <= ranges.len / 4; i += entry) {
        uint32_t space = fdt_cell(ranges, i) >> 24 & 3;
        uint64_t cpu_addr = translate(w, depth - 1, fdt_number(ranges, i + ADDR_PCI, parent));
        struct dt_range r = { cpu_addr, fdt_number(ranges, i + ADDR_PCI + parent, 2) };
        if (cpu_addr == UINT64_MAX || r.base + r.len < r.base)
            continue;
        if (space == 2 && !w->out->pci_mmio32.len) {
            w->out->pci_mmio32 = r;
            w->out->pci_bus32 = fdt_number(ranges, i + 1, 2);
        } else if (space == 3 && !w->out->pci_mmio64.len) {
            w->out->pci_mmio64 = r;
            w->out->pci_bus64 = fdt_number(ranges, i + 1, 2);
        }
    }
    pci_pins(w, node);
}

static void chosen(struct walk *w, fdt_node node)
{
    struct dt_info *out = w->out;
    const char *args = fdt_string(w->f, node, "bootargs");
    if (args)
        out->bootargs = args;
    w->stdout_path = fdt_string(w->f, node, "stdout-path");
    struct fdt_prop seed = fdt_get(w->f, node, "rng-seed");
    out->seed_len = MIN(seed.len, (uint32_t)sizeof(out->seed));
    if (seed.p)
        memcpy(out->seed, seed.p, out->seed_len);
}

// The first one, unless the tree names another: the last part of its path, up to options.
static void uart(struct walk *w, int depth)
{
    const char *name = fdt_name(w->up[depth].node), *path = w->stdout_path;
    struct dt_range r = reg(w, depth, 0);
    bool named = false;
    if (path) {
        size_t n = 0, from = 0;
        for (; path[n] && path[n] != ':'; n++)
            if (path[n] == '/')
                from = n + 1;
        named = strlen(name) == n - from && memcmp(name, path + from, n - from) == 0;
    }
    if (r.len && (named || !w->out->uart.len))
        w->out->uart = r;
}

static void timer(struct walk *w, fdt_node node)
{
    bool level, low;
    // Secure, non-secure, virtual, hypervisor.
    uint32_t irq = gic_interrupt(fdt_get(w->f, node, "interrupts"), 6, &level, &low);
    if (irq)
        w->out->timer_irq = irq;
}

static void visit(struct walk *w, int depth)
{
    fdt_node node = w->up[depth].node;
    const char *name = fdt_name(node), *type = fdt_string(w->f, node, "device_type");
    if (disabled(w, node))
        return;
    if (depth == 1 && strcmp(name, "chosen") == 0)
        chosen(w, node);
    else if (type && strcmp(type, "cpu") == 0)
        cpu(w, depth);
    else if (compatible(w, node, "arm,psci-0.2") || compatible(w, node, "arm,psci-1.0") ||
             compatible(w, node, "arm,psci"))
        psci(w, node);
    else if (compatible(w, node, "arm,gic-v3") || compatible(w, node, "arm,gic-400") ||
             compatible(w, node, "arm,cortex-a15-gic"))
        gic(w, depth);
    else if (compatible(w, node, "arm,gic-v2m-frame"))
        w->out->v2m = reg(w, depth, 0);
    else if (compatible(w, node, "arm,gic-v3-its") && !w->out->its.len)
        w->out->its = reg(w, depth, 0);
    else if (compatible(w, node, "arm,armv8-timer"))
        timer(w, node);
    else if (compatible(w, node, "arm,pl011"))
        uart(w, depth);
    else if (compatible(w, node, "arm,pl031"))
        w->out->rtc = reg(w, depth, 0);
    else if (compatible(w, node, "virtio,mmio"))
        virtio_mmio(w, depth);
    else if (compatible(w, node, "pci-host-ecam-generic"))
        pci_host(w, depth);
    else if (compatible(w, node, "qemu,fw-cfg-mmio"))
        w->out->qemu = true;
}

bool devtree_parse(const void *blob, size_t max, struct dt_info *out, struct acpi_info *tables)
{
    struct fdt f;
    *out = (struct dt_info){ .bootargs = "", .timer_irq = 27 };
    if (!fdt_open(&f, blob, max))
        return false;
    struct walk w = { .f = &f, .out = out, .tables = tables };
    int depth;
    // The console's name stands in a node that may come after the console itself.
    for (fdt_node n = NULL; (n = fdt_next(&f, n, &depth)) != NULL;)
        if (depth == 1 && strcmp(fdt_name(n), "chosen") == 0)
            w.stdout_path = fdt_string(&f, n, "stdout-path");
    for (fdt_node n = NULL; (n = fdt_next(&f, n, &depth)) != NULL;) {
        if (depth > MAX_DEPTH)
            continue;
        w.up[depth] = (struct level){
            .node = n,
            .addr = fdt_u32(&f, n, "#address-cells", 2),
            .size = fdt_u32(&f, n, "#size-cells", 1),
            .ranges = fdt_get(&f, n, "ranges"),
        };
        if (w.up[depth].addr > 4 || w.up[depth].size > 4)
            w.up[depth].addr = w.up[depth].size = 0;
        if (depth > 0)
            visit(&w, depth);
    }
    out->present = true;
    return true;
}

void devtree_memory(const void *blob, size_t max, uint64_t blob_pa, struct bootinfo *bi)
{
    struct fdt f;
    if (!fdt_open(&f, blob, max))
        return;
    struct walk w = { .f = &f };
    int depth;
    bool reserved = false;
    for (fdt_node n = NULL; (n = fdt_next(&f, n, &depth)) != NULL;) {
        if (depth > 2)
            continue;
        w.up[depth] = (struct level){ n, fdt_u32(&f, n, "#address-cells", 2),
                                      fdt_u32(&f, n, "#size-cells", 1), fdt_get(&f, n, "ranges") };
        if (depth == 1)
            reserved = strcmp(fdt_name(n), "reserved-memory") == 0;
        const char *type = fdt_string(&f, n, "device_type");
        bool memory = depth == 1 && type && strcmp(type, "memory") == 0;
        if (depth == 0 || disabled(&w, n) || !(memory || (reserved && depth == 2)))
            continue;
        struct dt_range r;
        for (uint32_t i = 0; (r = reg(&w, depth, i)).len != 0; i++)
            bootinfo_add(bi, r.base, r.len, memory ? MEM_USABLE : MEM_RESERVED);
    }
    uint64_t start, len;
    for (unsigned i = 0; fdt_reserved(&f, i, &start, &len); i++)
        bootinfo_add(bi, start, len, MEM_RESERVED);
    // Mapped as memory, but nobody's to use: bootargs and names stay where they are.
    bootinfo_add(bi, blob_pa, f.size, MEM_ACPI);
}
