// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=drivers/virtq.c cflags="-fsanitize=address,undefined -DHOSTILE=0 -DDEBUG=1"
// timeout=120
//
// The virtqueue against a device played here from the other side of the ring: every buffer comes
// back once and intact while both indexes wrap many times; a doorbell or an interrupt left out is
// never one that was needed; a full ring recovers; a device that lies is put out of action and
// nothing is overwritten. At the end driver and device are two threads that really sleep, so that
// a lost wake-up hangs.

#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drivers/virtio.h"
#include "drivers/virtq.h"
#include "kernel/heap.h"
#include "kernel/page.h"

uintptr_t direct_map_base; // addresses are addresses
static int failures;
static unsigned given_up;

#define CHECK(cond)                                                   \
    do {                                                              \
        if (!(cond) && failures++ < 20)                               \
            printf("%s:%d: not so: %s\n", __func__, __LINE__, #cond); \
    } while (0)

void *page_alloc_zeroed(unsigned order)
{
    size_t n = PAGE_SIZE << order;
    void *p = aligned_alloc(PAGE_SIZE, n);
    return p ? memset(p, 0, n) : NULL;
}

void page_free(void *p, unsigned order)
{
    (void)order;
    free(p);
}

void *heap_zalloc(size_t n)
{
    return calloc(1, n);
}

void heap_free(void *p)
{
    free(p);
}

void virtio_fail(struct virtio_dev *dev, const char *fmt, ...)
{
    char why[128];
    va_list ap;
    (void)dev;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    given_up++;
}

static uint64_t random_state = 88172645463325252ull;

static uint32_t below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 11) % n;
}

// The device.

struct device {
    struct virtq *q; // only for the addresses and the size the transport would have told it
    uint16_t seen;   // of the available ring
    uint16_t used;
    bool asleep;
    uint16_t held[1024]; // heads taken and not yet returned
    unsigned n_held;
};

static bool device_take(struct device *d)
{
    struct virtq *q = d->q;
    // pairs: VIRTQ-AVAIL
    uint16_t idx = atomic_load_explicit(&q->avail->idx, memory_order_acquire);
    if (idx == d->seen)
        return false;
    d->held[d->n_held++] = atomic_load(&q->avail->ring[d->seen % q->size]);
    d->seen++;
    return true;
}

// Asks for a doorbell and looks again; true: it may sleep.
static bool device_sleep(struct device *d)
{
    struct virtq *q = d->q;
    if (q->event_idx)
        atomic_store_explicit(q->avail_event, d->seen, memory_order_relaxed);
    else
        atomic_store_explicit(&q->used->flags, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); // pairs: VIRTQ-DOORBELL
    return atomic_load_explicit(&q->avail->idx, memory_order_relaxed) == d->seen;
}

static void device_awake(struct device *d)
{
    if (!d->q->event_idx)
        atomic_store_explicit(&d->q->used->flags, VRING_USED_NO_NOTIFY, memory_order_relaxed);
}

// Returns the i-th held buffer: reads what is to be read, answers its sum, counts what it wrote.
// True if the driver wants an interrupt.
static bool device_return(struct device *d, unsigned i)
{
    struct virtq *q = d->q;
    uint16_t head = d->held[i];
    d->held[i] = d->held[--d->n_held];
    uint32_t sum = 0, written = 0;
    for (uint16_t id = head;; id = q->desc[id].next) {
        uint8_t *p = (uint8_t *)(uintptr_t)q->desc[id].addr;
        for (uint32_t k = 0; k < q->desc[id].len; k++) {
            if (q->desc[id].flags & VRING_DESC_WRITE)
                p[k] = (uint8_t)(sum + written++);
            else
                sum += p[k];
        }
        if (!(q->desc[id].flags & VRING_DESC_NEXT))
            break;
    }
    struct vring_used_elem *e = &q->used->ring[d->used % q->size];
    atomic_store_explicit(&e->id, head, memory_order_relaxed);
    atomic_store_explicit(&e->len, written, memory_order_relaxed);
    d->used++;
    // pairs: VIRTQ-USED
    atomic_store_explicit(&q->used->idx, d->used, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); // pairs: VIRTQ-IRQ
    if (q->event_idx)
        return (uint16_t)(d->used - atomic_load(q->used_event) - 1) < 1;
    return !(atomic_load(&q->avail->flags) & VRING_AVAIL_NO_INTERRUPT);
}

