// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=drivers/virtio.c,drivers/virtq.c,drivers/virtio_net*.c,net/pbuf.c,tests/host/sim/s*.c
// test: cflags=-fsanitize=address,undefined timeout=240
//
// The network driver against a simulated card, in the simulated world: frames of all sizes both
// ways at once, merged buffers, one and several queues, transmit rings that stay full for long,
// memory that runs out, doorbells and interrupts that come only when they were asked for, a card
// that lies and cards that are to be refused. Every frame accepted arrives once, whole and in
// order; at the end every buffer is back where it belongs.

#include <stdlib.h>
#include <string.h>

#include <heddle/go.h>
#include <heddle/time.h>

#include "drivers/drivers.h"
#include "drivers/virtio_net.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "sched/sched.h"
#include "tests/host/sim/sim.h"

uintptr_t direct_map_base; // addresses are addresses
struct sched sched;
unsigned eth_count;

void *page_alloc_zeroed(unsigned order)
{
    if (sim_chance(sim_opt.heap_fail_ppm))
        return NULL;
    size_t n = PAGE_SIZE << order;
    return memset(aligned_alloc(PAGE_SIZE, n), 0, n);
}

void page_free(void *p, unsigned order)
{
    (void)order;
    free(p);
}

// The card.

#define MAX_QUEUES 9
#define NO_DOORBELL 0xffff
#define MAC_BYTES "\x52\x54\x00\x12\x34\x56"

static struct card {
    struct virtio_dev dev;
    uint64_t offers;
    uint8_t status;
    bool refuses_features;
    unsigned vectors; // interrupts it has
    uint16_t max_pairs, ring, link, pairs_on;
    struct virtq *q[MAX_QUEUES];
    int irq[MAX_QUEUES];
    uint16_t doorbell[MAX_QUEUES], seen[MAX_QUEUES], used[MAX_QUEUES];
    bool asleep[MAX_QUEUES]; // waits for a doorbell
    bool stop;
    unsigned lazy_ppm;     // chance that a step does nothing
    unsigned merge_ppm;    // chance that a frame is spread over small pieces
    unsigned interrupts;
    bool lies;
    uint32_t to_send;      // frames still to come from the wire
    uint32_t next_frame;   // number of the next
} card;

static uint8_t get_status(struct virtio_dev *dev) { return card.status; }

static void set_status(struct virtio_dev *dev, uint8_t status)
{
    if (status == 0)
        memset(card.q, 0, sizeof card.q);
    if (card.refuses_features)
        status &= (uint8_t)~VIRTIO_FEATURES_OK;
    card.status = status;
}

static uint64_t get_features(struct virtio_dev *dev) { return card.offers; }
static void set_features(struct virtio_dev *dev, uint64_t f) { CHECK(!(f & ~card.offers)); }
static uint32_t generation(struct virtio_dev *dev) { return 7; }

static uint32_t config(struct virtio_dev *dev, unsigned off, unsigned size)
{
    CHECK(size == (off < 6 ? 1 : 2));
    if (off < 6)
        return (uint8_t)MAC_BYTES[off];
    return off == 6 ? card.link : off == 8 ? card.max_pairs : 1500;
}

static uint16_t queue_max(struct virtio_dev *dev, uint16_t i)
{
    return i <= 2 * card.max_pairs ? card.ring : 0;
}

static bool queue_start(struct virtio_dev *dev, struct virtq *q, int irq)
{
    CHECK(q->index < MAX_QUEUES && !card.q[q->index]);
    card.q[q->index] = q;
    card.irq[q->index] = irq;
    card.doorbell[q->index] = NO_DOORBELL;
    card.seen[q->index] = card.used[q->index] = 0;
    card.asleep[q->index] = true;
    q->doorbell = (mmio_t *)&card.doorbell[q->index];
    return true;
}

// The device does not wait for its queues before it interrupts.
static unsigned irqs_start(struct virtio_dev *dev, unsigned n)
{
    n = MIN(n, card.vectors);
    for (unsigned i = 0; i < n; i++)
        dev->irqs[i].fn(dev->irqs[i].arg);
    return n;
}

