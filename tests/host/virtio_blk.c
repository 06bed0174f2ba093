// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=drivers/virtio.c,drivers/virtq.c,drivers/virtio_blk.c,sched/sync_sema.c
// test: srcs+=tests/host/sim/s*.c cflags=-fsanitize=address,undefined timeout=180
//
// The disk driver against a simulated disk, in the simulated world: goroutines with regions of
// their own, requests finished late and in any order, memory that runs out, sectors that fail, a
// disk that grows, one that lies in each way it can, one that breaks down with requests in its
// hands, and disks that are to be refused. What is read is what was written; whoever waits gets an
// answer; a disk that was given up is not handed a buffer again.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <heddle/blk.h>
#include <heddle/go.h>
#include <heddle/time.h>

#include "drivers/drivers.h"
#include "drivers/virtio.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "tests/host/sim/sim.h"

uintptr_t direct_map_base; // addresses are addresses

void go_panic(const char *fmt, ...) { sim_fail(__FILE__, __LINE__, "%s", fmt); }

void *page_alloc(unsigned order)
{
    return sim_chance(sim_opt.heap_fail_ppm) ? NULL
                                             : aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);
}

void *page_alloc_zeroed(unsigned order)
{
    void *p = page_alloc(order);
    return p ? memset(p, 0, PAGE_SIZE << order) : NULL;
}

void page_free(void *p, unsigned order)
{
    (void)order;
    free(p);
}

// The disk.

enum { SECTORS = 2048, BAD_SECTOR = 2000, WORKERS = 6, REGION = 300, PIECE_MAX = 40 };

enum lie { HONEST, WRONG_ID, SHORT_READ, WRONG_STATUS, TOO_MANY, BREAKS, LIES };

#define F_SIZE_MAX (1ull << 1)
#define F_RO (1ull << 5)
#define F_FLUSH (1ull << 9)

static struct card {
    struct virtio_dev dev;
    uint64_t offers, capacity;
    uint8_t status;
    uint32_t size_max, vectors;
    uint16_t ring;
    struct virtq *q;
    uint16_t doorbell, seen, used;
    uint16_t held[64]; // requests taken and not finished
    unsigned n_held;
    enum lie lie;
    unsigned lie_after; // requests that go well
    bool stop;
    unsigned flushes, requests;
    uint8_t data[SECTORS][BLK_SECTOR];
} *card;

static uint8_t get_status(struct virtio_dev *dev) { return card->status; }
static void set_status(struct virtio_dev *dev, uint8_t status) { card->status = status; }
static uint64_t get_features(struct virtio_dev *dev) { return card->offers; }
static void set_features(struct virtio_dev *dev, uint64_t f) { CHECK(!(f & ~card->offers)); }
static uint32_t generation(struct virtio_dev *dev) { return 3; }

static uint32_t config(struct virtio_dev *dev, unsigned off, unsigned size)
{
    CHECK((off < 8 && size == 1) || (off == 8 && size == 4));
    return off < 8 ? (uint8_t)(card->capacity >> 8 * off) : card->size_max;
}

static uint16_t queue_max(struct virtio_dev *dev, uint16_t i) { return i == 0 ? card->ring : 0; }

static bool queue_start(struct virtio_dev *dev, struct virtq *q, int irq)
{
    CHECK(irq == 0 && q->index == 0);
    card->q = q;
    q->doorbell = (mmio_t *)&card->doorbell;
    return true;
}

// The device does not wait for its queues before it interrupts.
static unsigned irqs_start(struct virtio_dev *dev, unsigned n)
{
    n = MIN(n, card->vectors);
    for (unsigned i = 0; i < n; i++)
        dev->irqs[i].fn(dev->irqs[i].arg);
    return n;
}

static const struct virtio_ops ops = {
    get_status, set_status, get_features, set_features, config, generation,
    queue_max, queue_start, irqs_start,
};

static void config_changed(void)
{
    card->dev.config_irq.fn(card->dev.config_irq.arg);
}