// The driver.

struct buffer {
    uint8_t out[2][24], in[2][24];
    unsigned n_out, n_in;
    uint32_t len[4];
    uint32_t sum;
    bool out_there;
};

static unsigned fill(struct buffer *b, struct virtq_seg *seg)
{
    unsigned n = 0;
    b->sum = 0;
    b->n_out = below(3);
    b->n_in = b->n_out ? below(3) : 1 + below(2);
    for (unsigned i = 0; i < b->n_out; i++) {
        uint32_t len = 1 + below(24);
        for (uint32_t k = 0; k < len; k++)
            b->sum += b->out[i][k] = (uint8_t)below(256);
        seg[n++] = (struct virtq_seg){ (uintptr_t)b->out[i], len, false };
    }
    for (unsigned i = 0; i < b->n_in; i++) {
        b->len[i] = 1 + below(24);
        seg[n++] = (struct virtq_seg){ (uintptr_t)b->in[i], b->len[i], true };
    }
    b->out_there = true;
    return n;
}

static void check_back(struct buffer *b, uint32_t len)
{
    uint32_t written = 0;
    CHECK(b->out_there);
    b->out_there = false;
    for (unsigned i = 0; i < b->n_in; i++)
        for (uint32_t k = 0; k < b->len[i]; k++)
            CHECK(b->in[i][k] == (uint8_t)(b->sum + written++));
    CHECK(len == written);
}

static struct buffer *idle_buffer(struct buffer *all, unsigned n)
{
    for (unsigned tries = 0; tries < n; tries++) {
        struct buffer *b = &all[below(n)];
        if (!b->out_there)
            return b;
    }
    return NULL;
}

// One thread plays both, in random turns. It knows who sleeps, so a missing wake-up shows at once.

struct turns {
    struct virtq q;
    struct device d;
    struct buffer *all;
    bool driver_asleep, full;
    unsigned rounds, sent, back, doorbells, interrupts;
};

static void turn_send(struct turns *t)
{
    struct virtq *q = &t->q;
    for (unsigned i = below(q->size) + 1; i && t->sent < t->rounds; i--) {
        struct buffer *b = idle_buffer(t->all, q->size);
        struct virtq_seg seg[4];
        if (!b)
            break;
        unsigned n = fill(b, seg);
        if (!virtq_add(q, seg, n, b)) {
            CHECK(n > q->free_count);
            b->out_there = false;
            t->full = true;
            break;
        }
        t->sent++;
    }
    if (virtq_must_notify(q)) {
        t->doorbells++;
        t->d.asleep = false;
        device_awake(&t->d);
    }
    CHECK(!t->d.asleep || atomic_load(&q->avail->idx) == t->d.seen);
}

static void turn_return(struct turns *t)
{
    if (device_return(&t->d, below(t->d.n_held))) {
        t->interrupts += t->driver_asleep;
        t->driver_asleep = false;
    }
}

static void turn_device(struct turns *t)
{
    struct device *d = &t->d;
    if (d->asleep) { // what it has, it finishes all the same
        while (d->n_held && below(4))
            turn_return(t);
        return;
    }
    for (unsigned i = below(t->q.size); i && device_take(d); i--)
        ;
    for (unsigned i = below(t->q.size + 1u); i && d->n_held; i--)
        turn_return(t);
    if (below(2))
        d->asleep = device_sleep(d);
    CHECK(!t->driver_asleep || !virtq_ready(&t->q));
}

static void turn_receive(struct turns *t)
{
    if (t->driver_asleep)
        return;
    virtq_irq_mask(&t->q);
    uint32_t len;
    struct buffer *b;
    while ((b = virtq_get(&t->q, &len)) != NULL) {
        check_back(b, len);
        t->back++;
    }
    t->driver_asleep = !virtq_irq_on(&t->q, 1);
    CHECK(!t->driver_asleep || !virtq_ready(&t->q));
}

