// SPDX-License-Identifier: BSD-2-Clause
// virtio over PCI as of virtio 1.x: vendor capabilities say where in the function's windows the
// common registers, the doorbells, the interrupt status and the device's own configuration are.
//
// Interrupts: with MSI-X one vector for changes of configuration and one for each of as many
// queues as there are vectors; a device or machine with fewer than two gets along with the shared
// pin.

#include <string.h>

#include "drivers/drivers.h"
#include "drivers/pci.h"
#include "drivers/virtio.h"
#include "kernel/heap.h"
#include "kernel/print.h"

enum virtio_pci_cap {
    CAP_COMMON = 1,
    CAP_NOTIFY = 2,
    CAP_ISR = 3,
    CAP_DEVICE = 4,
    // Offsets within the capability.
    CAP_LENGTH = 2,
    CAP_TYPE = 3,
    CAP_BAR = 4,
    CAP_OFFSET = 8,
    CAP_SIZE = 12,
    CAP_MULTIPLIER = 16,
};

enum virtio_pci_common {
    COMMON_DEVICE_FEATURE_SELECT = 0,
    COMMON_DEVICE_FEATURE = 4,
    COMMON_DRIVER_FEATURE_SELECT = 8,
    COMMON_DRIVER_FEATURE = 12,
    COMMON_CONFIG_MSIX = 16,
    COMMON_STATUS = 20,
    COMMON_GENERATION = 21,
    COMMON_QUEUE_SELECT = 22,
    COMMON_QUEUE_SIZE = 24,
    COMMON_QUEUE_MSIX = 26,
    COMMON_QUEUE_ENABLE = 28,
    COMMON_QUEUE_NOTIFY_OFF = 30,
    COMMON_QUEUE_DESC = 32,
    COMMON_QUEUE_DRIVER = 40,
    COMMON_QUEUE_DEVICE = 48,
    COMMON_BYTES = 56,
};

enum { NO_VECTOR = 0xffff, ISR_QUEUE = 1, ISR_CONFIG = 2 };

struct window {
    mmio_t *p;
    uint32_t len;
};

struct virtio_pci {
    struct virtio_dev dev;
    struct pci_dev pci;
    struct window common, notify, isr, config;
    uint32_t notify_multiplier;
    bool msix;
};

static struct virtio_pci *to_pci(struct virtio_dev *dev)
{
    return container_of(dev, struct virtio_pci, dev);
}

static uint8_t status(struct virtio_dev *dev)
{
    return mmio_read8(to_pci(dev)->common.p + COMMON_STATUS);
}

static void set_status(struct virtio_dev *dev, uint8_t value)
{
    mmio_write8(to_pci(dev)->common.p + COMMON_STATUS, value);
}

static uint64_t features(struct virtio_dev *dev)
{
    mmio_t *c = to_pci(dev)->common.p;
    mmio_write32(c + COMMON_DEVICE_FEATURE_SELECT, 0);
    uint64_t low = mmio_read32(c + COMMON_DEVICE_FEATURE);
    mmio_write32(c + COMMON_DEVICE_FEATURE_SELECT, 1);
    return low | (uint64_t)mmio_read32(c + COMMON_DEVICE_FEATURE) << 32;
}

static void set_features(struct virtio_dev *dev, uint64_t value)
{
    mmio_t *c = to_pci(dev)->common.p;
    mmio_write32(c + COMMON_DRIVER_FEATURE_SELECT, 0);
    mmio_write32(c + COMMON_DRIVER_FEATURE, (uint32_t)value);
    mmio_write32(c + COMMON_DRIVER_FEATURE_SELECT, 1);
    mmio_write32(c + COMMON_DRIVER_FEATURE, (uint32_t)(value >> 32));
}

static uint32_t config(struct virtio_dev *dev, unsigned off, unsigned size)
{
    struct window *w = &to_pci(dev)->config;
    if (!w->p || off > w->len || size > w->len - off)
        return 0;
    switch (size) {
    case 1: return mmio_read8(w->p + off);
    case 2: return mmio_read16(w->p + off);
    default: return mmio_read32(w->p + off);
    }
}

static uint32_t config_generation(struct virtio_dev *dev)
{
    return mmio_read8(to_pci(dev)->common.p + COMMON_GENERATION);
}

static uint16_t queue_max(struct virtio_dev *dev, uint16_t index)
{
    mmio_t *c = to_pci(dev)->common.p;
    mmio_write16(c + COMMON_QUEUE_SELECT, index);
    return mmio_read16(c + COMMON_QUEUE_SIZE);
}

static void write_address(mmio_t *r, const void *p)
{
    uint64_t pa = dma_addr(p);
    mmio_write32(r, (uint32_t)pa);
    mmio_write32(r + 4, (uint32_t)(pa >> 32));
}

