// SPDX-License-Identifier: BSD-2-Clause
// virtio over a block of registers in memory, version 2 of that interface. The blocks cannot be
// probed for: ACPI tells of them, or options on the boot command line as in
//     virtio_mmio.device=512@0xfeb00e00:12        length@address:interrupt
// with the length in bytes or with K. A slot with no device in it is passed over in silence.
//
// There is one level-triggered interrupt for everything; its handler asks what it is about.

#include <string.h>

#include "drivers/drivers.h"
#include "drivers/virtio.h"
#include "kernel/acpi.h"
#include "kernel/cmdline.h"
#include "kernel/heap.h"
#include "kernel/print.h"
#include "kernel/vm.h"

enum virtio_mmio_reg {
    REG_MAGIC = 0x00,
    REG_VERSION = 0x04,
    REG_DEVICE = 0x08,
    REG_DEVICE_FEATURES = 0x10,
    REG_DEVICE_FEATURES_SELECT = 0x14,
    REG_DRIVER_FEATURES = 0x20,
    REG_DRIVER_FEATURES_SELECT = 0x24,
    REG_QUEUE_SELECT = 0x30,
    REG_QUEUE_MAX = 0x34,
    REG_QUEUE_SIZE = 0x38,
    REG_QUEUE_READY = 0x44,
    REG_QUEUE_NOTIFY = 0x50,
    REG_INTERRUPT_STATUS = 0x60,
    REG_INTERRUPT_ACK = 0x64,
    REG_STATUS = 0x70,
    REG_QUEUE_DESC = 0x80,
    REG_QUEUE_DRIVER = 0x90,
    REG_QUEUE_DEVICE = 0xa0,
    REG_GENERATION = 0xfc,
    REG_CONFIG = 0x100,
};

enum { MAGIC = 0x74726976, INTERRUPT_QUEUE = 1, INTERRUPT_CONFIG = 2 };

struct virtio_mmio {
    struct virtio_dev dev;
    mmio_t *r;
    struct acpi_virtio_mmio where;
};

static mmio_t *regs(struct virtio_dev *dev)
{
    return container_of(dev, struct virtio_mmio, dev)->r;
}

static uint8_t status(struct virtio_dev *dev)
{
    return (uint8_t)mmio_read32(regs(dev) + REG_STATUS);
}

static void set_status(struct virtio_dev *dev, uint8_t value)
{
    mmio_write32(regs(dev) + REG_STATUS, value);
}

static uint64_t features(struct virtio_dev *dev)
{
    mmio_t *r = regs(dev);
    mmio_write32(r + REG_DEVICE_FEATURES_SELECT, 0);
    uint64_t low = mmio_read32(r + REG_DEVICE_FEATURES);
    mmio_write32(r + REG_DEVICE_FEATURES_SELECT, 1);
    return low | (uint64_t)mmio_read32(r + REG_DEVICE_FEATURES) << 32;
}

static void set_features(struct virtio_dev *dev, uint64_t value)
{
    mmio_t *r = regs(dev);
    mmio_write32(r + REG_DRIVER_FEATURES_SELECT, 0);
    mmio_write32(r + REG_DRIVER_FEATURES, (uint32_t)value);
    mmio_write32(r + REG_DRIVER_FEATURES_SELECT, 1);
    mmio_write32(r + REG_DRIVER_FEATURES, (uint32_t)(value >> 32));
}

static uint32_t config(struct virtio_dev *dev, unsigned off, unsigned size)
{
    struct virtio_mmio *v = container_of(dev, struct virtio_mmio, dev);
    if (off > v->where.len - REG_CONFIG || size > v->where.len - REG_CONFIG - off)
        return 0;
    mmio_t *p = v->r + REG_CONFIG + off;
    switch (size) {
    case 1: return mmio_read8(p);
    case 2: return mmio_read16(p);
    default: return mmio_read32(p);
    }
}

static uint32_t config_generation(struct virtio_dev *dev)
{
    return mmio_read32(regs(dev) + REG_GENERATION);
}

static uint16_t queue_max(struct virtio_dev *dev, uint16_t index)
{
    mmio_t *r = regs(dev);
    mmio_write32(r + REG_QUEUE_SELECT, index);
    return (uint16_t)MIN(mmio_read32(r + REG_QUEUE_MAX), 32768u);
}

static void write_address(mmio_t *r, const void *p)
{
    uint64_t pa = dma_addr(p);
    mmio_write32(r, (uint32_t)pa);
    mmio_write32(r + 4, (uint32_t)(pa >> 32));
}