static void test_turns(uint16_t size, bool event_idx, unsigned rounds)
{
    struct turns t = { .rounds = rounds, .all = calloc(size, sizeof *t.all) };
    CHECK(virtq_init(&t.q, 0, size, event_idx));
    t.d.q = &t.q;
    while (t.back < rounds && !failures) {
        switch (below(3)) {
        case 0: turn_send(&t); break;
        case 1: turn_device(&t); break;
        default: turn_receive(&t); break;
        }
        if (t.d.asleep && t.d.n_held == 0 && t.driver_asleep)
            CHECK(virtq_in_flight(&t.q) == 0);
    }
    CHECK(t.sent == rounds && virtq_in_flight(&t.q) == 0 && t.q.free_count == size);
    CHECK(t.full && !t.q.broken);
    CHECK(t.doorbells < t.sent && t.interrupts < t.back);
    virtq_free(&t.q);
    free(t.all);
}

// An interrupt wanted after `after` buffers comes with that one, not before and not later.
static void test_after(bool event_idx)
{
    for (unsigned after = 1; after <= 64 && event_idx; after++) {
        struct virtq q;
        static uint8_t byte;
        struct virtq_seg seg = { (uintptr_t)&byte, 1, false };
        CHECK(virtq_init(&q, 0, 64, event_idx));
        struct device d = { .q = &q };
        for (unsigned i = 0; i < 64; i++)
            CHECK(virtq_add(&q, &seg, 1, &byte));
        CHECK(!virtq_add(&q, &seg, 1, &byte));
        CHECK(!virtq_irq_on(&q, (uint16_t)after));
        while (device_take(&d))
            ;
        for (unsigned i = 1; i <= 64; i++)
            CHECK(device_return(&d, 0) == (i == after));
        CHECK(virtq_irq_on(&q, (uint16_t)after));
        uint32_t len;
        for (unsigned i = 0; i < 64; i++)
            CHECK(virtq_get(&q, &len) == &byte);
        CHECK(!virtq_irq_on(&q, 1));
        virtq_irq_off(&q);
        CHECK(virtq_add(&q, &seg, 1, &byte) && device_take(&d) && !device_return(&d, 0));
        virtq_free(&q);
    }
}

// Lies.

static struct virtq lied;
static uint8_t memory[8][32];

static void lie_begin(void)
{
    CHECK(virtq_init(&lied, 0, 8, true));
    given_up = 0;
    for (unsigned i = 0; i < 4; i++) {
        struct virtq_seg seg = { (uintptr_t)memory[i], 32, true };
        CHECK(virtq_add(&lied, &seg, 1, memory[i]));
    }
}

static void say(unsigned at, uint32_t id, uint32_t len)
{
    atomic_store(&lied.used->ring[at % 8].id, id);
    atomic_store(&lied.used->ring[at % 8].len, len);
}

static void lie_end(unsigned good)
{
    uint32_t len;
    for (unsigned i = 0; i < good; i++)
        CHECK(virtq_get(&lied, &len) != NULL && given_up == 0);
    CHECK(virtq_get(&lied, &len) == NULL && given_up == 1 && lied.broken);
    CHECK(virtq_get(&lied, &len) == NULL && given_up == 1);
    struct virtq_seg seg = { (uintptr_t)memory[7], 32, true };
    CHECK(!virtq_add(&lied, &seg, 1, memory[7]) && !virtq_must_notify(&lied));
    unsigned n = 0;
    while (virtq_reclaim(&lied))
        n++;
    CHECK(n == 4 - good && virtq_in_flight(&lied) == 0);
    virtq_free(&lied);
}

