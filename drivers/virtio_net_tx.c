// SPDX-License-Identifier: BSD-2-Clause
// Sending. A frame goes from the calling goroutine straight into the ring of its core's queue, or
// of the one its flow keeps to, lest frames of one flow overtake one another (pbuf.queue). The
// device's header is written into the headroom before it, so a frame is one descriptor. Its
// doorbell is rung only when the device asks for it and, with `more`, once for several frames.
//
// Interrupts for what has been sent are off. Buffers come back when the pair is polled, when the
// ring is filling up, and else by a timer some 20 ms after: nothing waits for them but memory,
// and TCP when it sends them once more. When the ring is full, frames wait in the backlog, the
// interrupt is turned on for the time when half of the ring is free again, and the poll puts them
// in. Order within a queue is kept.
//
// The lock guards ring and backlog. Buffers are released after it, and the doorbell is rung after
// it too but before anything can preempt us: a frame must not wait for a goroutine to get its
// turn again.

#include <string.h>

#include "drivers/virtio_net.h"
#include "kernel/clock.h"
#include "kernel/heap.h"
#include "kernel/preempt.h"

#define TX_BATCH 32u        // buffers taken back at a time
#define TX_MAX_SEGS 18u     // pieces of a frame
#define REAP_NS 20000000ll  // 20 ms
#define REAP_MAX_NS 1000000000ll

static void reap(void *arg);

bool net_tx_start(struct net_pair *pair, unsigned index, int irq)
{
    struct net_tx *tx = &pair->tx;
    spin_init(&tx->lock, LOCK_NETDEV_TX);
    tx->backlog = heap_alloc(sizeof *tx->backlog * NET_BACKLOG);
    return tx->backlog &&
           virtio_queue(pair->net->dev, &tx->q, (uint16_t)index, NET_RING, irq);
}

// Writes the device's header before the frame. The frame's own fields stay as they are: its
// sender may be looking at them.
static void *put_header(struct pbuf *p)
{
    struct virtio_net_hdr *hdr = (struct virtio_net_hdr *)(p->data - sizeof *hdr);
    *hdr = (struct virtio_net_hdr){ 0 };
    if (p->flags & PBUF_CSUM_PARTIAL) {
        hdr->flags = NET_HDR_NEEDS_CSUM;
        hdr->csum_start = p->csum_start;
        hdr->csum_offset = p->csum_offset;
    }
    return hdr;
}

// p with room before it for the header: p itself, or a copy of it and p released; NULL if there
// is no memory or p is too long to be copied.
static struct pbuf *with_headroom(struct pbuf *p)
{
    if (likely(pbuf_headroom(p) >= sizeof(struct virtio_net_hdr)))
        return p;
    struct pbuf *copy = pbuf_alloc();
    if (copy && p->total <= pbuf_tailroom(copy) && pbuf_copy_out(p, 0, copy->data, p->total)) {
        copy->len = copy->total = p->total;
        copy->flags = p->flags;
        copy->csum_start = p->csum_start;
        copy->csum_offset = p->csum_offset;
        copy->queue = p->queue;
    } else if (copy) {
        pbuf_free(copy);
        copy = NULL;
    }
    pbuf_free(p);
    return copy;
}

// Puts the frame into the ring, header first. Context: tx->lock held.
static bool put_ring(struct net_tx *tx, struct pbuf *p, uint64_t addr, uint32_t len)
{
    struct virtq_seg seg[TX_MAX_SEGS];
    seg[0] = (struct virtq_seg){ .addr = addr, .len = len };
    unsigned n = 1;
    for (struct pbuf *c = p->chain; unlikely(c != NULL); c = c->chain) {
        if (n == TX_MAX_SEGS)
            return false;
        seg[n++] = (struct virtq_seg){ .addr = dma_addr(c->data), .len = c->len };
    }
    return virtq_add(&tx->q, seg, n, p);
}

// Moves waiting frames into the ring. Context: tx->lock held.
static void drain_backlog(struct net_tx *tx)
{
    while (tx->waiting) {
        struct net_waiting *w = &tx->backlog[tx->first];
        if (!put_ring(tx, w->p, w->addr, w->len))
            break;
        tx->first = (tx->first + 1) % NET_BACKLOG;
        tx->waiting--;
    }
}

// Takes up to TX_BATCH sent frames out of the ring. Context: tx->lock held.
static unsigned collect(struct net_tx *tx, struct pbuf **sent)
{
    unsigned n = 0;
    uint32_t len;
    while (n < TX_BATCH && (sent[n] = virtq_get(&tx->q, &len)) != NULL)
        n++;
    if (n && tx->waiting)
        drain_backlog(tx);
    return n;
}

// Interrupts on while frames wait, off otherwise. True if the device has made room in the
// meantime. Context: tx->lock held.
static bool choose_irq(struct net_tx *tx)
{
    if (likely(tx->waiting == 0)) {
        virtq_irq_off(&tx->q);
        return false;
    }
    return virtq_irq_on(&tx->q, (uint16_t)(virtq_in_flight(&tx->q) / 2 + 1));
}

// Appends a frame to the backlog. Chains are not kept: their pieces may change. Context: lock
// held.
static bool wait_for_room(struct net_tx *tx, struct pbuf *p, uint64_t addr, uint32_t len)
{
    if (tx->waiting == NET_BACKLOG || p->chain || tx->q.broken)
        return false;
    tx->backlog[(tx->first + tx->waiting) % NET_BACKLOG] = (struct net_waiting){ p, addr, len };
    tx->waiting++;
    return true;
}