static const struct virtio_ops ops = {
    get_status, set_status, get_features, set_features, config, generation,
    queue_max, queue_start, irqs_start,
};

// A frame of the test: Ethernet header, number, length, then bytes that follow from the number.
enum { FRAME_LEAST = 22, FRAME_MOST = 1514, HUGE_MOST = 6000 };

static void frame_make(uint8_t *f, uint32_t number, uint32_t len)
{
    memset(f, 0x11, 14);
    memcpy(f + 14, &number, 4);
    memcpy(f + 18, &len, 4);
    for (uint32_t i = FRAME_LEAST; i < len; i++)
        f[i] = (uint8_t)(number * 31 + i * 7);
}

static uint32_t frame_check(const uint8_t *f, uint32_t n)
{
    uint32_t number, len;
    CHECK(n >= FRAME_LEAST);
    memcpy(&number, f + 14, 4);
    memcpy(&len, f + 18, 4);
    CHECK_EQ(len, n);
    for (uint32_t i = FRAME_LEAST; i < len; i++)
        CHECK_EQ(f[i], (uint8_t)(number * 31 + i * 7));
    return number;
}

static bool card_take(unsigned i, uint16_t *head)
{
    struct virtq *q = card.q[i];
    if (card.asleep[i]) {
        if (card.doorbell[i] == NO_DOORBELL)
            return false;
        CHECK(card.status & VIRTIO_DRIVER_OK);
        CHECK_EQ(card.doorbell[i], i);
        card.doorbell[i] = NO_DOORBELL;
        card.asleep[i] = false;
        if (!q->event_idx)
            atomic_store(&q->used->flags, VRING_USED_NO_NOTIFY);
    }
    if (atomic_load(&q->avail->idx) == card.seen[i]) {
        if (q->event_idx)
            atomic_store(q->avail_event, card.seen[i]);
        else
            atomic_store(&q->used->flags, 0);
        card.asleep[i] = true;
        card.doorbell[i] = NO_DOORBELL;
        return false;
    }
    *head = atomic_load(&q->avail->ring[card.seen[i]++ & (q->size - 1)]);
    return true;
}

static void card_return(unsigned i, uint16_t head, uint32_t len)
{
    struct virtq *q = card.q[i];
    struct vring_used_elem *e = &q->used->ring[card.used[i] & (q->size - 1)];
    atomic_store(&e->id, card.lies ? (uint32_t)sim_rand() : head);
    atomic_store(&e->len, len);
    card.used[i]++;
}

// Shows what was returned since `before`, and interrupts if that is wanted.
static void card_show(unsigned i, uint16_t before)
{
    struct virtq *q = card.q[i];
    uint16_t now = card.used[i];
    if (now == before)
        return;
    atomic_store(&q->used->idx, now);
    bool wanted = q->event_idx ? (uint16_t)(now - atomic_load(q->used_event) - 1) <
                                     (uint16_t)(now - before)
                               : !(atomic_load(&q->avail->flags) & VRING_AVAIL_NO_INTERRUPT);
    if (wanted && card.irq[i] >= 0) {
        card.interrupts++;
        card.dev.irqs[card.irq[i]].fn(card.dev.irqs[card.irq[i]].arg);
    }
}

static void (*wire)(const uint8_t *frame, uint32_t len, const struct virtio_net_hdr *hdr);

static void card_transmit(unsigned i)
{
    uint16_t head, before = card.used[i];
    for (unsigned n = sim_below(40); n && card_take(i, &head); n--) {
        static uint8_t all[HUGE_MOST + 12];
        uint32_t len = 0;
        for (uint16_t id = head;; id = card.q[i]->desc[id].next) {
            struct vring_desc *d = &card.q[i]->desc[id];
            CHECK(!(d->flags & VRING_DESC_WRITE) && len + d->len <= sizeof all);
            memcpy(all + len, (void *)(uintptr_t)d->addr, d->len);
            len += d->len;
            if (!(d->flags & VRING_DESC_NEXT))
                break;
        }
        wire(all + 12, len - 12, (struct virtio_net_hdr *)all);
        card_return(i, head, 0);
    }
    card_show(i, before);
}

