// SPDX-License-Identifier: BSD-2-Clause
// Sending on the 82574: from the calling goroutine straight into the ring. A frame is a descriptor
// for each of its pieces and, when the places of its checksum differ from the last frame's, one
// before them that tells the device. The last one asks for a report, by which all of them come
// back.
//
// Sent buffers are taken back when the ring is filling up, when the device is polled, and else by a
// timer some 20 ms after: nothing waits for them but memory. A full ring drops the frame, as the
// wire does. The lock guards the ring; buffers are released after it, and the tail is written
// under it, since the order in which tails arrive is the order of frames.

#include "drivers/e1000e.h"
#include "drivers/virtq.h"
#include "kernel/clock.h"
#include "kernel/preempt.h"

#define TX_BATCH 32u // buffers taken back at a time
#define TX_MAX_PIECES 18u
#define REAP_NS 20000000ll

bool e1000e_tx_start(struct e1000e *e)
{
    struct e1000e_tx *tx = &e->tx;
    spin_init(&tx->lock, LOCK_NETDEV_TX);
    _Static_assert(sizeof *tx->desc * E1000E_TX_RING == PAGE_SIZE << 2, "the ring is four pages");
    tx->desc = page_alloc_zeroed(2);
    if (!tx->desc)
        return false;
    uint64_t pa = dma_addr(tx->desc);
    e1000e_write(e, E1000E_TDBAL, (uint32_t)pa);
    e1000e_write(e, E1000E_TDBAH, (uint32_t)(pa >> 32));
    e1000e_write(e, E1000E_TDLEN, sizeof *tx->desc * E1000E_TX_RING);
    e1000e_write(e, E1000E_TDH, 0);
    e1000e_write(e, E1000E_TDT, 0);
    // Each report is written back at once.
    e1000e_write(e, E1000E_TXDCTL, TXDCTL_WTHRESH_1 | TXDCTL_COUNT_DESC | TXDCTL_GRAN);
    e1000e_write(e, E1000E_TIPG, 8 | 8 << 10 | 6 << 20); // gaps for copper, by the data sheet
    e1000e_write(e, E1000E_TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD | TCTL_RTLC);
    return true;
}

// Takes up to TX_BATCH sent frames out of the ring. Context: tx->lock held.
static unsigned collect(struct e1000e_tx *tx, struct pbuf **sent)
{
    unsigned n = 0;
    while (n < TX_BATCH && tx->first != tx->told) {
        unsigned i = tx->first % E1000E_TX_RING;
        unsigned last = (tx->first + tx->pieces[i] - 1) % E1000E_TX_RING;
        // pairs: E1000E-TX, with the device
        if (!(atomic_load_explicit(&tx->desc[last].command, memory_order_acquire) & TX_DD))
            break;
        sent[n++] = tx->frame[i];
        tx->first += tx->pieces[i];
    }
    return n;
}

static void release(struct pbuf **sent, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        pbuf_free(sent[i]);
}

static void put(struct e1000e_tx *tx, uint64_t addr, uint64_t command)
{
    struct e1000e_tx_desc *d = &tx->desc[tx->next++ % E1000E_TX_RING];
    d->addr = addr;
    atomic_store_explicit(&d->command, command, memory_order_relaxed);
}

// The descriptor that says where p's checksum starts and goes; 0 for none.
static uint64_t context_of(const struct pbuf *p)
{
    if (!(p->flags & PBUF_CSUM_PARTIAL))
        return 0;
    uint32_t start = p->csum_start, at = start + p->csum_offset;
    return start > 255 || at > 255 ? 0 : (uint64_t)start << 32 | (uint64_t)at << 40;
}

