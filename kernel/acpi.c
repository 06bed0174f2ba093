// SPDX-License-Identifier: BSD-2-Clause
// ACPI's fixed tables, read once at boot. RSDP -> XSDT or RSDT -> one parser a signature.
//
// Every table is mapped by its header first, then as a whole; from there on a parser touches only
// bytes [0, len) of it, and a subtable only its own. A table whose length or checksum is wrong
// counts as refused and is not looked at further; an entry that is wrong is skipped by itself.
// Nothing here keeps a pointer into a table, so the memory may be anything afterwards.

#include "kernel/acpi.h"

#include <string.h>

#include "kernel/print.h"
#include "lib/le.h"
#include "lib/util.h"

#define TABLE_HEADER 36u
#define TABLE_MAX (4u << 20) // no real table comes near
#define ROOT_MAX_ENTRIES 256u

struct acpi_info acpi;

struct table {
    const uint8_t *p;
    uint32_t len;
};

static bool checksum_ok(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + p[i]);
    return sum == 0;
}

static bool signature_is(const uint8_t *p, const char *name)
{
    return memcmp(p, name, 4) == 0;
}

// The table at pa, whole and checked. False, with a line in the log, if it is not to be believed.
static bool table_open(uint64_t pa, struct acpi_info *out, struct table *t)
{
    const uint8_t *p = pa ? acpi_map(pa, TABLE_HEADER) : NULL;
    if (!p) {
        out->refused++;
        klog("acpi: table at 0x%llx is not in memory", (unsigned long long)pa);
        return false;
    }
    char name[5] = { 0 };
    for (int i = 0; i < 4; i++)
        name[i] = p[i] >= ' ' && p[i] < 127 ? (char)p[i] : '?';
    uint32_t len = le32_get(p + 4);
    if (len < TABLE_HEADER || len > TABLE_MAX || !(p = acpi_map(pa, len))) {
        out->refused++;
        klog("acpi: %s at 0x%llx ignored: length %u", name, (unsigned long long)pa, len);
        return false;
    }
    if (!checksum_ok(p, len)) {
        out->refused++;
        klog("acpi: %s at 0x%llx ignored: wrong checksum", name, (unsigned long long)pa);
        return false;
    }
    t->p = p;
    t->len = len;
    return true;
}

static void madt_core(struct acpi_info *out, uint32_t apic_id, uint32_t uid, uint32_t flags,
                      bool x2apic)
{
    if (!(flags & 1)) {
        if (flags & 2)
            out->cores_offline++;
        return;
    }
    for (uint32_t i = 0; i < out->n_cores; i++)
        if (out->cores[i].apic_id == apic_id)
            return; // firmware may list one core in both forms
    if (out->n_cores == ACPI_MAX_CORES) {
        out->cores_skipped++;
        return;
    }
    out->cores[out->n_cores++] =
        (struct acpi_core){ .apic_id = apic_id, .uid = uid, .x2apic = x2apic };
}

static void madt_ioapic(struct acpi_info *out, const uint8_t *e)
{
    if (out->n_ioapics == ACPI_MAX_IOAPICS) {
        klog("acpi: I/O APIC %u ignored: more than %u", e[2], ACPI_MAX_IOAPICS);
        return;
    }
    out->ioapics[out->n_ioapics++] = (struct acpi_ioapic){
        .id = e[2], .addr = le32_get(e + 4), .gsi_base = le32_get(e + 8)
    };
}

static void madt_override(struct acpi_info *out, const uint8_t *e)
{
    if (out->n_overrides == ACPI_MAX_OVERRIDES) {
        klog("acpi: override of interrupt %u ignored: more than %u", e[3], ACPI_MAX_OVERRIDES);
        return;
    }
    uint16_t flags = le16_get(e + 8);
    out->overrides[out->n_overrides++] = (struct acpi_override){
        .irq = e[3],
        .gsi = le32_get(e + 4),
        .active_low = (flags & 3) == 3, // 0 means the bus's own way, and ISA's is high and edge
        .level = (flags >> 2 & 3) == 3,
    };
}