static bool queue_start(struct virtio_dev *dev, struct virtq *q, int irq)
{
    struct virtio_pci *v = to_pci(dev);
    mmio_t *c = v->common.p;
    mmio_write16(c + COMMON_QUEUE_SELECT, q->index);
    mmio_write16(c + COMMON_QUEUE_SIZE, q->size);
    if (v->msix) {
        uint16_t entry = irq < 0 ? NO_VECTOR : (uint16_t)(irq + 1);
        mmio_write16(c + COMMON_QUEUE_MSIX, entry);
        if (mmio_read16(c + COMMON_QUEUE_MSIX) != entry)
            return false;
    }
    write_address(c + COMMON_QUEUE_DESC, q->desc);
    write_address(c + COMMON_QUEUE_DRIVER, q->avail);
    write_address(c + COMMON_QUEUE_DEVICE, q->used);
    uint64_t off = (uint64_t)mmio_read16(c + COMMON_QUEUE_NOTIFY_OFF) * v->notify_multiplier;
    if (off + 2 > v->notify.len)
        return false;
    q->doorbell = v->notify.p + off;
    q->doorbell_wide = false;
    mmio_write16(c + COMMON_QUEUE_ENABLE, 1);
    return true;
}

// The shared pin: reading the status takes the interrupt back. Without MSI-X there is one queue
// interrupt.
static void pin_irq(void *arg)
{
    struct virtio_pci *v = arg;
    uint8_t isr = mmio_read8(v->isr.p);
    if (isr & ISR_QUEUE)
        v->dev.irqs[0].fn(v->dev.irqs[0].arg);
    if (isr & ISR_CONFIG)
        v->dev.config_irq.fn(v->dev.config_irq.arg);
}

// A vector for one entry of the MSI-X table.
static bool msix_irq(struct virtio_pci *v, unsigned entry, struct virtio_irq *i)
{
    i->vector = irq_alloc(i->fn, i->arg, v->dev.name);
    if (i->vector < 0)
        return false;
    if (pci_msix_route(&v->pci, entry, i->vector, i->core))
        return true;
    irq_free(i->vector);
    return false;
}

static unsigned irqs_start(struct virtio_dev *dev, unsigned n)
{
    struct virtio_pci *v = to_pci(dev);
    unsigned entries = pci_msix_init(&v->pci), got = 0;
    struct virtio_irq *c = &dev->config_irq;
    if (entries >= 2 && msix_irq(v, 0, c)) {
        while (got < n && got + 1 < entries && msix_irq(v, got + 1, &dev->irqs[got]))
            got++;
        if (got == 0)
            irq_free(c->vector);
    }
    if (got == 0)
        return v->isr.p && pci_pin_connect(&v->pci, pin_irq, v, dev->irqs[0].core) ? 1 : 0;
    pci_msix_enable(&v->pci, true);
    v->msix = true;
    mmio_write16(v->common.p + COMMON_CONFIG_MSIX, 0);
    if (mmio_read16(v->common.p + COMMON_CONFIG_MSIX) != 0)
        klog("%s: will not tell of configuration changes", dev->name);
    return got;
}

static const struct virtio_ops ops = {
    status, set_status, features, set_features, config, config_generation,
    queue_max, queue_start, irqs_start,
};

// Maps the part of a window that the capability at off describes.
static struct window map_cap(struct pci_dev *d, unsigned off, uint32_t least)
{
    struct window w = { NULL, pci_read(d, off + CAP_SIZE, 4) };
    if (w.len >= least)
        w.p = pci_map(d, pci_read(d, off + CAP_BAR, 1), pci_read(d, off + CAP_OFFSET, 4), w.len);
    return w;
}

static bool find_windows(struct virtio_pci *v)
{
    struct pci_dev *d = &v->pci;
    for (unsigned off = 0; (off = pci_next_cap(d, PCI_CAP_VENDOR, off)) != 0;) {
        if (pci_read(d, off + CAP_LENGTH, 1) < 16)
            continue;
        // The first of each kind that can be used counts.
        switch (pci_read(d, off + CAP_TYPE, 1)) {
        case CAP_COMMON:
            if (!v->common.p)
                v->common = map_cap(d, off, COMMON_BYTES);
            break;
        case CAP_NOTIFY:
            if (!v->notify.p && pci_read(d, off + CAP_LENGTH, 1) >= 20) {
                v->notify = map_cap(d, off, 2);
                v->notify_multiplier = pci_read(d, off + CAP_MULTIPLIER, 4);
            }
            break;
        case CAP_ISR:
            if (!v->isr.p)
                v->isr = map_cap(d, off, 1);
            break;
        case CAP_DEVICE:
            if (!v->config.p)
                v->config = map_cap(d, off, 1);
            break;
        }
    }
    return v->common.p && v->notify.p;
}

void virtio_pci_probe(struct pci_dev *d)
{
    // Transitional devices number their types otherwise.
    static const uint8_t transitional[] = { VIRTIO_TYPE_NET, VIRTIO_TYPE_BLK, 0, 0, 0,
                                            VIRTIO_TYPE_RNG };
    uint32_t old = d->device - 0x1000u;
    uint32_t type = d->device >= 0x1040             ? d->device - 0x1040u
                    : old < ARRAY_LEN(transitional) ? transitional[old]
                                                    : 0;
    if (type == 0)
        return;
    struct virtio_pci *v = heap_zalloc(sizeof *v);
    if (!v) {
        klog("virtio at %s: no memory", d->name);
        return;
    }
    v->pci = *d;
    v->dev.ops = &ops;
    v->dev.type = type;
    ksnprintf(v->dev.name, sizeof v->dev.name, "virtio %s", d->name);
    pci_enable(&v->pci);
    if (!find_windows(v)) {
        klog("%s: no virtio 1.x registers; ignored", v->dev.name);
        heap_free(v);
        return;
    }
    virtio_found(&v->dev);
}
