// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=drivers/e1000e*.c,net/pbuf.c,tests/host/sim/s*.c
// test: cflags=-fsanitize=address,undefined timeout=180
//
// The Intel driver against a simulated card, in the simulated world: the registers are plain memory
// that the card looks at now and then, as it does at the rings. Frames of all sizes both ways,
// whole and in pieces, checksums, echoes, senders that touch what they have sent, memory that runs
// out, transmit rings that stay full, frames that are too long or damaged, a link that goes down,
// by MSI-X, MSI and the pin; a card that lies about a length, and cards that are to be refused.
// Every frame accepted arrives once, whole and in order, and at the end every buffer is back.

#include <stdlib.h>
#include <string.h>

#include <heddle/go.h>
#include <heddle/time.h>

#include "drivers/drivers.h"
#include "drivers/e1000e.h"
#include "kernel/heap.h"
#include "kernel/irq.h"
#include "lib/le.h"
#include "tests/host/sim/sim.h"

uintptr_t direct_map_base; // addresses are addresses
unsigned eth_count;

static unsigned pages_left = 100;

void *page_alloc_zeroed(unsigned order)
{
    if (pages_left < 1u << order)
        return NULL;
    return memset(aligned_alloc(PAGE_SIZE, PAGE_SIZE << order), 0, PAGE_SIZE << order);
}

// The card.

enum { PIN, MSI, MSIX };

static struct card {
    int kind, vectors;
    bool no_bar, stuck, stop, masked, link, lies, overlong;
    struct { irq_handler_fn *fn; void *arg; } irq[2];
    uint32_t pending;          // causes while masked
    uint32_t rx_head, tx_head; // modulo the rings
    uint64_t context;
    uint32_t to_send, next_frame, bad, interrupts, lazy_ppm;
} card;

static uint8_t regs[E1000E_BYTES] __attribute__((aligned(4096)));

static uint32_t reg(unsigned r) { return le32_get(regs + r); }
static void set_reg(unsigned r, uint32_t v) { le32_put(regs + r, v); }

void pci_enable(struct pci_dev *d) {}

mmio_t *pci_map(struct pci_dev *d, unsigned n, uint64_t off, uint64_t len)
{
    CHECK(n == 0 && off == 0 && len <= sizeof regs);
    return card.no_bar ? NULL : regs;
}

int irq_alloc(irq_handler_fn *fn, void *arg, const char *name)
{
    static int next;
    int slot = next++ % 2;
    card.irq[slot].fn = fn;
    card.irq[slot].arg = arg;
    return 32 + slot;
}

void irq_free(int vector) {}
unsigned pci_msix_init(struct pci_dev *d) { return card.kind == MSIX ? (unsigned)card.vectors : 0; }
bool pci_msix_route(struct pci_dev *d, unsigned e, int vector, unsigned core) { return true; }
void pci_msix_enable(struct pci_dev *d, bool on) {}
bool pci_msi_enable(struct pci_dev *d, int vector, unsigned core) { return card.kind == MSI; }

bool pci_pin_connect(struct pci_dev *d, irq_handler_fn *fn, void *arg, unsigned core)
{
    card.irq[0].fn = fn;
    card.irq[0].arg = arg;
    return card.kind == PIN;
}

enum { FRAME_LEAST = 22, FRAME_MOST = 1514 };

static void frame_make(uint8_t *f, uint32_t number, uint32_t len)
{
    memset(f, 0x11, 14);
    le32_put(f + 14, number);
    le32_put(f + 18, len);
    for (uint32_t i = FRAME_LEAST; i < len; i++)
        f[i] = (uint8_t)(number * 31 + i * 7);
}

static uint32_t frame_check(const uint8_t *f, uint32_t n)
{
    CHECK(n >= FRAME_LEAST);
    uint32_t number = le32_get(f + 14);
    CHECK_EQ(le32_get(f + 18), n);
    for (uint32_t i = FRAME_LEAST; i < n; i++)
        CHECK_EQ(f[i], (uint8_t)(number * 31 + i * 7));
    return number;
}

static uint32_t wire_frames, wire_next[16];