static void card_receive(unsigned i)
{
    static uint8_t f[HUGE_MOST + 12];
    uint16_t before = card.used[i];
    bool merge = virtio_has(&card.dev, VIRTIO_NET_F_MRG_RXBUF);
    for (unsigned n = sim_below(30); n && card.to_send; n--) {
        uint32_t len = FRAME_LEAST + sim_below((merge ? HUGE_MOST : FRAME_MOST) - FRAME_LEAST);
        struct virtio_net_hdr *hdr = (struct virtio_net_hdr *)f;
        *hdr = (struct virtio_net_hdr){ .flags = (uint8_t)sim_below(4) };
        frame_make(f + 12, card.next_frame, len);
        uint32_t off = 0, total = len + 12;
        uint16_t heads[64], saved = card.seen[i];
        uint32_t lens[64];
        unsigned parts = 0;
        while (off < total) {
            if (!card_take(i, &heads[parts]))
                break;
            uint32_t room = card.q[i]->desc[heads[parts]].len;
            if (merge && sim_chance(card.merge_ppm))
                room = MIN(room, 200u);
            lens[parts] = MIN(room, total - off);
            off += lens[parts++];
        }
        if (off < total) { // not enough buffers; it comes later
            card.seen[i] = saved;
            if (parts == 0)
                break;
            card.asleep[i] = false;
            break;
        }
        hdr->num_buffers = (uint16_t)parts;
        for (unsigned k = 0, at = 0; k < parts; at += lens[k++]) {
            struct vring_desc *d = &card.q[i]->desc[heads[k]];
            CHECK(d->flags == VRING_DESC_WRITE);
            memcpy((void *)(uintptr_t)d->addr, f + at, lens[k]);
            card_return(i, heads[k], lens[k]);
        }
        card.next_frame++;
        card.to_send--;
    }
    card_show(i, before);
}

static void card_control(unsigned i)
{
    uint16_t head, before = card.used[i];
    while (card_take(i, &head)) {
        struct vring_desc *d = &card.q[i]->desc[head];
        uint8_t *command = (uint8_t *)(uintptr_t)d->addr;
        CHECK(d->len == 2 && command[0] == 4 && command[1] == 0);
        d = &card.q[i]->desc[d->next];
        memcpy(&card.pairs_on, (void *)(uintptr_t)d->addr, 2);
        d = &card.q[i]->desc[d->next];
        CHECK(d->flags == VRING_DESC_WRITE && d->len == 1);
        *(uint8_t *)(uintptr_t)d->addr = 0;
        card_return(i, head, 1);
    }
    card_show(i, before);
}

static void card_step(void *unused)
{
    if (card.stop)
        return;
    sim_event(sim_now() + 1000 + sim_below(50000), card_step, NULL);
    if (!(card.status & VIRTIO_DRIVER_OK) || sim_chance(card.lazy_ppm))
        return;
    for (unsigned i = 0; i < MAX_QUEUES; i++) {
        if (!card.q[i])
            continue;
        if (i == 2u * card.max_pairs)
            card_control(i);
        else if (i & 1)
            card_transmit(i);
        else if (i < 2u * MAX(card.pairs_on, 1))
            card_receive(i);
    }
}

// The stack.

static struct netdev *dev;
static uint32_t received, expected;
static uint32_t batches;
static bool echo;

static void input(struct netdev *nd, struct pbuf *p)
{
    static uint8_t flat[HUGE_MOST];
    CHECK(p->total <= sizeof flat && pbuf_copy_out(p, 0, flat, p->total));
    CHECK(((uintptr_t)p->data + 14) % 4 == 0);
    uint32_t number = frame_check(flat, p->total);
    if (nd->queues == 1 && nd->rx_dropped == 0)
        CHECK_EQ(number, expected);
    expected = number + 1;
    received++;
    if (echo)
        nd->transmit(nd, p, true);
    else
        pbuf_free(p);
}

static void input_done(struct netdev *nd)
{
    batches++;
    nd->flush(nd);
}

void netdev_register(struct netdev *nd)
{
    dev = nd;
    nd->input = input;
    nd->input_done = input_done;
}

// The test.

