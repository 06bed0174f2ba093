// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=kernel/acpi.c,kernel/acpi_aml.c,kernel/mptable.c cflags=-fsanitize=address,undefined
// timeout=120
//
// The ACPI parser on tables made here: complete ones, old ones, short ones, lying ones, and some
// hundred thousand random distortions of a complete set. Each mapping is a copy of exactly the
// bytes asked for, so that the sanitizer sees a read beyond what was checked.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/acpi.h"
#include "kernel/mptable.h"
#include "kernel/print.h"

#define REGION_MAX 65536

static struct region {
    uint64_t pa;
    size_t len;
    uint8_t b[REGION_MAX];
} world[12];
static unsigned n_world;

static void *copies[256];
static unsigned n_copies;
static unsigned log_lines;
static int failures;

#define CHECK(cond)                                                       \
    do {                                                                  \
        if (!(cond)) {                                                    \
            printf("%s:%d: not so: %s\n", __func__, __LINE__, #cond);     \
            failures++;                                                   \
        }                                                                 \
    } while (0)

void klog(const char *fmt, ...)
{
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap); // for the sanitizer
    va_end(ap);
    log_lines++;
}

const void *acpi_map(uint64_t pa, size_t len)
{
    for (unsigned i = 0; i < n_world; i++) {
        struct region *r = &world[i];
        if (pa < r->pa || pa - r->pa >= r->len || len > r->len - (pa - r->pa))
            continue;
        if (n_copies == 256) {
            printf("more mappings than tables can need\n");
            exit(1);
        }
        void *copy = malloc(len);
        memcpy(copy, r->b + (pa - r->pa), len);
        return copies[n_copies++] = copy;
    }
    return NULL;
}

static void forget_copies(void)
{
    while (n_copies)
        free(copies[--n_copies]);
}

static void put(uint8_t *p, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static void fix_sum(uint8_t *p, size_t len, size_t at)
{
    uint8_t sum = 0;
    p[at] = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + p[i]);
    p[at] = (uint8_t)-sum;
}

static struct region *region(uint64_t pa, size_t len)
{
    struct region *r = &world[n_world++];
    memset(r->b, 0, len + 4096 < REGION_MAX ? len + 4096 : REGION_MAX);
    r->pa = pa;
    r->len = len;
    return r;
}

static struct region *table(uint64_t pa, const char *sig, size_t len)
{
    struct region *r = region(pa, len);
    memcpy(r->b, sig, 4);
    put(r->b + 4, 4, len);
    return r;
}

static void seal(struct region *r)
{
    fix_sum(r->b, r->len, 9);
}

enum { RSDP = 0xf5000, XSDT = 0x10000, RSDT = 0x11000, MADT = 0x12000, MCFG = 0x13000,
       FADT = 0x14000, HPET = 0x15000, SSDT = 0x16000, DSDT = 0x17000 };

static void make_rsdp(int revision)
{
    struct region *r = region(RSDP, revision >= 2 ? 36 : 20);
    memcpy(r->b, "RSD PTR ", 8);
    r->b[15] = (uint8_t)revision;
    put(r->b + 16, 4, RSDT);
    fix_sum(r->b, 20, 8);
    if (revision >= 2) {
        put(r->b + 20, 4, 36);
        put(r->b + 24, 8, XSDT);
        fix_sum(r->b, 36, 32);
    }
}

static void make_roots(void)
{
    static const uint64_t tables[] = { MADT, MCFG, FADT, HPET, SSDT };
    struct region *x = table(XSDT, "XSDT", 36 + 8 * 5), *r = table(RSDT, "RSDT", 36 + 4 * 5);
    for (int i = 0; i < 5; i++) {
        put(x->b + 36 + 8 * i, 8, tables[i]);
        put(r->b + 36 + 4 * i, 4, tables[i]);
    }
    seal(x);
    seal(r);
}

static uint8_t *entry(struct region *r, uint8_t type, uint8_t len)
{
    uint8_t *e = r->b + r->len;
    e[0] = type;
    e[1] = len;
    r->len += len;
    put(r->b + 4, 4, r->len);
    return e;
}