// Buffers are in flight: sees to it that somebody will take them back. Context: tx->lock held.
static void start_reaper(struct net_pair *pair)
{
    struct net_tx *tx = &pair->tx;
    tx->reaping = true;
    tx->reap_ns = REAP_NS;
    tx->reap_seen = tx->q.used_idx;
    timer_arm(&tx->reaper, clock_mono_ns() + REAP_NS, reap, pair);
}

static void release(struct pbuf **sent, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        pbuf_free(sent[i]);
}

// Adds what the queue has counted to the device's counters. Context: tx->lock held.
static void publish_counts(struct net_tx *tx, struct netdev *dev)
{
    if (tx->packets | tx->dropped) {
        atomic_fetch_add_explicit(&dev->tx_packets, tx->packets, memory_order_relaxed);
        atomic_fetch_add_explicit(&dev->tx_bytes, tx->bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&dev->tx_dropped, tx->dropped, memory_order_relaxed);
        tx->packets = tx->bytes = tx->dropped = 0;
    }
}

bool net_transmit(struct netdev *dev, struct pbuf *p, bool more)
{
    struct virtio_net *net = container_of(dev, struct virtio_net, netdev);
    if (unlikely((p = with_headroom(p)) == NULL)) {
        atomic_fetch_add_explicit(&dev->tx_dropped, 1, memory_order_relaxed);
        return false;
    }
    uint64_t addr = dma_addr(put_header(p));
    uint32_t len = p->len + (uint32_t)sizeof(struct virtio_net_hdr), total = p->total;
    struct pbuf *sent[TX_BATCH];
    unsigned n_sent = 0;
    bool again = false;

    preempt_disable();
    struct net_pair *pair = &net->pair[(p->queue ? p->queue - 1u : getg()->m->id) % net->pairs];
    struct net_tx *tx = &pair->tx;
    spin_lock(&tx->lock);
    if (virtq_in_flight(&tx->q) > TX_BATCH && virtq_ready(&tx->q))
        n_sent = collect(tx, sent);
    bool ok = atomic_load_explicit(&net->link, memory_order_relaxed) && !virtio_failed(net->dev);
    if (ok && (unlikely(tx->waiting) || unlikely(!put_ring(tx, p, addr, len)))) {
        ok = wait_for_room(tx, p, addr, len);
        if (n_sent == 0)
            n_sent = collect(tx, sent);
        again = choose_irq(tx);
    }
    if (ok) {
        tx->packets++;
        tx->bytes += total;
        if (unlikely(!tx->reaping))
            start_reaper(pair);
    } else {
        tx->dropped++;
        publish_counts(tx, dev);
    }
    bool ring = !more && virtq_must_notify(&tx->q);
    atomic_store_explicit(&tx->untold, more, memory_order_relaxed);
    spin_unlock(&tx->lock);
    if (ring)
        virtq_doorbell(&tx->q);
    preempt_enable();

    release(sent, n_sent);
    if (unlikely(again))
        net_tx_service(pair);
    if (unlikely(!ok))
        pbuf_free(p);
    return ok;
}

static void tell(struct net_tx *tx)
{
    preempt_disable();
    spin_lock(&tx->lock);
    atomic_store_explicit(&tx->untold, false, memory_order_relaxed);
    bool ring = virtq_must_notify(&tx->q);
    spin_unlock(&tx->lock);
    if (ring)
        virtq_doorbell(&tx->q);
    preempt_enable();
}

void net_flush(struct netdev *dev)
{
    struct virtio_net *net = container_of(dev, struct virtio_net, netdev);
    for (unsigned i = 0; i < net->pairs; i++)
        if (atomic_load_explicit(&net->pair[i].tx.untold, memory_order_relaxed))
            tell(&net->pair[i].tx);
}

// The device has been given up: what it was never shown is released. Context: tx->lock held.
static void drop_backlog(struct net_tx *tx)
{
    for (; tx->waiting; tx->waiting--) {
        pbuf_free(tx->backlog[tx->first].p);
        tx->first = (tx->first + 1) % NET_BACKLOG;
        tx->dropped++;
    }
}

void net_tx_service(struct net_pair *pair)
{
    struct net_tx *tx = &pair->tx;
    struct pbuf *sent[TX_BATCH];
    bool again;
    do {
        preempt_disable();
        spin_lock(&tx->lock);
        unsigned n = collect(tx, sent);
        if (unlikely(virtio_failed(pair->net->dev)))
            drop_backlog(tx);
        again = n == TX_BATCH || choose_irq(tx);
        publish_counts(tx, &pair->net->netdev);
        bool ring = virtq_must_notify(&tx->q);
        spin_unlock(&tx->lock);
        if (ring)
            virtq_doorbell(&tx->q);
        preempt_enable();
        release(sent, n);
    } while (again);
}

// Context: g0, as a timer.
static void reap(void *arg)
{
    struct net_pair *pair = arg;
    struct net_tx *tx = &pair->tx;
    net_tx_service(pair);
    spin_lock(&tx->lock);
    tx->reaping = virtq_in_flight(&tx->q) > 0 && !virtio_failed(pair->net->dev);
    if (tx->reaping) {
        // A device that does not send is looked at ever less often.
        bool moved = tx->q.used_idx != tx->reap_seen;
        tx->reap_ns = moved ? REAP_NS : MIN(tx->reap_ns * 2, REAP_MAX_NS);
        tx->reap_seen = tx->q.used_idx;
        timer_arm(&tx->reaper, clock_mono_ns() + tx->reap_ns, reap, pair);
    }
    spin_unlock(&tx->lock);
}
