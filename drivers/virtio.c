// SPDX-License-Identifier: BSD-2-Clause
// What all virtio devices have in common: the dance of status bits by which device and driver
// agree.

#include "drivers/virtio.h"

#include <stdarg.h>
#include <string.h>

#include <heddle/time.h>

#include "kernel/clock.h"
#include "kernel/print.h"

#define RESET_LIMIT_NS 1000000000ll
#define RESET_PAUSE_NS 50000ll
#define CONFIG_TRIES 16

bool virtio_reset(struct virtio_dev *dev)
{
    dev->ops->set_status(dev, 0);
    int64_t limit_ns = clock_mono_ns() + RESET_LIMIT_NS;
    while (dev->ops->status(dev) != 0) {
        if (clock_mono_ns() > limit_ns) {
            klog("%s: does not answer a reset", dev->name);
            return false;
        }
        time_sleep(RESET_PAUSE_NS);
    }
    return true;
}

static void add_status(struct virtio_dev *dev, uint8_t bits)
{
    dev->ops->set_status(dev, dev->ops->status(dev) | bits);
}

bool virtio_begin(struct virtio_dev *dev, uint64_t wanted)
{
    if (!virtio_reset(dev))
        return false;
    add_status(dev, VIRTIO_ACKNOWLEDGE);
    add_status(dev, VIRTIO_DRIVER);
    wanted |= VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_ACCESS_PLATFORM;
    dev->features = dev->ops->features(dev) & wanted;
    if (!virtio_has(dev, VIRTIO_F_VERSION_1)) {
        virtio_fail(dev, "speaks only the legacy protocol");
        return false;
    }
    dev->ops->set_features(dev, dev->features);
    add_status(dev, VIRTIO_FEATURES_OK);
    if (!(dev->ops->status(dev) & VIRTIO_FEATURES_OK)) {
        virtio_fail(dev, "does not accept features 0x%llx", (unsigned long long)dev->features);
        return false;
    }
    return true;
}

unsigned virtio_irqs(struct virtio_dev *dev, struct virtio_irq *irqs, unsigned n)
{
    dev->irqs = irqs;
    dev->n_irqs = dev->ops->irqs_start(dev, n);
    if (dev->n_irqs == 0)
        virtio_fail(dev, "no interrupt to be had");
    return dev->n_irqs;
}

bool virtio_queue(struct virtio_dev *dev, struct virtq *q, uint16_t index, uint16_t want, int irq)
{
    uint16_t max = dev->ops->queue_max(dev, index), size = 1;
    while (size * 2u <= MIN(MIN(max, want), VIRTQ_MAX_SIZE))
        size = (uint16_t)(size * 2);
    if (max < 2) {
        virtio_fail(dev, "queue %u has %u entries", index, max);
        return false;
    }
    if (!virtq_init(q, index, size, virtio_has(dev, VIRTIO_F_EVENT_IDX))) {
        virtio_fail(dev, "no memory for queue %u", index);
        return false;
    }
    q->dev = dev;
    if (!dev->ops->queue_start(dev, q, irq)) {
        virtio_fail(dev, "queue %u does not start", index);
        return false;
    }
    return true;
}

void virtio_ready(struct virtio_dev *dev)
{
    add_status(dev, VIRTIO_DRIVER_OK);
}

uint32_t virtio_config(struct virtio_dev *dev, unsigned off, unsigned size)
{
    return dev->ops->config(dev, off, size);
}

void virtio_config_bytes(struct virtio_dev *dev, unsigned off, void *buf, unsigned n)
{
    uint8_t *out = buf;
    for (int try = 0; try < CONFIG_TRIES; try++) {
        uint32_t before = dev->ops->config_generation(dev);
        for (unsigned i = 0; i < n; i++)
            out[i] = (uint8_t)dev->ops->config(dev, off + i, 1);
        if (dev->ops->config_generation(dev) == before)
            return;
    }
    klog("%s: configuration never stands still", dev->name);
}

void virtio_fail(struct virtio_dev *dev, const char *fmt, ...)
{
    if (atomic_exchange_explicit(&dev->failed, true, memory_order_relaxed))
        return;
    char why[96];
    va_list ap;
    va_start(ap, fmt);
    kvsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    klog("%s: given up: %s", dev->name, why);
    add_status(dev, VIRTIO_FAILED);
}