static void madt_core(struct region *r, uint8_t uid, uint8_t id, uint32_t flags)
{
    uint8_t *e = entry(r, 0, 8);
    e[2] = uid;
    e[3] = id;
    put(e + 4, 4, flags);
}

static struct region *make_madt(void)
{
    struct region *r = table(MADT, "APIC", 44);
    put(r->b + 36, 4, 0xfee00000);
    put(r->b + 40, 4, 1);
    madt_core(r, 0, 0, 1);
    madt_core(r, 1, 1, 1);
    madt_core(r, 2, 2, 0);    // not there
    madt_core(r, 3, 3, 2);    // could be plugged in
    madt_core(r, 4, 0xff, 1); // all of them: nobody
    uint8_t *e = entry(r, 9, 16);
    put(e + 4, 4, 300);
    put(e + 8, 4, 1);
    put(e + 12, 4, 7);
    e = entry(r, 9, 16); // core 1 once more
    put(e + 4, 4, 1);
    put(e + 8, 4, 1);
    e = entry(r, 1, 12);
    e[2] = 5;
    put(e + 4, 4, 0xfec00000);
    e = entry(r, 1, 12);
    e[2] = 6;
    put(e + 4, 4, 0xfec10000);
    put(e + 8, 4, 24);
    e = entry(r, 2, 10);
    put(e + 4, 4, 2);
    e = entry(r, 2, 10);
    e[3] = 9;
    put(e + 4, 4, 9);
    put(e + 8, 2, 0xf);
    e = entry(r, 77, 6); // of the future
    e = entry(r, 5, 12);
    put(e + 4, 8, 0x1fee00000);
    seal(r);
    return r;
}

static struct region *make_mcfg(void)
{
    struct region *r = table(MCFG, "MCFG", 44 + 3 * 16);
    put(r->b + 44, 8, 0xb0000000);
    r->b[44 + 11] = 255;
    put(r->b + 60, 8, 0xc0000123); // not at a MiB
    put(r->b + 76, 8, 0x100000000);
    put(r->b + 84, 2, 1);
    r->b[86] = 16;
    r->b[87] = 31;
    seal(r);
    return r;
}

static void gas(uint8_t *g, uint8_t space, uint8_t bits, uint64_t addr)
{
    g[0] = space;
    g[1] = bits;
    put(g + 4, 8, addr);
}

static struct region *make_fadt(size_t len)
{
    struct region *r = table(FADT, "FACP", len);
    put(r->b + 40, 4, DSDT);
    put(r->b + 48, 4, 0xb2);
    r->b[52] = 2;
    put(r->b + 64, 4, 0x604);
    put(r->b + 76, 4, 0x608);
    put(r->b + 112, 4, 1 << 8 | 1 << 10);
    if (len >= 220) {
        gas(r->b + 116, 1, 8, 0xcf9);
        r->b[128] = 0xf;
        put(r->b + 140, 8, DSDT);
        gas(r->b + 172, 1, 16, 0x604);
        gas(r->b + 208, 1, 32, 0x608);
    }
    seal(r);
    return r;
}

static void make_hpet(void)
{
    struct region *r = table(HPET, "HPET", 56);
    gas(r->b + 40, 0, 0, 0xfed00000);
    seal(r);
}

static uint8_t *aml_device(uint8_t *p, uint32_t base, uint32_t gsi, uint8_t irq_flags)
{
    uint8_t *start = p;
    *p++ = 0x5b;
    *p++ = 0x82;
    uint8_t *len = p;
    p += 2;
    memcpy(p, "VR00\x08_HID\x0dLNRO0005", 4 + 1 + 4 + 1 + 9);
    p += 19;
    static const uint8_t crs[] = { 0x08, '_', 'C', 'R', 'S', 0x11, 0x1a, 0x0a, 0x17 };
    memcpy(p, crs, sizeof crs);
    p += sizeof crs;
    memcpy(p, "\x86\x09\x00\x01", 4);
    put(p + 4, 4, base);
    put(p + 8, 4, 512);
    p += 12;
    memcpy(p, "\x89\x06\x00", 3);
    p[3] = irq_flags;
    p[4] = 1;
    put(p + 5, 4, gsi);
    p += 9;
    memcpy(p, "\x79\x00", 2);
    p += 2;
    size_t n = (size_t)(p - len);
    len[0] = (uint8_t)(0x40 | (n & 15));
    len[1] = (uint8_t)(n >> 4);
    (void)start;
    return p;
}