static void wire(const uint8_t *f, uint32_t len, bool sum, uint64_t context)
{
    uint32_t number = frame_check(f, len);
    wire_frames++;
    if (number >> 28 == 0)
        return;
    uint32_t who = number >> 24 & 15, n = number & 0xffffff;
    CHECK(n >= wire_next[who]);
    wire_next[who] = n + 1;
    CHECK_EQ(sum, n & 1);
    if (sum)
        CHECK_EQ(context, 34ull << 32 | (uint64_t)(34 + (n & 7)) << 40);
}

static void card_transmit(void)
{
    struct e1000e_tx_desc *ring = (void *)(uintptr_t)(reg(E1000E_TDBAL) |
                                                      (uint64_t)reg(E1000E_TDBAH) << 32);
    static uint8_t frame[4096];
    static uint32_t len;
    for (unsigned n = sim_below(60); n && card.tx_head != reg(E1000E_TDT); n--) {
        struct e1000e_tx_desc *d = &ring[card.tx_head];
        card.tx_head = (card.tx_head + 1) % E1000E_TX_RING;
        uint64_t c = atomic_load(&d->command);
        CHECK(c & 1ull << 29 && !(c & TX_DD));
        if (!(c & 1ull << 20)) {
            card.context = d->addr;
            continue;
        }
        uint32_t piece = c & 0xfffff;
        CHECK(len + piece <= sizeof frame && c & TX_FCS);
        memcpy(frame + len, (void *)(uintptr_t)d->addr, piece);
        len += piece;
        if (c & TX_EOP) {
            wire(frame, len, c & TX_TXSM, card.context);
            len = 0;
        }
        if (c & TX_REPORT)
            atomic_store(&d->command, c | TX_DD);
    }
}

static void rx_done(struct e1000e_rx_desc *d, uint32_t len, uint32_t status, uint32_t errors)
{
    atomic_store(&d->done, len | (uint64_t)(status | RX_DD) << 32 | (uint64_t)errors << 40);
    card.rx_head = (card.rx_head + 1) % E1000E_RX_RING;
    card.pending |= card.kind == MSIX ? INT_RXQ0 : INT_RXT0;
}

static void card_receive(void)
{
    struct e1000e_rx_desc *ring = (void *)(uintptr_t)(reg(E1000E_RDBAL) |
                                                      (uint64_t)reg(E1000E_RDBAH) << 32);
    for (unsigned n = sim_below(30); n && card.to_send && card.rx_head != reg(E1000E_RDT); n--) {
        struct e1000e_rx_desc *d = &ring[card.rx_head];
        CHECK_EQ(atomic_load(&d->done), 0);
        uint8_t *to = (uint8_t *)(uintptr_t)d->addr;
        if (card.lies) {
            rx_done(d, 1990 + sim_below(60000), RX_EOP, 0);
            card.to_send--;
            continue;
        }
        switch (sim_below(30)) {
        case 0: // damaged
            memset(to, 0xee, 100);
            rx_done(d, 100, RX_EOP, 1u << (sim_below(3)));
            card.bad++;
            continue;
        case 1: // longer than a buffer: the card should not, but may
            if ((card.rx_head + 1) % E1000E_RX_RING == reg(E1000E_RDT))
                continue;
            rx_done(d, 1500, 0, 0);
            d = &ring[card.rx_head];
            rx_done(d, 200, RX_EOP, 0);
            card.bad += 2;
            continue;
        }
        uint32_t len = FRAME_LEAST + sim_below(FRAME_MOST - FRAME_LEAST);
        frame_make(to, card.next_frame++, len);
        rx_done(d, len, RX_EOP | (len & 1 ? RX_TCPCS : 0), 0);
        card.to_send--;
    }
}

// What the driver has written to the mask registers since: interrupts off, then perhaps on.
static void read_masks(void)
{
    card.masked |= reg(E1000E_IMC) != 0;
    card.masked &= reg(E1000E_IMS) == 0;
    set_reg(E1000E_IMC, 0);
    set_reg(E1000E_IMS, 0);
}

