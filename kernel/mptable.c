// SPDX-License-Identifier: BSD-2-Clause
// MultiProcessor Specification 1.4: a floating pointer in the firmware's memory, a configuration
// table it points to, entries of fixed sizes. As with ACPI, lengths and checksums decide what is
// believed, and a table is read within the bounds it was checked for.
//
// The tables number interrupts by controller and input. Global numbers are made of them as
// firmware with ACPI does: the first controller's inputs from 0, the next one's from 24.

#include "kernel/mptable.h"

#include <string.h>

#include "kernel/print.h"
#include "lib/le.h"
#include "lib/util.h"

#define POINTER_BYTES 16u
#define HEADER_BYTES 44u
#define INPUTS 24u
#define ROM_START 0xf0000u
#define ROM_END 0x100000u
#define BASE_MEMORY_TOP 0x9fc00u // where a KiB of extended BIOS data usually is
#define BASE_MEMORY_END 0xa0000u

enum entry_type { ENTRY_CORE, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_INTERRUPT, ENTRY_LOCAL_INTERRUPT };

struct config {
    const uint8_t *p;
    size_t len;
    uint8_t isa_bus; // its number, 0xff: none
};

static bool sum_ok(const uint8_t *p, size_t n)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = (uint8_t)(sum + p[i]);
    return sum == 0;
}

// Address of the configuration table told by a floating pointer in [start, end); 0: none.
static uint32_t find_config(uint32_t start, uint32_t end)
{
    const uint8_t *p = acpi_map(start, end - start);
    for (uint32_t off = 0; p && off + POINTER_BYTES <= end - start; off += 16) {
        const uint8_t *f = p + off;
        if (memcmp(f, "_MP_", 4) == 0 && f[8] == 1 && sum_ok(f, POINTER_BYTES))
            return le32_get(f + 4);
    }
    return 0;
}

static bool open_config(uint32_t pa, struct config *c)
{
    const uint8_t *p = pa ? acpi_map(pa, HEADER_BYTES) : NULL;
    if (!p || memcmp(p, "PCMP", 4) != 0)
        return false;
    c->len = le16_get(p + 4);
    if (c->len < HEADER_BYTES || !(c->p = acpi_map(pa, c->len)) || !sum_ok(c->p, c->len)) {
        klog("mptable: at 0x%x ignored: wrong length or checksum", pa);
        return false;
    }
    c->isa_bus = 0xff;
    return true;
}

static void add_core(struct acpi_info *out, const uint8_t *e)
{
    if (!(e[3] & 1) || e[1] == 0xff)
        return;
    for (uint32_t i = 0; i < out->n_cores; i++)
        if (out->cores[i].apic_id == e[1])
            return;
    if (out->n_cores == ACPI_MAX_CORES)
        out->cores_skipped++;
    else
        out->cores[out->n_cores++] = (struct acpi_core){ .apic_id = e[1] };
}

static void add_ioapic(struct acpi_info *out, const uint8_t *e)
{
    if (!(e[3] & 1) || out->n_ioapics == ACPI_MAX_IOAPICS)
        return;
    out->ioapics[out->n_ioapics] = (struct acpi_ioapic){
        .id = e[1], .gsi_base = out->n_ioapics * INPUTS, .addr = le32_get(e + 4)
    };
    out->n_ioapics++;
}

// An ISA interrupt that does not arrive as one expects: at the input of its number, edge, high.
static void add_interrupt(struct acpi_info *out, const struct config *c, const uint8_t *e)
{
    uint16_t flags = le16_get(e + 2);
    bool low = (flags & 3) == 3, level = (flags >> 2 & 3) == 3;
    if (e[1] != 0 || e[4] != c->isa_bus || out->n_overrides == ACPI_MAX_OVERRIDES)
        return;
    for (uint32_t i = 0; i < out->n_ioapics; i++) {
        uint32_t gsi = out->ioapics[i].gsi_base + e[7];
        if (out->ioapics[i].id != e[6] || (gsi == e[5] && !low && !level))
            continue;
        out->overrides[out->n_overrides++] = (struct acpi_override){
            .irq = e[5], .gsi = gsi, .level = level, .active_low = low
        };
        return;
    }
}

bool mptable_parse(struct acpi_info *out)
{
    struct config c;
    uint32_t pa = find_config(ROM_START, ROM_END);
    if (!pa)
        pa = find_config(BASE_MEMORY_TOP, BASE_MEMORY_END);
    if (!open_config(pa, &c))
        return false;
    out->lapic_addr = le32_get(c.p + 36);
    out->legacy_pic = true;
    size_t off = HEADER_BYTES;
    // Entries are counted in the header too; some firmware leaves that at 0.
    unsigned limit = le16_get(c.p + 34) ? le16_get(c.p + 34) : UINT16_MAX;
    for (unsigned n = 0; n < limit && off < c.len; n++) {
        const uint8_t *e = c.p + off;
        size_t size = e[0] == ENTRY_CORE ? 20 : 8;
        if (e[0] > ENTRY_LOCAL_INTERRUPT || size > c.len - off) {
            klog("mptable: entry of type %u at %zu, the rest ignored", e[0], off);
            break;
        }
        // Buses and controllers come before the interrupts that refer to them.
        switch ((enum entry_type)e[0]) {
        case ENTRY_CORE: add_core(out, e); break;
        case ENTRY_BUS:
            if (memcmp(e + 2, "ISA", 3) == 0)
                c.isa_bus = e[1];
            break;
        case ENTRY_IOAPIC: add_ioapic(out, e); break;
        case ENTRY_INTERRUPT: add_interrupt(out, &c, e); break;
        case ENTRY_LOCAL_INTERRUPT: break;
        }
        off += size;
    }
    return out->n_cores > 0;
}
