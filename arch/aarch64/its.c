// SPDX-License-Identifier: BSD-2-Clause
// The interrupt translation service of GICv3 (Arm IHI 0069, chapter 5): a device writes an event's
// number to one register; the service looks up, by device and event, the interrupt (an LPI) and the
// core it goes to.
//
// Here an event has the number of the kernel's vector, its LPI is 8192 + vector, and collection n
// is core n. The service is told by commands in a ring that it reads; each is waited for. Its
// tables are its own: memory we give and never look at again. Of the table of devices a first
// level and, where the service can, only those second levels that are needed.
//
// Everything is called while one core boots or one goroutine configures devices: no locks.

#include <string.h>

#include "arch/arch.h"
#include "arch/aarch64/cpu.h"
#include "kernel/devtree.h"
#include "kernel/page.h"
#include "kernel/print.h"
#include "kernel/vm.h"
#include "lib/util.h"

enum {
    GITS_CTLR = 0x000, GITS_TYPER = 0x008, GITS_CBASER = 0x080, GITS_CWRITER = 0x088,
    GITS_CREADR = 0x090, GITS_BASER = 0x100, GITS_TRANSLATER = 0x10040,
    GICR_CTLR = 0x00, GICR_TYPER = 0x08, GICR_PROPBASER = 0x70, GICR_PENDBASER = 0x78,
    CTLR_ENABLED = 1, CTLR_ENABLE_LPIS = 1, TYPER_PLPIS = 1 << 0,
    TABLE_DEVICES = 1, TABLE_COLLECTIONS = 4,
    CMD_SYNC = 0x05, CMD_MAPD = 0x08, CMD_MAPC = 0x09, CMD_MAPTI = 0x0a, CMD_INV = 0x0c,
    CMD_INVALL = 0x0d, CMD_BYTES = 32, RING_BYTES = 4096,
    LPI_BITS = 14, EVENT_BITS = 8, MAX_DEVICES = 64, DEVICE_BITS = 16,
    PENDING_ORDER = 4, // 64 KiB, the alignment that is asked for
    LPI_ON = 0xa0 | 1,
};
#define VALID (1ull << 63)
#define INDIRECT (1ull << 62)
#define PENDING_ZEROED (1ull << 62)
// Write-back caches within the inner domain, as the processors see memory.
#define CACHED_TABLE (7ull << 59 | 1ull << 10)
#define CACHED_LPI (7ull << 7 | 1ull << 10)

static volatile uint8_t *its;
static uint8_t *ring, *properties;
static uint32_t ring_at;
static unsigned itt_entry;          // bytes
static bool collections_by_address;
static uint64_t target[MAX_CORES];  // of each core's collection, as commands have it
static struct {
    volatile uint8_t *base_register;
    uint64_t *first_level;          // NULL: the table is flat
    uint32_t entry, page, devices;  // bytes of an entry; bytes of a page; how many a flat one has
} table;
static uint32_t known[MAX_DEVICES];
static unsigned n_known;

// The service may read memory behind the caches' back.
static void clean(const void *p, size_t n)
{
    for (uintptr_t at = (uintptr_t)p; at < (uintptr_t)p + n; at += 16)
        __asm__ volatile("dc cvac, %0" : : "r"(at) : "memory");
    __asm__ volatile("dsb sy" ::: "memory");
}

static void *cleared(size_t bytes)
{
    unsigned order = 0;
    while (PAGE_SIZE << order < bytes)
        order++;
    void *p = page_alloc_zeroed(order);
    if (p)
        clean(p, PAGE_SIZE << order);
    return p;
}

static bool command(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t words[4] = { a, b, c, 0 };
    memcpy(ring + ring_at, words, CMD_BYTES);
    clean(ring + ring_at, CMD_BYTES);
    ring_at = (ring_at + CMD_BYTES) % RING_BYTES;
    arch_mmio_write64(its + GITS_CWRITER, ring_at);
    for (int i = 0; i < 1000000; i++) {
        uint64_t at = arch_mmio_read64(its + GITS_CREADR);
        if (at == ring_at)
            return true;
        if (at & 1)
            break; // stalled by an error
        arch_relax();
    }
    klog("its: command %lx is not carried out", (unsigned long)(a & 0xff));
    return false;
}

// The service's table of devices or of collections behind one of its registers.
static bool give_table(volatile uint8_t *reg, unsigned type)
{
    uint64_t is = arch_mmio_read64(reg);
    uint32_t entry = (uint32_t)(is >> 48 & 31) + 1;
    uint32_t entries = type == TABLE_DEVICES ? 1u << DEVICE_BITS : MAX_CORES;
    uint64_t want = VALID | CACHED_TABLE;
    bool two_levels = false;
    uint32_t page = 4096;
    // Which page size, and whether two levels, are the service's to refuse.
    arch_mmio_write64(reg, CACHED_TABLE | INDIRECT);
    is = arch_mmio_read64(reg);
    page = 4096u << 2 * MIN(is >> 8 & 3, 2u);
    want |= is & (3u << 8);
    size_t bytes = (size_t)entries * entry;
    if (type == TABLE_DEVICES && (is & INDIRECT)) {
        two_levels = true;
        bytes = entries / (page / entry) * sizeof(uint64_t);
    } else if (type == TABLE_DEVICES) {
        bytes = MIN(bytes, (size_t)256 << 10); // the first buses
    }
    bytes = ROUND_UP(bytes, (size_t)page);
    void *memory = cleared(MAX(bytes, (size_t)page));
    if (!memory)
        return false;
    want |= virt_to_phys(memory) | (bytes / page - 1) | (two_levels ? INDIRECT : 0);
    arch_mmio_write64(reg, want);
    if (type == TABLE_DEVICES) {
        table.base_register = reg;
        table.first_level = two_levels ? memory : NULL;
        table.entry = entry;
        table.page = page;
        table.devices = (uint32_t)MIN(bytes / entry, (size_t)entries);
    }
    return arch_mmio_read64(reg) & VALID;
}