struct setup {
    const char *name;
    uint64_t offers;
    unsigned cores, pairs, ring, vectors, heap_fail_ppm, lazy_ppm, merge_ppm, frames;
};

#define ALL_FEATURES                                                                     \
    (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS |  \
     VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM |              \
     VIRTIO_NET_F_MTU | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_MQ)

static void card_begin(const struct setup *s)
{
    card = (struct card){
        .dev = { .ops = &ops, .name = "virtio card", .type = VIRTIO_TYPE_NET },
        .offers = s->offers, .vectors = s->vectors, .max_pairs = (uint16_t)s->pairs,
        .ring = (uint16_t)s->ring, .link = 1, .lazy_ppm = s->lazy_ppm, .merge_ppm = s->merge_ppm,
    };
    sched.n_m = s->cores;
    sim_event(sim_now(), card_step, NULL);
}

static uint32_t sent_next[16], wire_next[16], wire_frames, accepted, refused;
static unsigned senders;
static bool ordered;

// What goroutines send is numbered from 0 with the sender in the upper bits; the rest is echoes.
static void wire_check(const uint8_t *f, uint32_t len, const struct virtio_net_hdr *hdr)
{
    uint32_t number = frame_check(f, len);
    wire_frames++;
    CHECK(hdr->num_buffers == 0 && hdr->gso_type == 0);
    if (number >> 28 == 0)
        return;
    uint32_t who = (number >> 24) & 15, n = number & 0xffffff;
    if (ordered || (who & 1))
        CHECK(n >= wire_next[who]);
    wire_next[who] = n + 1;
    CHECK(!(hdr->flags & NET_HDR_NEEDS_CSUM) == !(n & 1));
    if (n & 1)
        CHECK(hdr->csum_start == 34 && hdr->csum_offset == (n & 7));
}

static void sender(void *arg)
{
    uint32_t who = (uint32_t)(uintptr_t)arg, frames = sent_next[who];
    for (uint32_t n = 0; n < frames; n++) {
        struct pbuf *p = pbuf_alloc();
        if (!p) {
            time_sleep(1000);
            continue;
        }
        p->len = p->total = FRAME_LEAST + sim_below(FRAME_MOST - FRAME_LEAST);
        frame_make(p->data, 1u << 28 | who << 24 | n, p->len);
        if (n & 1) {
            p->flags = PBUF_CSUM_PARTIAL;
            p->csum_start = 34;
            p->csum_offset = n & 7;
        }
        p->queue = who & 1 ? (uint16_t)(who + 1) : 0; // a flow: in order with many queues, too
        bool keep = sim_below(4) == 0;
        if (keep)
            pbuf_ref(p);
        if (dev->transmit(dev, p, sim_below(2)))
            accepted++;
        else
            refused++;
        if (keep) { // TCP keeps what it sent and sets data anew for the next time
            p->data = pbuf_start(p) + PBUF_HEADROOM + 54;
            p->len = 10;
            time_sleep(sim_below(300000));
            pbuf_free(p);
        }
        if (sim_below(50) == 0)
            time_sleep(sim_below(1000000));
    }
    dev->flush(dev);
    senders--;
}

static unsigned posted(void)
{
    struct virtio_net *net = container_of(dev, struct virtio_net, netdev);
    unsigned n = 0;
    for (unsigned i = 0; i < net->pairs; i++)
        n += virtq_in_flight(&net->pair[i].rx.q);
    return n;
}

