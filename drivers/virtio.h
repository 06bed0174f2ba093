// SPDX-License-Identifier: BSD-2-Clause
// A virtio device, whatever it is attached by. A transport (virtio_pci.c, virtio_mmio.c) fills
// the struct and its operations and calls virtio_found; a driver negotiates, makes queues and
// starts it.
#ifndef DRIVERS_VIRTIO_H
#define DRIVERS_VIRTIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/virtq.h"
#include "kernel/irq.h"

enum virtio_type { VIRTIO_TYPE_NET = 1, VIRTIO_TYPE_BLK = 2, VIRTIO_TYPE_RNG = 4 };

enum virtio_status {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 0x40,
    VIRTIO_FAILED = 0x80,
};

#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM (1ull << 33)

// Somebody who wants an interrupt.
struct virtio_irq {
    irq_handler_fn *fn;
    void *arg;
    unsigned core; // that should take it, where there is a choice
    int vector;    // the transport's
};

struct virtio_ops {
    uint8_t (*status)(struct virtio_dev *dev);
    void (*set_status)(struct virtio_dev *dev, uint8_t status);
    uint64_t (*features)(struct virtio_dev *dev);
    void (*set_features)(struct virtio_dev *dev, uint64_t features);
    // Device-specific configuration: one register of 1, 2 or 4 bytes, and the count of its
    // changes.
    uint32_t (*config)(struct virtio_dev *dev, unsigned off, unsigned size);
    uint32_t (*config_generation)(struct virtio_dev *dev);
    uint16_t (*queue_max)(struct virtio_dev *dev, uint16_t index); // 0: no such queue
    // Gives the device queue q, which interrupts as irqs[irq] or, irq < 0, not at all.
    bool (*queue_start)(struct virtio_dev *dev, struct virtq *q, int irq);
    // Finds interrupts for irqs[0..n) and for changes of configuration. Returns how many of the
    // irqs have one, each its own; 0 if there is none at all.
    unsigned (*irqs_start)(struct virtio_dev *dev, unsigned n);
};

struct virtio_dev {
    // Set once.
    const struct virtio_ops *ops;
    char name[32];
    uint32_t type;     // enum virtio_type
    uint64_t features; // agreed
    struct virtio_irq *irqs;
    unsigned n_irqs;
    struct virtio_irq config_irq; // configuration has changed
    void *driver;

    _Atomic(bool) failed; // legal to set at any time, by any core; then the device is left alone
};

// virtio.c

// Resets the device, agrees on those of the wanted features that it has. False, with a line in the
// log, if it cannot be used.
bool virtio_begin(struct virtio_dev *dev, uint64_t wanted);

// Asks for n interrupts as described in irqs, which stays the device's. Returns how many there
// are; the rest has to do without.
unsigned virtio_irqs(struct virtio_dev *dev, struct virtio_irq *irqs, unsigned n);

// Makes queue `index` with at most `want` entries and gives it to the device. False, with a line
// in the log, if that fails.
bool virtio_queue(struct virtio_dev *dev, struct virtq *q, uint16_t index, uint16_t want, int irq);

// The device may begin.
void virtio_ready(struct virtio_dev *dev);

// One field of the configuration, of 1, 2 or 4 bytes.
uint32_t virtio_config(struct virtio_dev *dev, unsigned off, unsigned size);
// A field of n single bytes, all from one moment.
void virtio_config_bytes(struct virtio_dev *dev, unsigned off, void *buf, unsigned n);

// Gives the device up: says why, and tells it. Its buffers stay its own. Context: any but an
// interrupt.
void virtio_fail(struct virtio_dev *dev, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

// Takes the device back to its state before virtio_begin; it forgets its queues. False if it does
// not answer.
bool virtio_reset(struct virtio_dev *dev);

static inline bool virtio_has(const struct virtio_dev *dev, uint64_t feature)
{
    return dev->features & feature;
}

static inline bool virtio_failed(const struct virtio_dev *dev)
{
    return atomic_load_explicit(&dev->failed, memory_order_relaxed);
}

#endif