// Entry e of n bytes. False if it is shorter than its type has to be.
static bool madt_entry(struct acpi_info *out, const uint8_t *e, size_t n)
{
    switch (e[0]) {
    case 0: // local APIC
        if (n < 8)
            return false;
        if (e[3] != 0xff)
            madt_core(out, e[3], e[2], le32_get(e + 4), false);
        return true;
    case 1: // I/O APIC
        if (n < 12)
            return false;
        madt_ioapic(out, e);
        return true;
    case 2: // interrupt source override
        if (n < 10)
            return false;
        if (e[2] == 0)
            madt_override(out, e);
        return true;
    case 5: // local APIC address
        if (n < 12)
            return false;
        out->lapic_addr = le64_get(e + 4);
        return true;
    case 9: // local x2APIC
        if (n < 16)
            return false;
        if (le32_get(e + 4) != UINT32_MAX)
            madt_core(out, le32_get(e + 4), le32_get(e + 12), le32_get(e + 8), true);
        return true;
    default:
        return true;
    }
}

static bool parse_madt(const struct table *t, struct acpi_info *out)
{
    if (t->len < 44)
        return false;
    out->lapic_addr = le32_get(t->p + 36);
    out->legacy_pic = le32_get(t->p + 40) & 1;
    size_t off = 44;
    while (off + 2 <= t->len) {
        const uint8_t *e = t->p + off;
        size_t n = e[1];
        if (n < 2 || n > t->len - off) {
            klog("acpi: APIC: entry at %zu of %zu bytes, the rest ignored", off, n);
            break;
        }
        if (!madt_entry(out, e, n))
            klog("acpi: APIC: entry type %u of only %zu bytes ignored", e[0], n);
        off += n;
    }
    if (out->cores_skipped)
        klog("acpi: %u cores beyond %u left alone", out->cores_skipped, ACPI_MAX_CORES);
    return true;
}

static bool parse_mcfg(const struct table *t, struct acpi_info *out)
{
    if (t->len < 44)
        return false;
    for (size_t off = 44; off + 16 <= t->len; off += 16) {
        const uint8_t *e = t->p + off;
        struct acpi_segment s = {
            .base = le64_get(e), .segment = le16_get(e + 8), .bus_first = e[10], .bus_last = e[11]
        };
        if (s.base == 0 || s.base & 0xfffff || s.base > UINT64_MAX - (256ull << 20) ||
            s.bus_first > s.bus_last) {
            klog("acpi: MCFG: window at 0x%llx for buses %u-%u ignored",
                 (unsigned long long)s.base, s.bus_first, s.bus_last);
            continue;
        }
        if (out->n_segments == ACPI_MAX_SEGMENTS) {
            klog("acpi: MCFG: more than %u windows", ACPI_MAX_SEGMENTS);
            break;
        }
        out->segments[out->n_segments++] = s;
    }
    return true;
}

// The generic address at off, or no register if the table ends before it or it makes no sense.
static struct acpi_reg gas_at(const struct table *t, uint32_t off)
{
    struct acpi_reg r = { 0 };
    if (off > t->len || t->len - off < 12)
        return r;
    const uint8_t *g = t->p + off;
    uint64_t addr = le64_get(g + 4);
    bool io = g[0] == ACPI_SPACE_IO;
    if (addr == 0 || g[0] > ACPI_SPACE_IO || g[2] != 0 || g[1] == 0 || (io && addr > 0xffff))
        return r;
    r.addr = addr;
    r.space = g[0];
    r.bits = g[1];
    return r;
}

// A register given both ways: the extended form wins, the old one names an I/O port.
static struct acpi_reg fadt_reg(const struct table *t, uint32_t gas_off, uint32_t old_off,
                                uint8_t bits)
{
    struct acpi_reg r = gas_at(t, gas_off);
    uint32_t port = le32_get(t->p + old_off);
    if (!r.bits && port && port <= 0xffff)
        r = (struct acpi_reg){ .addr = port, .space = ACPI_SPACE_IO, .bits = bits };
    return r;
}

static void parse_definitions(uint64_t pa, const char *name, struct acpi_info *out)
{
    struct table t;
    if (!table_open(pa, out, &t))
        return;
    if (!signature_is(t.p, name)) {
        out->refused++;
        klog("acpi: no %s at 0x%llx", name, (unsigned long long)pa);
        return;
    }
    out->tables++;
    acpi_scan_aml(t.p + TABLE_HEADER, t.len - TABLE_HEADER, out);
}