static bool queue_start(struct virtio_dev *dev, struct virtq *q, int irq)
{
    (void)irq; // there is but one
    mmio_t *r = regs(dev);
    mmio_write32(r + REG_QUEUE_SELECT, q->index);
    if (mmio_read32(r + REG_QUEUE_READY) != 0)
        return false;
    mmio_write32(r + REG_QUEUE_SIZE, q->size);
    write_address(r + REG_QUEUE_DESC, q->desc);
    write_address(r + REG_QUEUE_DRIVER, q->avail);
    write_address(r + REG_QUEUE_DEVICE, q->used);
    q->doorbell = r + REG_QUEUE_NOTIFY;
    q->doorbell_wide = true;
    mmio_write32(r + REG_QUEUE_READY, 1);
    return mmio_read32(r + REG_QUEUE_READY) == 1;
}

static void device_irq(void *arg)
{
    struct virtio_mmio *v = arg;
    uint32_t what = mmio_read32(v->r + REG_INTERRUPT_STATUS);
    mmio_write32(v->r + REG_INTERRUPT_ACK, what);
    if (what & INTERRUPT_QUEUE)
        v->dev.irqs[0].fn(v->dev.irqs[0].arg);
    if (what & INTERRUPT_CONFIG)
        v->dev.config_irq.fn(v->dev.config_irq.arg);
}

static unsigned irqs_start(struct virtio_dev *dev, unsigned n)
{
    struct virtio_mmio *v = container_of(dev, struct virtio_mmio, dev);
    struct virtio_irq *i = &dev->irqs[0];
    if (n == 0 || (i->vector = irq_alloc(device_irq, v, dev->name)) < 0)
        return 0;
    if (arch_irq_route(v->where.gsi, i->vector, i->core, v->where.level, v->where.active_low) == 0)
        return 1;
    irq_free(i->vector);
    return 0;
}

static const struct virtio_ops ops = {
    status, set_status, features, set_features, config, config_generation,
    queue_max, queue_start, irqs_start,
};

static void probe(const struct acpi_virtio_mmio *where)
{
    mmio_t *r = vm_map_mmio(where->addr, where->len);
    if (!r || mmio_read32(r + REG_MAGIC) != MAGIC) {
        klog("virtio-mmio at 0x%llx: not there", (unsigned long long)where->addr);
        return;
    }
    uint32_t type = mmio_read32(r + REG_DEVICE), version = mmio_read32(r + REG_VERSION);
    if (type == 0)
        return;
    if (version != 2) {
        klog("virtio-mmio at 0x%llx: interface version %u, 2 is needed "
             "(QEMU: -global virtio-mmio.force-legacy=false)",
             (unsigned long long)where->addr, version);
        return;
    }
    struct virtio_mmio *v = heap_zalloc(sizeof *v);
    if (!v)
        return;
    v->r = r;
    v->where = *where;
    v->dev.ops = &ops;
    v->dev.type = type;
    ksnprintf(v->dev.name, sizeof v->dev.name, "virtio 0x%llx", (unsigned long long)where->addr);
    virtio_found(&v->dev);
}

// Reads a number, decimal or with 0x, moving *s behind it; false if there is none or it is too
// large.
static bool take_number(const char **s, uint64_t *v)
{
    const char *p = *s;
    unsigned base = 10;
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        base = 16;
        p += 2;
    }
    const char *first = p;
    for (*v = 0;; p++) {
        unsigned d = *p >= '0' && *p <= '9'   ? (unsigned)(*p - '0')
                     : *p >= 'a' && *p <= 'f' ? (unsigned)(*p - 'a' + 10)
                     : *p >= 'A' && *p <= 'F' ? (unsigned)(*p - 'A' + 10)
                                              : 16;
        if (d >= base)
            break;
        if (*v > (UINT64_MAX - d) / base)
            return false;
        *v = *v * base + d;
    }
    *s = p;
    return p != first;
}

// length[K]@address:interrupt[:number], the number being without meaning here.
static bool parse_option(const char *s, struct acpi_virtio_mmio *w)
{
    uint64_t len, irq, id;
    if (!take_number(&s, &len))
        return false;
    if (*s == 'K' || *s == 'k') {
        len <<= 10;
        s++;
    }
    if (*s++ != '@' || !take_number(&s, &w->addr) || *s++ != ':' || !take_number(&s, &irq))
        return false;
    if (*s == ':' && (s++, !take_number(&s, &id)))
        return false;
    if (*s || len <= REG_CONFIG || len > 1 << 20 || w->addr & 3 || irq > 1023)
        return false;
    w->len = (uint32_t)len;
    w->gsi = (uint32_t)irq;
    w->level = true;
    w->active_low = false;
    return true;
}

void virtio_mmio_probe_all(void)
{
    for (uint32_t i = 0; i < acpi.n_virtio_mmio; i++)
        if (acpi.virtio_mmio[i].len > REG_CONFIG)
            probe(&acpi.virtio_mmio[i]);
    const char *option;
    for (unsigned n = 0; (option = cmdline_nth("virtio_mmio.device", n)) != NULL; n++) {
        struct acpi_virtio_mmio where = { 0 };
        if (parse_option(option, &where))
            probe(&where);
        else
            klog("virtio_mmio.device=%s: not of the form 512@0xfeb00e00:12", option);
    }
}
