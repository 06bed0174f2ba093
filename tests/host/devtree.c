// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=kernel/fdt.c,kernel/devtree.c,kernel/bootinfo_add.c timeout=60
// test: cflags=-fsanitize=address,undefined
//
// The device tree: one like QEMU's virt is written here and read back, one of another board with
// buses that translate addresses, and then some thousand distortions of the first, each in
// a copy of exactly its length, so that the sanitizer sees a read beyond it.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/bootinfo.h"
#include "kernel/devtree.h"
#include "kernel/fdt.h"

#define check(cond)                                                    \
    do {                                                               \
        if (!(cond)) {                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
            exit(1);                                                   \
        }                                                              \
    } while (0)

// ---- a writer ----

static uint8_t tree[8192], strings[1024];
static size_t tree_len, strings_len;

static void be32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void word(uint32_t v)
{
    be32(tree + tree_len, v);
    tree_len += 4;
}

static void bytes(const void *p, size_t n)
{
    memcpy(tree + tree_len, p, n);
    memset(tree + tree_len + n, 0, 3);
    tree_len += (n + 3) & ~(size_t)3;
}

static void begin(const char *name)
{
    word(1);
    bytes(name, strlen(name) + 1);
}

static void end(void)
{
    word(2);
}

static void prop(const char *name, const void *value, size_t n)
{
    size_t at = 0;
    while (at < strings_len && strcmp((char *)strings + at, name) != 0)
        at += strlen((char *)strings + at) + 1;
    if (at == strings_len) {
        strcpy((char *)strings + at, name);
        strings_len += strlen(name) + 1;
    }
    word(3);
    word((uint32_t)n);
    word((uint32_t)at);
    bytes(value, n);
}

static void text(const char *name, const char *value)
{
    prop(name, value, strlen(value) + 1);
}

#define cells(name, ...)                                             \
    do {                                                             \
        const uint32_t v_[] = { __VA_ARGS__ };                       \
        uint8_t b_[sizeof v_ + 1];                                   \
        for (size_t i_ = 0; i_ < sizeof v_ / 4; i_++)                \
            be32(b_ + 4 * i_, v_[i_]);                               \
        prop(name, b_, sizeof v_);                                   \
    } while (0)

static size_t finish(uint8_t *out)
{
    word(9);
    uint32_t head[] = { 0xd00dfeed, 0, 0, 0, 40, 17, 16, 0, 0, 0 };
    uint32_t rsv[] = { 0, 0x48000000, 0, 0x1000, 0, 0, 0, 0 };
    head[2] = 40 + sizeof rsv;
    head[3] = head[2] + (uint32_t)tree_len;
    head[8] = (uint32_t)strings_len;
    head[9] = (uint32_t)tree_len;
    head[1] = head[3] + head[8];
    for (size_t i = 0; i < 10; i++)
        be32(out + 4 * i, head[i]);
    for (size_t i = 0; i < 8; i++)
        be32(out + 40 + 4 * i, rsv[i]);
    memcpy(out + head[2], tree, tree_len);
    memcpy(out + head[3], strings, strings_len);
    tree_len = strings_len = 0;
    return head[1];
}

static void device(const char *name, const char *what, uint32_t base, uint32_t len, uint32_t irq)
{
    begin(name);
    text("compatible", what);
    cells("reg", 0, base, 0, len);
    cells("interrupts", 0, irq, 4);
    end();
}

static void memory_and_power(void)
{
    begin("psci");
    text("method", "smc");
    prop("compatible", "arm,psci-1.0\0arm,psci-0.2", 26);
    end();
    begin("memory@40000000");
    text("device_type", "memory");
    cells("reg", 0, 0x40000000, 0, 0x20000000, 8, 0, 1, 0);
    end();
    begin("reserved-memory");
    cells("#address-cells", 2);
    cells("#size-cells", 2);
    prop("ranges", "", 0);
    begin("taken@50000000");
    cells("reg", 0, 0x50000000, 0, 0x200000);
    end();
    end();
}