static struct region *make_dsdt(void)
{
    struct region *r = table(DSDT, "DSDT", 36);
    uint8_t *p = r->b + 36;
    memcpy(p, "junk_S5_junk", 12);
    p += 12;
    p = aml_device(p, 0xfeb00000, 24, 1);
    p = aml_device(p, 0xfeb00200, 25, 1 | 2 | 4);
    p = aml_device(p, 0xfeb00200, 26, 1); // the same one again
    static const uint8_t s5[] = { 0x08, '_', 'S', '5', '_', 0x12, 0x07, 0x04,
                                  0x0a, 0x05, 0x01, 0x00, 0x00 };
    memcpy(p, s5, sizeof s5);
    p += sizeof s5;
    r->len = (size_t)(p - r->b);
    put(r->b + 4, 4, r->len);
    seal(r);
    return r;
}

static void make_ssdt(void)
{
    struct region *r = table(SSDT, "SSDT", 36);
    r->len = (size_t)(aml_device(r->b + 36, 0xfeb00400, 7, 3) - r->b);
    put(r->b + 4, 4, r->len);
    seal(r);
}

static void make_all(int revision, size_t fadt_len)
{
    n_world = 0;
    make_rsdp(revision);
    make_roots();
    make_madt();
    make_mcfg();
    make_fadt(fadt_len);
    make_hpet();
    make_ssdt();
    make_dsdt();
}

static struct region *at(uint64_t pa)
{
    for (unsigned i = 0; i < n_world; i++)
        if (world[i].pa == pa)
            return &world[i];
    abort();
}

static bool parse(struct acpi_info *out)
{
    log_lines = 0;
    bool ok = acpi_parse(RSDP, out);
    forget_copies();
    return ok;
}

static void test_complete(int revision, size_t fadt_len)
{
    struct acpi_info a;
    make_all(revision, fadt_len);
    CHECK(parse(&a));
    CHECK(a.tables == 6 && a.refused == 0);
    CHECK(a.n_cores == 3 && a.cores_offline == 1 && a.cores_skipped == 0);
    CHECK(a.cores[1].apic_id == 1 && !a.cores[1].x2apic);
    CHECK(a.cores[2].apic_id == 300 && a.cores[2].x2apic && a.cores[2].uid == 7);
    CHECK(a.lapic_addr == 0x1fee00000 && a.legacy_pic);
    CHECK(a.n_ioapics == 2 && a.ioapics[0].id == 5 && a.ioapics[1].addr == 0xfec10000 &&
          a.ioapics[1].gsi_base == 24);
    CHECK(a.n_overrides == 2 && a.overrides[0].irq == 0 && a.overrides[0].gsi == 2 &&
          !a.overrides[0].level && !a.overrides[0].active_low);
    CHECK(a.overrides[1].irq == 9 && a.overrides[1].level && a.overrides[1].active_low);
    CHECK(a.n_segments == 2 && a.segments[0].base == 0xb0000000 && a.segments[0].bus_last == 255);
    CHECK(a.segments[1].segment == 1 && a.segments[1].bus_first == 16);
    CHECK(a.have_fadt && !a.hw_reduced && a.pm_timer_32bit);
    CHECK(a.pm_timer.addr == 0x608 && a.pm_timer.space == ACPI_SPACE_IO && a.pm_timer.bits == 32);
    CHECK(a.pm1a_control.addr == 0x604 && a.pm1b_control.bits == 0);
    CHECK(a.smi_command == 0xb2 && a.acpi_enable == 2);
    CHECK(a.have_s5 && a.s5_a == 5 && a.s5_b == 1);
    CHECK(a.hpet_addr == 0xfed00000);
    CHECK(a.n_virtio_mmio == 3);
    CHECK(a.virtio_mmio[0].addr == 0xfeb00000 && a.virtio_mmio[0].len == 512 &&
          a.virtio_mmio[0].gsi == 24 && a.virtio_mmio[0].level && !a.virtio_mmio[0].active_low);
    CHECK(a.virtio_mmio[1].gsi == 25 && !a.virtio_mmio[1].level && a.virtio_mmio[1].active_low);
    CHECK(a.virtio_mmio[2].addr == 0xfeb00400 && a.virtio_mmio[2].gsi == 7);
    if (fadt_len >= 220)
        CHECK(a.reset.addr == 0xcf9 && a.reset_value == 0xf);
    else
        CHECK(a.reset.bits == 0);
}