// Puts p into the ring; false if it does not fit. Context: tx->lock held.
static bool put_frame(struct e1000e_tx *tx, struct pbuf *p)
{
    unsigned pieces = 0;
    for (struct pbuf *c = p; c; c = c->chain)
        pieces++;
    uint64_t context = context_of(p);
    bool tell = context && context != tx->context;
    // One descriptor stays free: the device takes head = tail for an empty ring.
    if (pieces > TX_MAX_PIECES || tx->next - tx->first + pieces + tell >= E1000E_TX_RING)
        return false;
    unsigned first = tx->next % E1000E_TX_RING;
    if (tell) {
        bool ip4 = p->len >= 14 && p->data[12] == 8 && p->data[13] == 0;
        put(tx, context, TX_CONTEXT | (p->csum_offset == 16 ? TX_CONTEXT_TCP : 0) |
                         (ip4 ? TX_CONTEXT_IP4 : 0));
        tx->context = context;
    }
    for (struct pbuf *c = p; c; c = c->chain)
        put(tx, dma_addr(c->data), c->len | TX_DATA | TX_FCS | (context ? TX_TXSM : 0) |
                                   (c->chain ? 0 : TX_EOP | TX_REPORT));
    tx->frame[first] = p;
    tx->pieces[first] = (uint16_t)(pieces + tell);
    return true;
}

// Context: tx->lock held.
static void ring(struct e1000e *e)
{
    if (e->tx.told != e->tx.next)
        e1000e_write(e, E1000E_TDT, e->tx.next % E1000E_TX_RING);
    e->tx.told = e->tx.next;
}

static void reap(void *arg);

bool e1000e_transmit(struct netdev *dev, struct pbuf *p, bool more)
{
    struct e1000e *e = container_of(dev, struct e1000e, netdev);
    struct e1000e_tx *tx = &e->tx;
    struct pbuf *sent[TX_BATCH];
    unsigned n_sent = 0;
    uint32_t total = p->total;
    // A checksum place beyond what the device can be told does not occur: headers are short.
    bool ok = atomic_load_explicit(&e->link, memory_order_relaxed) &&
              !atomic_load_explicit(&e->failed, memory_order_relaxed) &&
              (!(p->flags & PBUF_CSUM_PARTIAL) || context_of(p));
    preempt_disable();
    spin_lock(&tx->lock);
    if (tx->next - tx->first > TX_BATCH)
        n_sent = collect(tx, sent);
    ok = ok && put_frame(tx, p);
    if (ok && !tx->reaping) {
        tx->reaping = true;
        timer_arm(&tx->reaper, clock_mono_ns() + REAP_NS, reap, e);
    }
    if (!more || !ok)
        ring(e);
    atomic_store_explicit(&tx->untold, more && ok, memory_order_relaxed);
    spin_unlock(&tx->lock);
    preempt_enable();
    release(sent, n_sent);
    if (likely(ok)) {
        atomic_fetch_add_explicit(&dev->tx_packets, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&dev->tx_bytes, total, memory_order_relaxed);
    } else {
        atomic_fetch_add_explicit(&dev->tx_dropped, 1, memory_order_relaxed);
        pbuf_free(p);
    }
    return ok;
}

void e1000e_flush(struct netdev *dev)
{
    struct e1000e *e = container_of(dev, struct e1000e, netdev);
    if (!atomic_load_explicit(&e->tx.untold, memory_order_relaxed))
        return;
    preempt_disable();
    spin_lock(&e->tx.lock);
    atomic_store_explicit(&e->tx.untold, false, memory_order_relaxed);
    ring(e);
    spin_unlock(&e->tx.lock);
    preempt_enable();
}

void e1000e_tx_service(struct e1000e *e)
{
    struct pbuf *sent[TX_BATCH];
    unsigned n;
    do {
        spin_lock(&e->tx.lock);
        n = collect(&e->tx, sent);
        spin_unlock(&e->tx.lock);
        release(sent, n);
    } while (n == TX_BATCH);
}

// Context: g0, as a timer.
static void reap(void *arg)
{
    struct e1000e *e = arg;
    struct e1000e_tx *tx = &e->tx;
    e1000e_tx_service(e);
    spin_lock(&tx->lock);
    ring(e);
    tx->reaping = tx->first != tx->next && !atomic_load_explicit(&e->failed, memory_order_relaxed);
    if (tx->reaping)
        timer_arm(&tx->reaper, clock_mono_ns() + REAP_NS, reap, e);
    spin_unlock(&tx->lock);
}