static void test_lies(void)
{
    static const uint16_t jumps[] = { 5, 8, 9, 255, 32768, 65535 };
    for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
        lie_begin();
        atomic_store(&lied.used->idx, jumps[i]);
        lie_end(0);
    }
    static const uint32_t ids[] = { 4, 7, 8, 9, 65535, 65536, 0x80000000, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        lie_begin();
        say(0, 2, 32);
        say(1, ids[i], 32);
        atomic_store(&lied.used->idx, 2);
        lie_end(1);
    }
    lie_begin(); // the same buffer twice
    say(0, 2, 32);
    say(1, 2, 32);
    atomic_store(&lied.used->idx, 2);
    lie_end(1);
    lie_begin(); // more than fits
    say(0, 1, 33);
    atomic_store(&lied.used->idx, 1);
    lie_end(0);
    lie_begin(); // the index goes backwards
    say(0, 1, 1);
    say(1, 2, 1);
    atomic_store(&lied.used->idx, 2);
    uint32_t len;
    CHECK(virtq_get(&lied, &len) && virtq_get(&lied, &len));
    atomic_store(&lied.used->idx, 1);
    CHECK(!virtq_get(&lied, &len) && given_up == 1);
    virtq_free(&lied);

    // Anything at all in the used ring, again and again.
    for (unsigned run = 0; run < 20000; run++) {
        lie_begin();
        for (unsigned i = 0; i < 8; i++)
            say(i, below(2) ? below(8) : (uint32_t)random_state, below(2) ? below(34) : 32);
        atomic_store(&lied.used->idx, (uint16_t)(below(2) ? below(5) : below(65536)));
        while (virtq_get(&lied, &len))
            ;
        unsigned n = lied.size - lied.free_count;
        while (virtq_reclaim(&lied))
            n--;
        CHECK(n == 0 && lied.free_count == 8);
        virtq_free(&lied);
    }
    given_up = 0;
}

// Two threads that sleep.

struct pair {
    struct virtq q;
    sem_t doorbell, interrupt;
    unsigned rounds;
    bool event_idx;
};

static void wait_for(sem_t *s, const char *who)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 20;
    while (sem_timedwait(s, &limit) != 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        if (now.tv_sec >= limit.tv_sec) {
            printf("the %s sleeps for ever: a wake-up was lost\n", who);
            exit(1);
        }
    }
}

static void *device_thread(void *arg)
{
    struct pair *p = arg;
    struct device d = { .q = &p->q };
    unsigned done = 0;
    while (done < p->rounds) {
        device_awake(&d);
        while (device_take(&d)) {
            if (device_return(&d, 0))
                sem_post(&p->interrupt);
            done++;
        }
        if (done < p->rounds && device_sleep(&d))
            wait_for(&p->doorbell, "device");
    }
    return NULL;
}

static void test_threads(bool event_idx, unsigned rounds)
{
    struct pair p = { .rounds = rounds, .event_idx = event_idx };
    static uint8_t byte[4];
    pthread_t thread;
    uint32_t len;
    CHECK(virtq_init(&p.q, 0, 16, event_idx));
    sem_init(&p.doorbell, 0, 0);
    sem_init(&p.interrupt, 0, 0);
    pthread_create(&thread, NULL, device_thread, &p);
    unsigned sent = 0, back = 0;
    while (back < rounds) {
        virtq_irq_mask(&p.q);
        while (virtq_get(&p.q, &len))
            back++;
        struct virtq_seg seg = { (uintptr_t)byte, sizeof byte, false };
        for (unsigned i = below(16) + 1; i && sent < rounds && virtq_add(&p.q, &seg, 1, byte); i--)
            sent++;
        if (virtq_must_notify(&p.q))
            sem_post(&p.doorbell);
        uint16_t after = (uint16_t)(1 + (event_idx ? virtq_in_flight(&p.q) / 2 : 0));
        if (back < rounds && virtq_in_flight(&p.q) && !virtq_irq_on(&p.q, after))
            wait_for(&p.interrupt, "driver");
    }
    pthread_join(thread, NULL);
    CHECK(!p.q.broken && virtq_in_flight(&p.q) == 0);
    virtq_free(&p.q);
}

int main(void)
{
    for (int event_idx = 0; event_idx < 2; event_idx++) {
        test_turns(4, event_idx, 70000);
        test_turns(64, event_idx, 200000);
        test_turns(256, event_idx, 300000);
        test_after(event_idx);
        test_threads(event_idx, 200000);
    }
    test_lies();
    CHECK(given_up == 0);
    printf("virtqueue: turns, wrap-around, full ring, lies, two threads: %d failures\n", failures);
    return failures != 0;
}