static void test_hw_reduced(void)
{
    struct acpi_info a;
    make_all(2, 268);
    struct region *f = at(FADT);
    put(f->b + 112, 4, 1 << 20 | 1 << 10);
    gas(f->b + 244, 0, 8, 0xfea00000);
    gas(f->b + 116, 0, 8, 0xfea00002);
    seal(f);
    CHECK(parse(&a));
    CHECK(a.hw_reduced && a.pm_timer.bits == 0 && a.pm1a_control.bits == 0);
    CHECK(a.sleep_control.addr == 0xfea00000 && a.sleep_control.space == ACPI_SPACE_MEMORY);
    CHECK(a.reset.addr == 0xfea00002);
}

static void test_many_cores(void)
{
    struct acpi_info a;
    make_all(2, 244);
    struct region *r = at(MADT);
    for (unsigned i = 10; i < 110; i++)
        madt_core(r, (uint8_t)i, (uint8_t)i, 1);
    for (unsigned i = 0; i < 40; i++) {
        uint8_t *e = entry(r, 1, 12);
        e[2] = (uint8_t)i;
        e = entry(r, 2, 10);
        e[3] = (uint8_t)i;
    }
    seal(r);
    CHECK(parse(&a));
    CHECK(a.n_cores == 64 && a.cores_skipped == 39);
    CHECK(a.n_ioapics == ACPI_MAX_IOAPICS && a.n_overrides == ACPI_MAX_OVERRIDES);
    CHECK(log_lines > 0);
}

// Each wrong in one way: the rest is still found, and a line says what was left out.
static void test_refusals(void)
{
    struct acpi_info a;
    make_all(2, 244);
    at(MADT)->b[20]++;
    CHECK(parse(&a) && a.refused == 1 && a.n_cores == 0 && a.n_segments == 2 && log_lines >= 1);

    make_all(2, 244);
    put(at(MADT)->b + 4, 4, 35);
    CHECK(parse(&a) && a.refused == 1 && a.n_cores == 0 && a.have_s5);

    make_all(2, 244);
    put(at(MADT)->b + 4, 4, 0xffffffff);
    CHECK(parse(&a) && a.refused == 1 && a.n_cores == 0);

    make_all(2, 244);
    put(at(MADT)->b + 4, 4, at(MADT)->len + 1); // reaches out of memory
    CHECK(parse(&a) && a.refused == 1 && a.n_cores == 0);

    make_all(2, 244);
    at(MADT)->b[44 + 8 + 1] = 0; // an entry that never ends
    seal(at(MADT));
    CHECK(parse(&a) && a.n_cores == 1 && log_lines >= 1);

    make_all(2, 244);
    at(MADT)->b[44 + 8 + 1] = 255; // an entry beyond the table
    seal(at(MADT));
    CHECK(parse(&a) && a.n_cores == 1 && log_lines >= 1);

    make_all(2, 244);
    at(MADT)->b[44 + 1] = 4; // an entry too short for its type
    seal(at(MADT));
    parse(&a);

    make_all(2, 244);
    put(at(XSDT)->b + 36, 8, 0xdead000); // a table that is not there
    seal(at(XSDT));
    CHECK(parse(&a) && a.refused == 1 && a.n_cores == 0 && a.n_segments == 2);

    make_all(2, 244);
    put(at(XSDT)->b + 36, 8, MCFG); // the same one twice
    seal(at(XSDT));
    CHECK(parse(&a) && a.refused == 1 && a.n_segments == 2);

    make_all(2, 244);
    at(XSDT)->b[10]++; // bad XSDT: the RSDT serves
    CHECK(parse(&a) && a.refused == 1 && a.n_cores == 3);

    make_all(2, 244);
    at(RSDP)->b[0] = 'X';
    CHECK(!parse(&a) && a.n_cores == 0);

    make_all(2, 100);
    CHECK(parse(&a) && a.refused == 1 && !a.have_fadt);
    CHECK(!acpi_parse(0, &a));
    forget_copies();
}

