// SPDX-License-Identifier: BSD-2-Clause
// virtio disks and the calls of <heddle/blk.h>.
//
// A call is cut into pieces of up to PIECE bytes, one after the other; each goes through a request
// with a buffer of its own, because a caller's memory may be a stack, whose pages lie anywhere, and
// because a device that has been given up may still write where it was told to: its requests are
// never used again. There are as many requests as goroutines can have pieces in flight; they are
// made when first needed and kept. Who finds none waits for the semaphore.
//
// b->lock (LOCK_DISK) guards the queue and the list of free requests. A goroutine parks under it,
// after ringing the doorbell, so a completion finds it parked. The interrupt marks the poller; the
// poll takes back what is done and readies whom it belongs to.
//
// What the device says is not trusted: a read that is said to have succeeded must have filled its
// buffer, and the capacity is asked for anew only when the device says it has changed.

#include <heddle/blk.h>

#include <errno.h>
#include <string.h>

#include <heddle/sync.h>

#include "drivers/drivers.h"
#include "drivers/virtio.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/print.h"
#include "kernel/spinlock.h"
#include "sched/netpoll.h"
#include "sched/park.h"

#define F_SIZE_MAX (1ull << 1)
#define F_RO (1ull << 5)
#define F_FLUSH (1ull << 9)

enum blk_config { CONFIG_CAPACITY = 0, CONFIG_SIZE_MAX = 8 };
enum blk_type { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4 };
enum blk_status { STATUS_OK = 0, STATUS_UNSET = 0xff };

#define RING 128u
#define REQUESTS (HOSTILE ? 2u : RING / 4) // a request takes three descriptors
#define PIECE_ORDER 4u
#define PIECE (PAGE_SIZE << PIECE_ORDER)
#define BATCH 16u // requests a poll takes back at a time
#define MAX_DISKS 16u

struct blk_header {
    uint32_t type, reserved;
    uint64_t sector;
};

struct request {
    struct request *next; // of the free list
    uint8_t *buf;         // PIECE bytes
    struct g *g;          // who waits for it
    uint32_t got;         // bytes the device says it has written
    bool lost;            // the device was given up with it
    bool busy;            // the device's
    uint8_t status;
    struct blk_header header;
};

struct blk {
    // Set once.
    struct virtio_dev *dev;
    struct virtio_irq irq;
    struct poller poller;
    struct request *requests; // REQUESTS of them
    size_t piece;
    char name[8];
    // guard: lock
    struct spinlock lock;
    struct virtq q;
    struct request *free;
    // Many goroutines.
    struct sema available;              // requests on the free list
    _Atomic(uint64_t) size;             // bytes
    _Atomic(bool) config_changed;       // legal to set at any time
};

static struct blk *_Atomic disks[MAX_DISKS]; // pairs: BLK-DISKS
static unsigned n_disks;                     // probing

struct blk *blk_open(const char *name)
{
    for (unsigned i = 0; i < MAX_DISKS; i++) {
        struct blk *b = atomic_load_explicit(&disks[i], memory_order_acquire); // pairs: BLK-DISKS
        if (b && strcmp(b->name, name) == 0)
            return b;
    }
    errno = ENOENT;
    return NULL;
}

uint64_t blk_size(const struct blk *b)
{
    return atomic_load_explicit(&b->size, memory_order_relaxed);
}

bool blk_read_only(const struct blk *b)
{
    return virtio_has(b->dev, F_RO);
}

static void read_capacity(struct blk *b)
{
    uint8_t raw[8];
    virtio_config_bytes(b->dev, CONFIG_CAPACITY, raw, sizeof raw);
    uint64_t sectors;
    memcpy(&sectors, raw, sizeof sectors); // little-endian, as we are
    sectors = MIN(sectors, UINT64_MAX / BLK_SECTOR);
    atomic_store_explicit(&b->size, sectors * BLK_SECTOR, memory_order_relaxed);
}