// Whether the table of devices has a place for this one.
static bool reach(uint32_t device)
{
    if (!table.first_level)
        return device < table.devices;
    uint64_t *e = &table.first_level[device / (table.page / table.entry)];
    if (*e & VALID)
        return true;
    void *memory = cleared(table.page);
    if (!memory)
        return false;
    *e = virt_to_phys(memory) | VALID;
    clean(e, sizeof *e);
    return true;
}

bool its_init(void)
{
    its = vm_map_mmio(dt.its.base, MAX(dt.its.len, (uint64_t)0x20000));
    ring = cleared(RING_BYTES);
    properties = cleared((size_t)(1u << LPI_BITS) - INTID_LPI);
    if (!its || !ring || !properties)
        return false;
    uint64_t type = arch_mmio_read64(its + GITS_TYPER);
    itt_entry = (unsigned)(type >> 4 & 15) + 1;
    collections_by_address = type >> 19 & 1;
    if (!(type & 1) || (type >> 8 & 31) + 1 < EVENT_BITS)
        return false;
    arch_mmio_write32(its + GITS_CTLR, 0);
    for (int i = 0; i < 8; i++) {
        volatile uint8_t *reg = its + GITS_BASER + 8 * i;
        unsigned what = arch_mmio_read64(reg) >> 56 & 7;
        if ((what == TABLE_DEVICES || what == TABLE_COLLECTIONS) && !give_table(reg, what))
            return false;
    }
    if (!table.base_register)
        return false;
    arch_mmio_write64(its + GITS_CBASER, VALID | CACHED_TABLE | virt_to_phys(ring) |
                                         (RING_BYTES / 4096 - 1));
    arch_mmio_write64(its + GITS_CWRITER, 0);
    arch_mmio_write32(its + GITS_CTLR, CTLR_ENABLED);
    its_init_core(0);
    return true;
}

// Lets the core's redistributor take LPIs, and makes its collection.
void its_init_core(unsigned core)
{
    volatile uint8_t *r = (volatile uint8_t *)cpus[core].gicr;
    if (target[core])
        return;
    uint64_t type = arch_mmio_read64(r + GICR_TYPER);
    void *pending = type & TYPER_PLPIS ? page_alloc_zeroed(PENDING_ORDER) : NULL;
    if (!pending) {
        klog("its: no messages to core %u", core);
        return;
    }
    clean(pending, PAGE_SIZE << PENDING_ORDER);
    if (!(arch_mmio_read32(r + GICR_CTLR) & CTLR_ENABLE_LPIS)) {
        arch_mmio_write64(r + GICR_PROPBASER, virt_to_phys(properties) | CACHED_LPI |
                                              (LPI_BITS - 1));
        arch_mmio_write64(r + GICR_PENDBASER, virt_to_phys(pending) | CACHED_LPI |
                                              PENDING_ZEROED);
        arch_mmio_write32(r + GICR_CTLR, arch_mmio_read32(r + GICR_CTLR) | CTLR_ENABLE_LPIS);
        __asm__ volatile("dsb sy" ::: "memory");
    }
    uint64_t rd = collections_by_address ? cpus[core].gicr_pa : (type >> 8 & 0xffff) << 16;
    if (command(CMD_MAPC, 0, VALID | rd | core) && command(CMD_SYNC, 0, rd))
        target[core] = rd | 1; // the lowest bits of it are no address: made, even if it is 0
}

// Context: as arch_irq_route.
bool its_route(uint32_t device, unsigned vector, unsigned core, uint64_t *addr, uint32_t *data)
{
    device &= 0xffff; // bus, device, function
    if (!target[core])
        core = 0;
    unsigned i = 0;
    while (i < n_known && known[i] != device)
        i++;
    if (!target[core] || i == MAX_DEVICES)
        return false;
    uint64_t who = (uint64_t)device << 32;
    if (i == n_known) {
        void *itt = cleared((size_t)itt_entry << EVENT_BITS);
        if (!itt || !reach(device) ||
            !command(CMD_MAPD | who, EVENT_BITS - 1, VALID | virt_to_phys(itt)))
            return false;
        known[n_known++] = device;
    }
    uint32_t lpi = INTID_LPI + vector;
    properties[vector] = LPI_ON;
    clean(&properties[ROUND_DOWN(vector, 16u)], 16);
    if (!command(CMD_MAPTI | who, vector | (uint64_t)lpi << 32, core) ||
        !command(CMD_INV | who, vector, 0) || !command(CMD_SYNC, 0, target[core] & ~(uint64_t)1))
        return false;
    *addr = dt.its.base + GITS_TRANSLATER;
    *data = vector;
    return true;
}