static void test_aml(void)
{
    // A package that claims more than there is, an S5 that is no number, a device cut anywhere.
    uint8_t whole[128] = { 0 };
    size_t n = (size_t)(aml_device(whole, 0xfeb00000, 24, 1) - whole);
    for (size_t cut = 0; cut <= n; cut++) {
        struct acpi_info a = { 0 };
        uint8_t *part = malloc(cut ? cut : 1);
        memcpy(part, whole, cut);
        acpi_scan_aml(part, cut, &a);
        CHECK(a.n_virtio_mmio == (cut == n));
        free(part);
    }
    static const uint8_t no_s5[][14] = {
        { 0x08, '_', 'S', '5', '_', 0x12, 0x7f, 0x04, 0x0a, 0x05 },
        { 0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x70, 0x05 },
        { 0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x02, 0x0a, 0x08, 0x0a, 0x00 },
        { 0x00, '_', 'S', '5', '_', 0x12, 0x06, 0x02, 0x0a, 0x05, 0x0a, 0x00 },
    };
    for (size_t i = 0; i < sizeof no_s5 / sizeof *no_s5; i++) {
        struct acpi_info a = { 0 };
        acpi_scan_aml(no_s5[i], sizeof *no_s5, &a);
        CHECK(!a.have_s5);
    }
}

static void test_find(void)
{
    n_world = 0;
    struct region *r = region(0xf4f00, 256 + 36);
    memcpy(r->b + 256, "RSD PTR ", 8);
    CHECK(acpi_find_rsdp(0xf4f00, 0xf5024) == 0);
    forget_copies();
    fix_sum(r->b + 256, 20, 8);
    CHECK(acpi_find_rsdp(0xf4f01, 0xf5024) == RSDP);
    forget_copies();
    CHECK(acpi_find_rsdp(0xf4f00, 0xf5010) == 0);
    forget_copies();
}

// The tables of a PC without ACPI: pointer at the end of the ROM, table below it.
static struct region *make_mptable(void)
{
    n_world = 0;
    struct region *rom = region(0xf0000, 0x10000);
    memcpy(rom->b + 0xfff0, "_MP_", 4);
    put(rom->b + 0xfff4, 4, MADT);
    rom->b[0xfff8] = 1;
    fix_sum(rom->b + 0xfff0, 16, 10);
    struct region *r = table(MADT, "PCMP", 44);
    put(r->b + 36, 4, 0xfee00000);
    static const uint8_t entries[][8] = {
        { 1, 0, 'P', 'C', 'I', ' ', ' ', ' ' },
        { 1, 1, 'I', 'S', 'A', ' ', ' ', ' ' },
        { 2, 2, 0x11, 1, 0, 0, 0xc0, 0xfe },
        { 2, 3, 0x11, 1, 0, 0, 0xc1, 0xfe },
        { 2, 4, 0x11, 0, 0, 0, 0xc2, 0xfe }, // disabled
        { 3, 0, 0, 0, 1, 0, 2, 2 },          // timer at input 2
        { 3, 0, 0, 0, 1, 5, 2, 5 },          // nothing special
        { 3, 0, 15, 0, 1, 9, 2, 9 },         // level, low
        { 3, 0, 0, 0, 1, 7, 3, 1 },          // at the other controller
        { 3, 0, 15, 0, 0, 4, 2, 20 },        // PCI's
        { 3, 3, 0, 0, 1, 0, 2, 0 },          // an 8259 as a whole
        { 4, 1, 0, 0, 1, 0, 0xff, 1 },
    };
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *e = r->b + r->len;
        e[1] = (uint8_t)(i * 2);
        e[3] = i != 1;
        r->len += 20;
    }
    memcpy(r->b + r->len, entries, sizeof entries);
    r->len += sizeof entries;
    put(r->b + 4, 2, r->len);
    put(r->b + 34, 2, 3 + sizeof entries / 8);
    fix_sum(r->b, r->len, 7);
    return r;
}