// Puts r, which has its header and data, into the ring, and parks until it is done. Context: a
// goroutine.
static int submit(struct blk *b, struct request *r, size_t n)
{
    bool reads = r->header.type == TYPE_IN;
    r->status = STATUS_UNSET;
    r->g = getg();
    r->got = 0;
    struct virtq_seg seg[3] = {
        { .addr = dma_addr(&r->header), .len = sizeof r->header },
        { .addr = dma_addr(r->buf), .len = (uint32_t)n, .device_writes = reads },
        { .addr = dma_addr(&r->status), .len = 1, .device_writes = true },
    };
    if (n == 0)
        seg[1] = seg[2];
    spin_lock(&b->lock);
    if (virtio_failed(b->dev) || !virtq_add(&b->q, seg, n ? 3 : 2, r)) {
        spin_unlock(&b->lock);
        return EIO;
    }
    r->busy = true;
    virtq_notify(&b->q);
    goparkunlock(&b->lock, WAIT_DISK);
    if (r->lost || r->status != STATUS_OK)
        return EIO;
    return reads && r->got != n + 1 ? EIO : 0;
}

static struct request *take(struct blk *b)
{
    sema_acquire(&b->available);
    spin_lock(&b->lock);
    struct request *r = b->free;
    b->free = r->next;
    spin_unlock(&b->lock);
    if (!r->buf)
        r->buf = page_alloc(PIECE_ORDER);
    return r;
}

// A lost request stays lost, but the next waiter gets his turn, and his error.
static void give(struct blk *b, struct request *r)
{
    spin_lock(&b->lock);
    r->next = b->free;
    b->free = r;
    spin_unlock(&b->lock);
    sema_release(&b->available);
}

// One piece, or a flush; 0 or an error number.
static int transfer(struct blk *b, uint32_t type, uint64_t off, uint8_t *buf, size_t n)
{
    struct request *r = take(b);
    int error = r->buf || n == 0 ? 0 : ENOMEM;
    if (r->lost || virtio_failed(b->dev))
        error = EIO;
    if (!error) {
        r->header = (struct blk_header){ .type = type, .sector = off / BLK_SECTOR };
        if (type == TYPE_OUT)
            memcpy(r->buf, buf, n);
        error = submit(b, r, n);
        if (!error && type == TYPE_IN)
            memcpy(buf, r->buf, n);
    }
    give(b, r);
    return error;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static int pieces(struct blk *b, uint32_t type, uint64_t off, uint8_t *buf, size_t n)
{
    if (off % BLK_SECTOR || n % BLK_SECTOR)
        return fail(EINVAL);
    uint64_t size = blk_size(b);
    if (off > size || n > size - off)
        return fail(ENXIO);
    while (n > 0) {
        size_t now = MIN(n, b->piece);
        int error = transfer(b, type, off, buf, now);
        if (error)
            return fail(error);
        off += now;
        buf += now;
        n -= now;
    }
    return 0;
}

int blk_read(struct blk *b, uint64_t off, void *buf, size_t n)
{
    return pieces(b, TYPE_IN, off, buf, n);
}

int blk_write(struct blk *b, uint64_t off, const void *buf, size_t n)
{
    if (blk_read_only(b))
        return fail(EROFS);
    return pieces(b, TYPE_OUT, off, (uint8_t *)(uintptr_t)buf, n);
}

// A device that does not offer flushing keeps nothing back.
int blk_flush(struct blk *b)
{
    if (!virtio_has(b->dev, F_FLUSH))
        return virtio_failed(b->dev) ? fail(EIO) : 0;
    int error = transfer(b, TYPE_FLUSH, 0, NULL, 0);
    return error ? fail(error) : 0;
}

// The device has been given up: what it still has is its own for ever, whoever waits gets an error.
// Context: the poller.
static void lose_all(struct blk *b)
{
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct request *r = &b->requests[i];
        spin_lock(&b->lock);
        bool waits = r->busy;
        r->busy = false;
        r->lost = r->lost || waits;
        spin_unlock(&b->lock);
        if (waits)
            goready_tail(r->g);
    }
}

static void look_at_config(struct blk *b)
{
    atomic_store_explicit(&b->config_changed, false, memory_order_relaxed);
    if (b->dev->ops->status(b->dev) & VIRTIO_NEEDS_RESET) {
        virtio_fail(b->dev, "it has broken down");
        return;
    }
    read_capacity(b);
    klog("%s: now %llu MiB", b->name, (unsigned long long)blk_size(b) >> 20);
}