static void interrupt(void)
{
    if (card.masked || !card.pending)
        return;
    uint32_t causes = card.pending;
    card.pending = 0;
    card.interrupts++;
    bool other = causes & INT_LSC;
    set_reg(E1000E_ICR, causes | INT_ASSERTED);
    int slot = card.kind == MSIX && other ? 1 : 0;
    card.irq[slot].fn(card.irq[slot].arg);
    if (card.kind == PIN && sim_below(4) == 0) { // somebody else's, on the same wire
        set_reg(E1000E_ICR, 0);
        card.irq[slot].fn(card.irq[slot].arg);
    }
}

static void card_step(void *unused)
{
    if (card.stop)
        return;
    sim_event(sim_now() + 1000 + sim_below(50000), card_step, NULL);
    if (!card.stuck)
        set_reg(E1000E_CTRL, reg(E1000E_CTRL) & ~(uint32_t)CTRL_RST);
    set_reg(E1000E_STATUS, card.link ? STATUS_LINK_UP : 0);
    read_masks();
    if (sim_chance(card.lazy_ppm))
        return;
    if (reg(E1000E_TCTL) & TCTL_EN)
        card_transmit();
    if (reg(E1000E_RCTL) & RCTL_EN)
        card_receive();
    interrupt();
}

static void card_begin(int kind)
{
    memset(regs, 0, sizeof regs);
    le32_put(regs + E1000E_RAL, 0x12005452);
    le32_put(regs + E1000E_RAH, 0x5634 | RAH_VALID);
    card = (struct card){ .kind = kind, .vectors = 5, .link = true, .masked = true };
    sim_event(sim_now(), card_step, NULL);
}

static void probe(void)
{
    struct pci_dev d = { .vendor = 0x8086, .device = 0x10d3, .name = "0000:00:09.0" };
    e1000e_probe(&d);
}

// The stack.

static struct netdev *dev;
static uint32_t received, expected;

static void input(struct netdev *nd, struct pbuf *p)
{
    CHECK(((uintptr_t)p->data + 14) % 4 == 0 && !p->chain && p->len == p->total);
    uint32_t number = frame_check(p->data, p->len);
    if (nd->rx_dropped == 0 || !sim_opt.heap_fail_ppm)
        CHECK(number >= expected);
    CHECK_EQ(p->flags, p->len & 1 ? PBUF_CSUM_OK : 0);
    expected = number + 1;
    received++;
    p->flags = 0;
    nd->transmit(nd, p, true);
}

static void input_done(struct netdev *nd) { nd->flush(nd); }

void netdev_register(struct netdev *nd)
{
    dev = nd;
    nd->input = input;
    nd->input_done = input_done;
}

static unsigned senders, accepted, refused;

// A frame as TCP sends it: in one piece or in two, with a reference kept now and then.
static struct pbuf *make_frame(uint32_t who, uint32_t n)
{
    struct pbuf *p = pbuf_alloc();
    if (!p)
        return NULL;
    p->len = p->total = FRAME_LEAST + sim_below(FRAME_MOST - FRAME_LEAST);
    frame_make(p->data, 1u << 28 | who << 24 | n, p->len);
    struct pbuf *rest = sim_below(3) == 0 && p->len > 100 ? pbuf_alloc() : NULL;
    if (rest) {
        rest->len = rest->total = p->len - 60;
        memcpy(rest->data, p->data + 60, rest->len);
        p->len = 60;
        p->chain = rest;
    }
    if (n & 1) {
        p->flags = PBUF_CSUM_PARTIAL;
        p->csum_start = 34;
        p->csum_offset = n & 7;
    }
    return p;
}

