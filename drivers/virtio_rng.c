// SPDX-License-Identifier: BSD-2-Clause
// The virtio entropy device: seeds the generators of kernel/entropy.c before main, and again each
// time one of them has handed out much. One buffer, one request at a time; the poller sends it off
// and takes it back.

#include <string.h>

#include <heddle/time.h>

#include "drivers/drivers.h"
#include "drivers/virtio.h"
#include "kernel/clock.h"
#include "kernel/entropy.h"
#include "kernel/heap.h"
#include "kernel/print.h"
#include "sched/netpoll.h"

#define SEED_BYTES 64u
#define FIRST_LIMIT_NS 100000000ll // how long boot waits for the first seed
#define FIRST_PAUSE_NS 50000ll

struct rng {
    // Set once.
    struct virtio_dev *dev;
    struct virtio_irq irq;
    struct poller poller;
    uint8_t *seed; // SEED_BYTES; the device's while asked
    // Owner: whoever polls.
    struct virtq q;
    bool asked;
    // Others may look.
    _Atomic(bool) wanted; // legal to set at any time
    _Atomic(bool) seeded;
};

// Sends the buffer off. Context: the poller, or probing before it is registered.
static void ask(struct rng *r)
{
    struct virtq_seg seg = {
        .addr = dma_addr(r->seed), .len = SEED_BYTES, .device_writes = true
    };
    atomic_store_explicit(&r->wanted, false, memory_order_relaxed);
    r->asked = virtq_add(&r->q, &seg, 1, r);
    virtq_notify(&r->q);
}

static bool poll(struct poller *pl)
{
    struct rng *r = pl->ctx;
    uint32_t len;
    if (virtio_failed(r->dev))
        return false;
    if (r->asked && virtq_get(&r->q, &len)) {
        r->asked = false;
        if (len > 0) {
            entropy_add(r->seed, len);
            memset(r->seed, 0, SEED_BYTES);
            atomic_store_explicit(&r->seeded, true, memory_order_release); // pairs: RNG-SEEDED
        }
    }
    if (virtio_failed(r->dev))
        return false;
    if (!r->asked && atomic_load_explicit(&r->wanted, memory_order_relaxed))
        ask(r);
    return virtq_irq_on(&r->q, 1) && r->asked;
}

// Context: interrupt handler.
static void queue_irq(void *arg)
{
    struct rng *r = arg;
    virtq_irq_mask(&r->q);
    netpoll_mark(&r->poller);
}

// Context: interrupt handler. The device has no configuration.
static void config_irq(void *arg)
{
    (void)arg;
}

// For entropy.c. Context: goroutine or g0, perhaps with locks held.
static void want(void *arg)
{
    struct rng *r = arg;
    atomic_store_explicit(&r->wanted, true, memory_order_relaxed);
    netpoll_mark_wake(&r->poller);
}

static bool start(struct rng *r)
{
    struct virtio_dev *dev = r->dev;
    r->irq = (struct virtio_irq){ .fn = queue_irq, .arg = r, .core = 0 };
    dev->config_irq = (struct virtio_irq){ .fn = config_irq, .arg = r, .core = 0 };
    if (!virtio_begin(dev, 0) || virtio_irqs(dev, &r->irq, 1) == 0 ||
        !virtio_queue(dev, &r->q, 0, 2, 0))
        return false;
    virtio_ready(dev);
    r->poller.poll = poll;
    r->poller.ctx = r;
    r->poller.name = "rng";
    r->poller.inside = true; // nobody waits for it who is not woken otherwise
    netpoll_register(&r->poller);
    want(r);
    return true;
}

// Context: probing, one device at a time.
void virtio_rng_probe(struct virtio_dev *dev)
{
    struct rng *r = heap_zalloc(sizeof *r);
    uint8_t *seed = heap_zalloc(SEED_BYTES);
    if (!r || !seed) {
        klog("%s: no memory", dev->name);
        heap_free(r);
        heap_free(seed);
        return;
    }
    r->dev = dev;
    r->seed = seed;
    dev->driver = r;
    if (!start(r))
        return;
    int64_t limit_ns = clock_mono_ns() + FIRST_LIMIT_NS;
    // pairs: RNG-SEEDED
    while (!atomic_load_explicit(&r->seeded, memory_order_acquire) && clock_mono_ns() < limit_ns)
        time_sleep(FIRST_PAUSE_NS);
    klog("entropy: %s%s", dev->name,
         atomic_load_explicit(&r->seeded, memory_order_relaxed) ? "" : ", nothing from it yet");
    static bool registered;
    if (!registered)
        entropy_source(want, r);
    registered = true;
}