static void traffic(void *arg)
{
    const struct setup *s = arg;
    wire = wire_check;
    echo = true;
    ordered = s->pairs == 1;
    card_begin(s);
    virtio_net_probe(&card.dev);
    CHECK(dev && dev->transmit && dev->link_up(dev) && !memcmp(dev->mac, MAC_BYTES, 6));
    CHECK_EQ(dev->queues, MIN(MIN(s->pairs, s->cores), s->vectors));
    CHECK(dev->queues == 1 || card.pairs_on == dev->queues);
    time_sleep(1000000);
    size_t objects = sim_heap_objects() - posted();

    sim_opt.heap_fail_ppm = s->heap_fail_ppm;
    card.to_send = s->frames;
    for (unsigned i = 0; i < 6; i++) {
        sent_next[i] = s->frames / 4;
        senders++;
        CHECK(go(sender, (void *)(uintptr_t)i) == 0);
    }
    while (senders || card.to_send)
        time_sleep(1000000);
    sim_opt.heap_fail_ppm = 0;
    time_sleep(50000000); // everything quiet: the last buffers have been fetched
    // Nothing hangs in a ring: one more frame each way goes through at once.
    uint32_t before = received, wired = wire_frames;
    card.to_send = 1;
    time_sleep(5000000);
    CHECK_EQ(received, before + 1);
    CHECK_EQ(wire_frames, wired + 1);
    time_sleep(2100000000);

    uint64_t echoes = received;
    CHECK_EQ(wire_frames + dev->tx_dropped, accepted + refused + echoes);
    CHECK_EQ(dev->tx_packets, wire_frames);
    CHECK_EQ(dev->rx_packets, received);
    CHECK_EQ(received + dev->rx_dropped, s->frames + 1);
    if (s->heap_fail_ppm == 0)
        CHECK_EQ(dev->rx_dropped, 0);
    CHECK_EQ(sim_heap_objects() - posted(), objects);
    CHECK(card.interrupts < received + accepted);
    card.stop = true;
}

// Sending alone: a full ring empties at the card's pace, not at some timer's; a card that does
// nothing for a while does not keep what it was given for ever.
static void drain(void *arg)
{
    const struct setup *s = arg;
    const unsigned frames = HOSTILE ? s->ring + NET_BACKLOG : 600;
    wire = wire_check;
    ordered = s->pairs == 1;
    card_begin(s);
    virtio_net_probe(&card.dev);
    time_sleep(1000000);
    size_t objects = sim_heap_objects() - posted();
    int64_t begin_ns = sim_now();
    for (unsigned i = 0; i < frames; i++) {
        struct pbuf *p = pbuf_alloc();
        p->len = p->total = FRAME_LEAST;
        frame_make(p->data, 1u << 28 | 2 * i, FRAME_LEAST);
        CHECK(dev->transmit(dev, p, false));
    }
    while (wire_frames < frames)
        time_sleep(50000);
    int64_t per_round_ns = 200000000000ll / (1000000 - s->lazy_ppm);
    CHECK(sim_now() - begin_ns < frames / MIN(s->ring / 2, 16) * per_round_ns);
    time_sleep(2100000000);
    CHECK_EQ(sim_heap_objects() - posted(), objects);

    card.lazy_ppm = 1000000;
    for (unsigned i = 0; i < 3; i++) {
        struct pbuf *p = pbuf_alloc();
        p->len = p->total = FRAME_LEAST;
        frame_make(p->data, 1u << 28 | 2 * (frames + i), FRAME_LEAST);
        CHECK(dev->transmit(dev, p, false));
    }
    time_sleep(300000000);
    CHECK_EQ(sim_heap_objects() - posted(), objects + 3);
    card.lazy_ppm = s->lazy_ppm;
    time_sleep(3000000000);
    CHECK_EQ(wire_frames, frames + 3);
    CHECK_EQ(sim_heap_objects() - posted(), objects);
    struct virtio_net *net = container_of(dev, struct virtio_net, netdev);
    for (unsigned i = 0; i < net->pairs; i++)
        CHECK(!net->pair[i].tx.reaping && net->pair[i].tx.waiting == 0);
    card.stop = true;
}

// A card that lies is given up and everything around it goes on.
static void lies(void *arg)
{
    const struct setup *s = arg;
    wire = wire_check;
    card_begin(s);
    virtio_net_probe(&card.dev);
    card.lies = true;
    card.to_send = 1000;
    for (unsigned i = 0; i < 300; i++) {
        struct pbuf *p = pbuf_alloc();
        p->len = p->total = 60;
        frame_make(p->data, 1u << 28 | 2 * i, 60);
        dev->transmit(dev, p, false);
        time_sleep(100000);
    }
    CHECK(virtio_failed(&card.dev) && !dev->link_up(dev) && card.status & VIRTIO_FAILED);
    CHECK(received == 0 && dev->tx_dropped > 100);
    card.stop = true;
}