static void sender(void *arg)
{
    uint32_t who = (uint32_t)(uintptr_t)arg;
    for (uint32_t n = 0; n < 700; n++) {
        struct pbuf *p = make_frame(who, n);
        if (!p) {
            time_sleep(1000);
            continue;
        }
        bool keep = sim_below(4) == 0;
        if (keep)
            pbuf_ref(p);
        if (dev->transmit(dev, p, sim_below(2)))
            accepted++;
        else
            refused++;
        if (keep) {
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
    struct e1000e *e = container_of(dev, struct e1000e, netdev);
    return e->rx.filled - e->rx.next;
}

struct one {
    void (*fn)(void *);
    int kind;
    unsigned lazy_ppm, heap_fail_ppm;
    uint64_t seed;
};

static void traffic(void *arg)
{
    const struct one *o = arg;
    card_begin(o->kind);
    probe();
    CHECK(dev && dev->link_up(dev) && !memcmp(dev->mac, "\x52\x54\x00\x12\x34\x56", 6));
    time_sleep(1000000);
    size_t objects = sim_heap_objects() - posted();
    card.lazy_ppm = o->lazy_ppm;
    sim_opt.heap_fail_ppm = o->heap_fail_ppm;
    card.to_send = 3000;
    for (uintptr_t i = 0; i < 4; i++) {
        senders++;
        CHECK(go(sender, (void *)i) == 0);
    }
    while (senders || card.to_send)
        time_sleep(1000000);
    sim_opt.heap_fail_ppm = 0;
    time_sleep(200000000);
    uint32_t before = received;
    card.to_send = 1;
    time_sleep(50000000);
    CHECK_EQ(received, before + 1);
    CHECK_EQ(wire_frames + dev->tx_dropped, accepted + refused + received);
    CHECK_EQ(dev->tx_packets, wire_frames);
    CHECK_EQ(dev->rx_packets, received);
    CHECK_EQ(received + dev->rx_dropped, 3001 + card.bad);
    if (!o->heap_fail_ppm)
        CHECK_EQ(dev->rx_dropped, card.bad);
    CHECK_EQ(sim_heap_objects() - posted(), objects);
    CHECK_EQ(posted(), E1000E_RX_RING - 1);
    card.link = false;
    card.pending |= INT_LSC | (o->kind == MSIX ? INT_OTHER : 0);
    time_sleep(5000000);
    CHECK(!dev->link_up(dev) && !dev->transmit(dev, make_frame(9, 1), false));
    card.stop = true;
}

static void lies(void *arg)
{
    const struct one *o = arg;
    card_begin(o->kind);
    probe();
    CHECK(dev);
    card.lies = true;
    card.to_send = 3;
    time_sleep(50000000);
    CHECK(received == 0 && !dev->link_up(dev) && !(reg(E1000E_RCTL) & RCTL_EN));
    CHECK(!dev->transmit(dev, make_frame(1, 1), false));
    card.stop = true;
}

static void refusals(void *arg)
{
    const struct one *o = arg;
    for (unsigned way = 0; way < 4; way++) {
        card_begin(o->kind);
        pages_left = way == 2 ? 0 : 100;
        card.no_bar = way == 0;
        card.stuck = way == 1;
        if (way == 3)
            card.kind = 3; // no interrupt of any kind
        probe();
        CHECK(!dev && eth_count == 0);
        card.stop = true;
        time_sleep(1000000);
    }
}

static void run_one(void *arg)
{
    struct one *o = arg;
    struct sim_options opt = { .seed = o->seed, .cores = 3, .limit_ns = 600000000000ll };
    sim_run(&opt, o->fn, o);
}

int main(int argc, char **argv)
{
    static const struct one cases[] = {
        { traffic, MSIX, 0, 0, 0 }, { traffic, MSI, 0, 0, 0 }, { traffic, PIN, 0, 0, 0 },
        { traffic, MSIX, 950000, 0, 0 }, { traffic, PIN, 500000, 300000, 0 },
        { lies, MSIX, 0, 0, 0 }, { lies, PIN, 0, 0, 0 }, { refusals, MSIX, 0, 0, 0 },
    };
    uint64_t only = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    unsigned failures = 0, runs = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (uint64_t seed = only ? only : 1; seed <= (only ? only : 4); seed++, runs++) {
            struct one o = cases[i];
            o.seed = seed;
            failures += !sim_case("e1000e", seed, 60, run_one, &o);
        }
    printf("e1000e: %u runs against a simulated card: %u failures\n", runs, failures);
    return failures != 0;
}