static bool parse_mp(struct acpi_info *a)
{
    memset(a, 0, sizeof *a);
    bool ok = mptable_parse(a);
    forget_copies();
    return ok;
}

static void test_mptable(void)
{
    struct acpi_info a;
    struct region *r = make_mptable();
    CHECK(parse_mp(&a));
    CHECK(a.n_cores == 2 && a.cores[1].apic_id == 4 && a.lapic_addr == 0xfee00000);
    CHECK(a.n_ioapics == 2 && a.ioapics[1].addr == 0xfec10000 && a.ioapics[1].gsi_base == 24);
    CHECK(a.n_overrides == 3 && a.overrides[0].irq == 0 && a.overrides[0].gsi == 2);
    CHECK(a.overrides[1].irq == 9 && a.overrides[1].level && a.overrides[1].active_low);
    CHECK(a.overrides[2].irq == 7 && a.overrides[2].gsi == 25);
    put(r->b + 34, 2, 0); // no count: as many as there are
    fix_sum(r->b, r->len, 7);
    CHECK(parse_mp(&a) && a.n_cores == 2 && a.n_overrides == 3);
    r->b[50]++;
    CHECK(!parse_mp(&a) && a.n_cores == 0);
    make_mptable();
    world[0].b[0xfff0] = 'X';
    CHECK(!parse_mp(&a));
}

static uint64_t random_state = 88172645463325252ull;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void test_distortions(unsigned runs)
{
    for (unsigned run = 0; run < runs && !failures; run++) {
        struct acpi_info a;
        make_all(run & 1 ? 2 : 0, run % 3 ? 268 : 116);
        unsigned changes = 1 + next_random() % 8;
        while (changes--) {
            struct region *r = &world[next_random() % n_world];
            uint8_t *b = &r->b[next_random() % r->len];
            switch (next_random() % 4) {
            case 0: *b = (uint8_t)next_random(); break;
            case 1: *b = 0xff; break;
            case 2: *b = 0; break;
            default: *b ^= (uint8_t)(1 << next_random() % 8); break;
            }
        }
        for (unsigned i = 1; i < n_world && run % 8; i++) {
            uint32_t len = (uint32_t)world[i].b[4] | (uint32_t)world[i].b[5] << 8;
            if (len >= 36 && len <= world[i].len)
                fix_sum(world[i].b, len, 9);
        }
        parse(&a);
        CHECK(a.n_cores <= ACPI_MAX_CORES && a.n_ioapics <= ACPI_MAX_IOAPICS);
        CHECK(a.n_overrides <= ACPI_MAX_OVERRIDES && a.n_segments <= ACPI_MAX_SEGMENTS);
        CHECK(a.n_virtio_mmio <= ACPI_MAX_VIRTIO_MMIO && a.s5_a < 8 && a.s5_b < 8);
        for (uint32_t i = 0; i < a.n_virtio_mmio; i++)
            CHECK(a.virtio_mmio[i].addr && a.virtio_mmio[i].len >= 0x100);
    }
}

static void test_mp_distortions(unsigned runs)
{
    for (unsigned run = 0; run < runs && !failures; run++) {
        struct acpi_info a;
        struct region *r = make_mptable();
        for (unsigned changes = 1 + next_random() % 6; changes; changes--)
            r->b[next_random() % r->len] = (uint8_t)next_random();
        uint32_t len = (uint32_t)r->b[4] | (uint32_t)r->b[5] << 8;
        if (run % 8 && len >= 44 && len <= r->len)
            fix_sum(r->b, len, 7);
        parse_mp(&a);
        CHECK(a.n_cores <= ACPI_MAX_CORES && a.n_ioapics <= ACPI_MAX_IOAPICS);
        CHECK(a.n_overrides <= ACPI_MAX_OVERRIDES);
    }
}

int main(void)
{
    const unsigned runs = 20000;
    test_complete(2, 244);
    test_complete(2, 268);
    test_complete(0, 116);
    test_hw_reduced();
    test_many_cores();
    test_refusals();
    test_aml();
    test_find();
    test_distortions(runs);
    test_mptable();
    test_mp_distortions(5000);
    printf("acpi: complete, old, short and lying tables, %u distortions: %d failures\n", runs,
           failures);
    return failures != 0;
}