// Does what the request says; returns how many bytes it writes into the driver's memory.
static uint32_t execute(uint16_t head)
{
    struct vring_desc *d = &card->q->desc[head];
    CHECK(d->len == 16 && d->flags == VRING_DESC_NEXT);
    struct { uint32_t type, reserved; uint64_t sector; } h;
    memcpy(&h, (void *)(uintptr_t)d->addr, sizeof h);
    d = &card->q->desc[d->next];
    uint32_t n = 0, written = 1;
    uint8_t status = 0;
    struct vring_desc *data = d;
    if (d->flags & VRING_DESC_NEXT) {
        n = d->len;
        CHECK(n % BLK_SECTOR == 0 && n > 0 && h.sector + n / BLK_SECTOR <= SECTORS);
        CHECK(!(card->offers & F_SIZE_MAX) || n <= card->size_max);
        d = &card->q->desc[d->next];
    }
    CHECK(d->len == 1 && d->flags == VRING_DESC_WRITE);
    uint64_t last = h.sector + n / BLK_SECTOR;
    if (n && h.sector <= BAD_SECTOR && last > BAD_SECTOR) {
        status = 1;
    } else if (h.type == 0) {
        CHECK(data->flags & VRING_DESC_WRITE);
        memcpy((void *)(uintptr_t)data->addr, card->data[h.sector], n);
        written += n;
    } else if (h.type == 1) {
        CHECK(!(data->flags & VRING_DESC_WRITE) && !(card->offers & F_RO));
        memcpy(card->data[h.sector], (void *)(uintptr_t)data->addr, n);
    } else {
        CHECK(h.type == 4 && n == 0 && card->offers & F_FLUSH);
        card->flushes++;
    }
    if (card->lie == WRONG_STATUS && card->requests > card->lie_after)
        status = (uint8_t)(2 + sim_below(250));
    *(uint8_t *)(uintptr_t)d->addr = status;
    return written;
}

static void finish(unsigned i, uint16_t *now)
{
    uint16_t head = card->held[i];
    card->held[i] = card->held[--card->n_held];
    card->requests++;
    bool lies = card->requests > card->lie_after;
    uint32_t written = execute(head);
    struct vring_used_elem *e = &card->q->used->ring[(*now)++ & (card->q->size - 1)];
    atomic_store(&e->id, lies && card->lie == WRONG_ID ? (uint32_t)sim_rand() : head);
    atomic_store(&e->len, lies && card->lie == SHORT_READ ? written / 2 : written);
    if (lies && card->lie == TOO_MANY)
        *now = (uint16_t)(*now + 200);
}

static void card_step(void *unused)
{
    if (card->stop)
        return;
    sim_event(sim_now() + 1000 + sim_below(200000), card_step, NULL);
    struct virtq *q = card->q;
    if (!q || !(card->status & VIRTIO_DRIVER_OK) || card->status & VIRTIO_FAILED)
        return;
    while (card->n_held < 64 && card->seen != atomic_load(&q->avail->idx) && sim_below(4))
        card->held[card->n_held++] = atomic_load(&q->avail->ring[card->seen++ & (q->size - 1)]);
    if (card->lie == BREAKS && card->requests > card->lie_after) {
        if (!(card->status & VIRTIO_NEEDS_RESET)) {
            card->status |= VIRTIO_NEEDS_RESET;
            config_changed();
        }
        return;
    }
    uint16_t before = card->used, now = before;
    while (card->n_held && sim_below(5))
        finish(sim_below(card->n_held), &now);
    if (now == before)
        return;
    card->used = now;
    atomic_store(&q->used->idx, now);
    bool wanted = q->event_idx ? (uint16_t)(now - atomic_load(q->used_event) - 1) <
                                     (uint16_t)(now - before)
                               : !(atomic_load(&q->avail->flags) & VRING_AVAIL_NO_INTERRUPT);
    if (wanted)
        card->dev.irqs[0].fn(card->dev.irqs[0].arg);
}

static void card_begin(uint64_t offers)
{
    card = calloc(1, sizeof *card);
    *card = (struct card){
        .dev = { .ops = &ops, .name = "virtio card", .type = VIRTIO_TYPE_BLK },
        .offers = offers | VIRTIO_F_VERSION_1, .capacity = SECTORS, .size_max = 3000,
        .vectors = 1, .ring = 128, .lie_after = 40,
    };
    sim_event(sim_now(), card_step, NULL);
}

// The test.

static struct blk *disk;
static unsigned running, errors, successes;

static uint8_t value(uint64_t sector, uint8_t version)
{
    return (uint8_t)(sector * 7 + version * 31 + 1);
}

static void worker(void *arg)
{
    uint64_t base = (uintptr_t)arg * REGION;
    static uint8_t version[WORKERS][REGION];
    uint8_t *mine = version[(uintptr_t)arg], *buf = malloc(PIECE_MAX * BLK_SECTOR);
    bool sure = true; // no write has failed, so what stands there is known
    for (unsigned round = 0; round < 60; round++) {
        uint32_t sector = sim_below(REGION), n = 1 + sim_below(PIECE_MAX);
        n = MIN(n, REGION - sector);
        bool writes = sim_below(2) && !blk_read_only(disk);
        for (uint32_t s = 0; writes && s < n; s++)
            memset(buf + s * BLK_SECTOR, value(base + sector + s, ++mine[sector + s]), BLK_SECTOR);
        int r = writes ? blk_write(disk, (base + sector) * BLK_SECTOR, buf, n * BLK_SECTOR)
                       : blk_read(disk, (base + sector) * BLK_SECTOR, buf, n * BLK_SECTOR);
        if (r != 0) {
            CHECK(r == -1 && (errno == EIO || (errno == ENOMEM && sim_opt.heap_fail_ppm)));
            errors++;
            sure = sure && !writes;
            continue;
        }
        successes++;
        for (uint32_t s = 0; !writes && sure && s < n; s++) {
            uint8_t v = mine[sector + s];
            for (uint32_t i = 0; i < BLK_SECTOR; i++)
                CHECK_EQ(buf[s * BLK_SECTOR + i], v ? value(base + sector + s, v) : 0);
        }
        if (sim_below(8) == 0)
            blk_flush(disk);
    }
    free(buf);
    running--;
}