static bool parse_fadt(const struct table *t, struct acpi_info *out)
{
    if (t->len < 116)
        return false;
    uint32_t flags = le32_get(t->p + 112);
    out->have_fadt = true;
    out->hw_reduced = flags & 1u << 20;
    if (out->hw_reduced) {
        out->sleep_control = gas_at(t, 244);
    } else {
        out->pm_timer = fadt_reg(t, 208, 76, 32);
        out->pm_timer_32bit = flags & 1u << 8;
        out->pm1a_control = fadt_reg(t, 172, 64, 16);
        out->pm1b_control = fadt_reg(t, 184, 68, 16);
        out->smi_command = (uint16_t)le32_get(t->p + 48);
        out->acpi_enable = t->p[52];
    }
    if (flags & 1u << 10 && t->len >= 129) {
        out->reset = gas_at(t, 116);
        out->reset_value = t->p[128];
    }
    uint64_t dsdt = t->len >= 148 ? le64_get(t->p + 140) : 0;
    if (!dsdt)
        dsdt = le32_get(t->p + 40);
    parse_definitions(dsdt, "DSDT", out);
    return true;
}

static bool parse_hpet(const struct table *t, struct acpi_info *out)
{
    if (t->len < 56)
        return false;
    struct acpi_reg r = gas_at(t, 40);
    // The width field is zero in many machines, so only space and address are asked of it.
    if (t->p[40] == ACPI_SPACE_MEMORY)
        out->hpet_addr = r.bits ? r.addr : le64_get(t->p + 44);
    return true;
}

static bool parse_ssdt(const struct table *t, struct acpi_info *out)
{
    acpi_scan_aml(t->p + TABLE_HEADER, t->len - TABLE_HEADER, out);
    return true;
}

static const struct {
    char name[5];
    bool (*parse)(const struct table *t, struct acpi_info *out);
} parsers[] = {
    { "APIC", parse_madt }, { "MCFG", parse_mcfg }, { "FACP", parse_fadt },
    { "HPET", parse_hpet }, { "SSDT", parse_ssdt },
};

static void parse_table(uint64_t pa, struct acpi_info *out, uint32_t *once)
{
    struct table t;
    if (!table_open(pa, out, &t))
        return;
    for (size_t i = 0; i < ARRAY_LEN(parsers); i++) {
        if (!signature_is(t.p, parsers[i].name))
            continue;
        bool many = parsers[i].parse == parse_ssdt;
        if ((!many && *once & 1u << i) || !parsers[i].parse(&t, out)) {
            out->refused++;
            klog("acpi: %s at 0x%llx ignored: %s", parsers[i].name, (unsigned long long)pa,
                 *once & 1u << i ? "a second one" : "too short");
            return;
        }
        *once |= 1u << i;
    }
    out->tables++;
}

// The tables listed in the root table at pa, whose entries have `size` bytes.
static bool parse_root(uint64_t pa, uint32_t size, struct acpi_info *out)
{
    struct table t;
    if (!table_open(pa, out, &t))
        return false;
    if (!signature_is(t.p, size == 8 ? "XSDT" : "RSDT")) {
        out->refused++;
        return false;
    }
    uint32_t once = 0;
    uint32_t n = MIN((t.len - TABLE_HEADER) / size, ROOT_MAX_ENTRIES);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *e = t.p + TABLE_HEADER + (size_t)i * size;
        parse_table(size == 8 ? le64_get(e) : le32_get(e), out, &once);
    }
    return true;
}

// 20 bytes of root pointer at p, the part every revision has.
static bool rsdp_ok(const uint8_t *p)
{
    return memcmp(p, "RSD PTR ", 8) == 0 && checksum_ok(p, 20);
}

bool acpi_parse(uint64_t rsdp_pa, struct acpi_info *out)
{
    memset(out, 0, sizeof *out);
    const uint8_t *p = rsdp_pa ? acpi_map(rsdp_pa, 20) : NULL;
    if (!p || !rsdp_ok(p)) {
        klog("acpi: no root pointer at 0x%llx", (unsigned long long)rsdp_pa);
        return false;
    }
    uint64_t rsdt = le32_get(p + 16), xsdt = 0;
    if (p[15] >= 2 && (p = acpi_map(rsdp_pa, 36)) && checksum_ok(p, 36))
        xsdt = le64_get(p + 24);
    if (xsdt && parse_root(xsdt, 8, out))
        return true;
    return rsdt && parse_root(rsdt, 4, out);
}

uint64_t acpi_find_rsdp(uint64_t start, uint64_t end)
{
    start = ROUND_UP(start, 16);
    const uint8_t *p = start < end ? acpi_map(start, end - start) : NULL;
    for (uint64_t off = 0; p && off + 20 <= end - start; off += 16)
        if (rsdp_ok(p + off))
            return start + off;
    return 0;
}