static void interrupts_and_serial(void)
{
    device("virtio_mmio@a000000", "virtio,mmio", 0xa000000, 0x200, 16);
    device("pl011@9040000", "arm,pl011", 0x9040000, 0x1000, 8);
    device("pl011@9000000", "arm,pl011", 0x9000000, 0x1000, 1);
    begin("pl011@9080000");
    text("status", "disabled");
    text("compatible", "arm,pl031");
    cells("reg", 0, 0x9080000, 0, 0x1000);
    end();
    begin("intc@8000000");
    cells("phandle", 0x8003);
    text("compatible", "arm,gic-v3");
    cells("#interrupt-cells", 3);
    cells("#address-cells", 2);
    cells("#size-cells", 2);
    prop("ranges", "", 0);
    cells("#redistributor-regions", 2);
    cells("reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0xf60000, 0x40, 0, 0, 0x4000000);
    begin("its@8080000");
    text("compatible", "arm,gic-v3-its");
    cells("reg", 0, 0x8080000, 0, 0x20000);
    end();
    end();
}

static void pci(void)
{
    begin("pcie@10000000");
    text("compatible", "pci-host-ecam-generic");
    cells("#address-cells", 3);
    cells("#size-cells", 2);
    cells("bus-range", 0, 255);
    cells("reg", 0x40, 0x10000000, 0, 0x10000000);
    cells("ranges", 0x1000000, 0, 0, 0, 0x3eff0000, 0, 0x10000, 0x2000000, 0, 0x10000000, 0,
          0x10000000, 0, 0x2eff0000, 0x3000000, 0x80, 0, 0x80, 0, 0x80, 0);
    cells("interrupt-map-mask", 0x1800, 0, 0, 7);
    cells("interrupt-map", 0, 0, 0, 1, 0x8003, 0, 0, 0, 3, 4, 0x800, 0, 0, 2, 0x8003, 0, 0, 0, 5,
          4);
    end();
}

static size_t virt(uint8_t *out)
{
    begin("");
    cells("#address-cells", 2);
    cells("#size-cells", 2);
    memory_and_power();
    interrupts_and_serial();
    pci();
    begin("cpus");
    cells("#address-cells", 1);
    cells("#size-cells", 0);
    for (uint32_t i = 0; i < 3; i++) {
        begin("cpu");
        text("device_type", "cpu");
        text("enable-method", "psci");
        cells("reg", i * 0x100);
        end();
    }
    end();
    begin("timer");
    text("compatible", "arm,armv8-timer");
    cells("interrupts", 1, 13, 4, 1, 14, 4, 1, 12, 4, 1, 10, 4);
    end();
    begin("chosen");
    text("bootargs", "app=x -- y");
    text("stdout-path", "/pl011@9000000:115200");
    prop("rng-seed", "0123456789abcdef0123456789abcdef", 32);
    end();
    end();
    return finish(out);
}

static void test_virt(const uint8_t *blob, size_t n)
{
    struct dt_info d;
    struct acpi_info t = { 0 };
    struct bootinfo bi = { 0 };
    check(devtree_parse(blob, n, &d, &t));
    check(d.psci == DT_CALL_SMC && d.psci_cpu_on == 0xc4000003 && d.n_cores == 3);
    check(d.mpidr[2] == 0x200 && d.timer_irq == 28 && strcmp(d.bootargs, "app=x -- y") == 0);
    check(d.gic == 3 && d.n_gicr == 2 && d.gicr[1].base == 0x4000000000 && d.gicc.len == 0);
    check(d.its.base == 0x8080000 && d.uart.base == 0x9000000 && d.rtc.len == 0 && !d.qemu);
    check(d.seed_len == 32 && d.seed[1] == '1');
    check(t.n_virtio_mmio == 1 && t.virtio_mmio[0].gsi == 48 && t.virtio_mmio[0].level);
    check(t.n_segments == 1 && t.segments[0].base == 0x4010000000 && t.segments[0].bus_last == 255);
    check(d.pci_mmio32.base == 0x10000000 && d.pci_mmio64.base == 0x8000000000);
    check(d.n_pci_irqs == 2 && d.pci_irqs[1].gsi == 37 && d.pci_irqs[1].pin == 2);
    check(d.pci_irqs[1].where == 0x800 && d.pci_irq_mask == 0x1800);
    devtree_memory(blob, n, 0x44000000, &bi);
    check(bi.n_ranges == 5 && bi.ranges[1].end == 0x900000000 && bi.ranges[0].kind == MEM_USABLE);
    check(bi.ranges[2].start == 0x50000000 && bi.ranges[2].kind == MEM_RESERVED);
    check(bi.ranges[3].start == 0x48000000 && bi.ranges[3].end == 0x48001000);
    check(bi.ranges[4].start == 0x44000000 && bi.ranges[4].end == 0x44000000 + n);
}

// Registers behind two buses that move addresses, and a bus that leads nowhere.
static void test_buses(void)
{
    uint8_t blob[4096];
    begin("");
    cells("#address-cells", 2);
    cells("#size-cells", 1);
    begin("soc");
    cells("#address-cells", 1);
    cells("#size-cells", 1);
    cells("ranges", 0x7e000000, 0, 0x3f000000, 0x1000000);
    begin("inner");
    cells("#address-cells", 1);
    cells("#size-cells", 1);
    cells("ranges", 0, 0x7e200000, 0x10000);
    begin("serial@1000");
    text("compatible", "arm,pl011");
    cells("reg", 0x1000, 0x200);
    end();
    begin("clock@20000");
    text("compatible", "arm,pl031");
    cells("reg", 0x20000, 0x1000); // beyond what the bus passes on
    end();
    end();
    begin("blind");
    begin("intc");
    text("compatible", "arm,gic-400");
    cells("reg", 0, 0x1000, 0x1000);
    end();
    end();
    end();
    end();
    size_t n = finish(blob);
    struct dt_info d;
    struct acpi_info t = { 0 };
    check(devtree_parse(blob, n, &d, &t));
    check(d.uart.base == 0x3f201000 && d.uart.len == 0x200 && d.rtc.len == 0);
    check(d.gic == 2 && d.gicd.len == 0 && d.n_cores == 0 && d.psci == DT_CALL_NONE);
}

static uint32_t seed = 1;

static uint32_t below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

static void distort(const uint8_t *blob, size_t n)
{
    size_t len = below(8) ? n : below((uint32_t)n + 1);
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, blob, len);
    for (unsigned i = below(6); i > 0 && len >= 4; i--) {
        static const uint32_t nasty[] = { 0, 1, 2, 3, 4, 9, 0x7fffffff, 0x80000000, 0xffffffff,
                                          0xfffffffc, 0x1000, 40 };
        size_t at = below(4) ? below((uint32_t)len) : below((uint32_t)(len < 72 ? len : 72));
        if (below(2))
            copy[at] = (uint8_t)below(256);
        else if (at + 4 <= len)
            be32(copy + (at & ~(size_t)3), nasty[below(12)]);
    }
    struct dt_info d;
    struct acpi_info t = { 0 };
    struct bootinfo bi = { 0 };
    if (devtree_parse(copy, len, &d, &t)) {
        check(d.n_cores <= DT_MAX_CORES && d.n_gicr <= DT_MAX_GICR);
        check(t.n_virtio_mmio <= ACPI_MAX_VIRTIO_MMIO && d.n_pci_irqs <= DT_MAX_PCI_IRQS);
        check(strlen(d.bootargs) < len);
    }
    devtree_memory(copy, len, 0x40000000, &bi);
    check(bi.n_ranges <= BOOT_MAX_RANGES);
    free(copy);
}

int main(void)
{
    static uint8_t blob[8192];
    size_t n = virt(blob);
    test_virt(blob, n);
    test_buses();
    n = virt(blob);
    for (int i = 0; i < 4000; i++)
        distort(blob, n);
    printf("device trees: read, and 4000 distortions survived\n");
    return 0;
}