static void link_changes(void *arg)
{
    wire = wire_check;
    card_begin(arg);
    virtio_net_probe(&card.dev);
    CHECK(dev->link_up(dev));
    card.link = 0;
    card.dev.config_irq.fn(card.dev.config_irq.arg);
    time_sleep(1000000);
    CHECK(!dev->link_up(dev));
    struct pbuf *p = pbuf_alloc();
    p->len = p->total = 60;
    CHECK(!dev->transmit(dev, p, false));
    card.link = 1;
    card.dev.config_irq.fn(card.dev.config_irq.arg);
    time_sleep(1000000);
    CHECK(dev->link_up(dev));
    card.stop = true;
}

// None of these becomes a device, and none harms.
static void refusals(void *arg)
{
    struct setup s = *(struct setup *)arg;
    s.offers &= ~VIRTIO_F_VERSION_1;
    card_begin(&s);
    virtio_net_probe(&card.dev);
    CHECK(!dev && card.status & VIRTIO_FAILED);
    s.offers |= VIRTIO_F_VERSION_1;

    card_begin(&s);
    card.refuses_features = true;
    virtio_net_probe(&card.dev);
    CHECK(!dev && card.status & VIRTIO_FAILED);

    card_begin(&s);
    card.vectors = 0;
    virtio_net_probe(&card.dev);
    CHECK(!dev && card.status & VIRTIO_FAILED);

    card_begin(&s);
    card.ring = 0;
    virtio_net_probe(&card.dev);
    CHECK(!dev && card.status & VIRTIO_FAILED);

    for (unsigned i = 0; i < 200 && !dev; i++) { // memory runs out somewhere on the way
        card_begin(&s);
        sim_opt.heap_fail_ppm = 60000;
        virtio_net_probe(&card.dev);
        sim_opt.heap_fail_ppm = 0;
    }
    card.stop = true;
}

struct one {
    const struct setup *s;
    void (*fn)(void *);
    uint64_t seed;
};

static void run_one(void *arg)
{
    struct one *o = arg;
    struct sim_options opt = { .seed = o->seed, .cores = o->s->cores, .limit_ns = 600000000000ll };
    sim_run(&opt, o->fn, (void *)o->s);
}

int main(int argc, char **argv)
{
    static const uint64_t plain = VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MAC;
    static const struct setup setups[] = {
        { "everything", ALL_FEATURES, 2, 1, 256, 9, 0, 0, 100000, 3000 },
        { "no event index", ALL_FEATURES & ~VIRTIO_F_EVENT_IDX, 2, 1, 256, 9, 0, 0, 100000, 3000 },
        { "plain", plain, 1, 1, 256, 1, 0, 0, 0, 3000 },
        { "queues", ALL_FEATURES, 4, 4, 256, 9, 0, 100000, 0, 3000 },
        { "few vectors", ALL_FEATURES, 4, 4, 64, 2, 0, 100000, 50000, 3000 },
        { "small rings", ALL_FEATURES, 3, 1, 32, 9, 0, 500000, 300000, 3000 },
        { "tiny rings", ALL_FEATURES, 2, 1, 8, 9, 0, 950000, 0, 1500 },
        { "little memory", ALL_FEATURES, 2, 1, 64, 9, 300000, 0, 100000, 3000 },
        { "little memory, plain", plain, 3, 1, 64, 1, 500000, 300000, 0, 2000 },
    };
    uint64_t only = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    unsigned failures = 0, runs = 0;
    for (size_t i = 0; i < ARRAY_LEN(setups); i++) {
        static void (*const tests[])(void *) = {
            traffic, drain, lies, link_changes, refusals,
        };
        for (uint64_t seed = only ? only : 1; seed <= (only ? only : 3); seed++) {
            for (size_t t = 0; t < ARRAY_LEN(tests); t++, runs++) {
                bool has_link = setups[i].offers & VIRTIO_NET_F_STATUS;
                struct one o = { &setups[i], tests[t], seed };
                if (tests[t] != link_changes || has_link)
                    failures += !sim_case(setups[i].name, seed, 60, run_one, &o);
            }
        }
    }
    printf("virtio-net: %u runs against a simulated card: %u failures\n", runs, failures);
    return failures != 0;
}