static bool poll(struct poller *pl)
{
    struct blk *b = pl->ctx;
    struct request *done[BATCH];
    unsigned n = 0;
    if (atomic_load_explicit(&b->config_changed, memory_order_relaxed))
        look_at_config(b);
    spin_lock(&b->lock);
    uint32_t len;
    while (n < BATCH && !virtio_failed(b->dev) && (done[n] = virtq_get(&b->q, &len)) != NULL) {
        done[n]->got = len;
        done[n]->busy = false;
        n++;
    }
    bool more = n == BATCH || (!virtio_failed(b->dev) && virtq_irq_on(&b->q, 1));
    spin_unlock(&b->lock);
    for (unsigned i = 0; i < n; i++)
        goready_tail(done[i]->g);
    if (unlikely(virtio_failed(b->dev))) {
        lose_all(b);
        return false;
    }
    return more;
}

// Context: interrupt handler.
static void queue_irq(void *arg)
{
    struct blk *b = arg;
    virtq_irq_mask(&b->q);
    netpoll_mark(&b->poller);
}

// Context: interrupt handler.
static void config_irq(void *arg)
{
    struct blk *b = arg;
    atomic_store_explicit(&b->config_changed, true, memory_order_relaxed);
    netpoll_mark(&b->poller);
}

static bool start(struct blk *b)
{
    struct virtio_dev *dev = b->dev;
    spin_init(&b->lock, LOCK_DISK);
    if (!virtio_begin(dev, F_SIZE_MAX | F_RO | F_FLUSH))
        return false;
    b->piece = PIECE;
    if (virtio_has(dev, F_SIZE_MAX))
        b->piece = MIN(b->piece, virtio_config(dev, CONFIG_SIZE_MAX, 4));
    b->piece = ROUND_DOWN(b->piece, (size_t)BLK_SECTOR);
    if (b->piece == 0) {
        virtio_fail(dev, "it takes less than a sector at a time");
        return false;
    }
    b->irq = (struct virtio_irq){ .fn = queue_irq, .arg = b, .core = 0 };
    dev->config_irq = (struct virtio_irq){ .fn = config_irq, .arg = b, .core = 0 };
    b->requests = heap_zalloc(REQUESTS * sizeof *b->requests);
    if (!b->requests) {
        virtio_fail(dev, "no memory");
        return false;
    }
    if (virtio_irqs(dev, &b->irq, 1) == 0 || !virtio_queue(dev, &b->q, 0, RING, 0))
        return false;
    unsigned usable = MIN(REQUESTS, b->q.size / 3u);
    for (unsigned i = 0; i < usable; i++) {
        b->requests[i].next = b->free;
        b->free = &b->requests[i];
        sema_release(&b->available);
    }
    if (usable == 0) {
        virtio_fail(dev, "its queue is too short");
        return false;
    }
    virtio_ready(dev);
    read_capacity(b);
    b->poller.poll = poll;
    b->poller.ctx = b;
    b->poller.name = b->name;
    netpoll_register(&b->poller);
    netpoll_mark_wake(&b->poller);
    return true;
}

// Context: probing, one device at a time.
void virtio_blk_probe(struct virtio_dev *dev)
{
    if (n_disks == MAX_DISKS) {
        klog("%s: more than %u disks", dev->name, MAX_DISKS);
        return;
    }
    struct blk *b = heap_zalloc(sizeof *b);
    if (!b) {
        klog("%s: no memory", dev->name);
        return;
    }
    b->dev = dev;
    dev->driver = b;
    ksnprintf(b->name, sizeof b->name, "blk%u", n_disks);
    if (!start(b))
        return;
    klog("%s: %s, %llu MiB%s", b->name, dev->name, (unsigned long long)blk_size(b) >> 20,
         blk_read_only(b) ? ", read-only" : "");
    atomic_store_explicit(&disks[n_disks++], b, memory_order_release); // pairs: BLK-DISKS
}