static void work(void)
{
    running = WORKERS;
    for (uintptr_t i = 0; i < WORKERS; i++)
        CHECK(go(worker, (void *)i) == 0);
    while (running)
        time_sleep(100000);
}

static void traffic(void *arg)
{
    uint64_t offers = *(uint64_t *)arg;
    card_begin(offers);
    virtio_blk_probe(&card->dev);
    disk = blk_open("blk0");
    CHECK(disk && blk_size(disk) == SECTORS * BLK_SECTOR);
    work();
    CHECK(errors == 0);
    uint8_t buf[BLK_SECTOR * 3];
    CHECK(blk_read(disk, BAD_SECTOR * BLK_SECTOR, buf, BLK_SECTOR) == -1 && errno == EIO);
    CHECK(blk_read(disk, (BAD_SECTOR + 1) * BLK_SECTOR, buf, sizeof buf) == 0);
    unsigned flushed = card->flushes;
    CHECK(blk_flush(disk) == 0 && card->flushes == flushed + !!(offers & F_FLUSH));
    CHECK(blk_read(disk, SECTORS * BLK_SECTOR, buf, BLK_SECTOR) == -1 && errno == ENXIO);
    card->capacity = SECTORS - 8;
    config_changed();
    sim_settle(10000000);
    CHECK(blk_size(disk) == (SECTORS - 8) * BLK_SECTOR);
    sim_opt.heap_fail_ppm = 300000;
    work();
    card->stop = true;
}

static void lies(void *arg)
{
    uint64_t offers = *(uint64_t *)arg;
    enum lie lie = (enum lie)(1 + sim_opt.seed % (LIES - 1));
    card_begin(offers & ~F_RO);
    card->lie = lie;
    virtio_blk_probe(&card->dev);
    disk = blk_open("blk0");
    CHECK(disk);
    work(); // everybody comes back
    CHECK(errors > 0 && successes > 0);
    if (lie == WRONG_ID || lie == TOO_MANY || lie == BREAKS) {
        CHECK(card->status & VIRTIO_FAILED);
        uint16_t shown = atomic_load(&card->q->avail->idx);
        uint8_t buf[BLK_SECTOR];
        CHECK(blk_read(disk, 0, buf, sizeof buf) == -1 && errno == EIO);
        CHECK(blk_flush(disk) == -1 && errno == EIO);
        CHECK(atomic_load(&card->q->avail->idx) == shown);
    } else {
        CHECK(!(card->status & VIRTIO_FAILED));
    }
    card->stop = true;
}

static void refusals(void *arg)
{
    (void)arg;
    for (unsigned way = 0; way < 4; way++) {
        card_begin(F_SIZE_MAX);
        switch (way) {
        case 0: card->offers = F_SIZE_MAX; break; // legacy
        case 1: card->size_max = 511; break;
        case 2: card->vectors = 0; break;
        case 3: card->ring = 2; break;
        }
        virtio_blk_probe(&card->dev);
        CHECK(!blk_open("blk0") && errno == ENOENT && card->status & VIRTIO_FAILED);
        card->stop = true;
        sim_settle(1000000);
    }
}

struct one {
    void (*fn)(void *);
    uint64_t offers, seed;
};

static void run_one(void *arg)
{
    struct one *o = arg;
    struct sim_options opt = { .seed = o->seed, .cores = 3, .limit_ns = 600000000000ll };
    sim_run(&opt, o->fn, &o->offers);
}

int main(int argc, char **argv)
{
    static void (*const tests[])(void *) = { traffic, lies, refusals };
    static const uint64_t offers[] = {
        0, VIRTIO_F_EVENT_IDX | F_FLUSH, F_SIZE_MAX | F_FLUSH, VIRTIO_F_EVENT_IDX | F_RO,
    };
    uint64_t only = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    unsigned failures = 0, runs = 0;
    for (size_t t = 0; t < ARRAY_LEN(tests); t++)
        for (size_t i = 0; i < ARRAY_LEN(offers); i++)
            for (uint64_t seed = only ? only : 1; seed <= (only ? only : 10); seed++, runs++) {
                struct one o = { tests[t], offers[i], seed };
                failures += !sim_case("virtio-blk", seed, 60, run_one, &o);
            }
    printf("virtio-blk: %u runs against a simulated disk: %u failures\n", runs, failures);
    return failures != 0;
}
