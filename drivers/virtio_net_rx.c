// SPDX-License-Identifier: BSD-2-Clause
// Receiving. Buffers are pbufs, posted whole; a frame lies in its pbuf behind the device's header
// and goes up to the stack as it is, the IP header aligned to four bytes. A frame larger than one
// pbuf (the device may merge buffers) becomes a chain.
//
// The receive queue belongs to whoever polls the pair: netpoll lets only one core at a time do
// that, and hands what it wrote to the next (POLLER-BUSY).
//
// When memory is short, frames are still delivered as long as `reserve` buffers are posted,
// because the acknowledgements among them are what frees memory; below that a frame is dropped
// and its buffer posted again, so the device is never without buffers and never silent for ever.

#include "drivers/virtio_net.h"
#include "kernel/page.h"

#define RX_PAD 2u // makes the IP header, 12 + 14 bytes further on, aligned
#define RX_ROOM (PBUF_SIZE - (uint32_t)sizeof(struct pbuf) - RX_PAD)
#define RX_FIRST 64u      // buffers posted at the start; memory never touched before is slow
#define RX_GROWTH 16u     // and how many more with each poll that finds frames
#define RX_MAX_MERGED 40u // 64 KiB and then some

static uint8_t *rx_buffer(struct pbuf *p)
{
    return pbuf_start(p) + RX_PAD;
}

static bool post(struct net_rx *rx, struct pbuf *p)
{
    struct virtq_seg seg = {
        .addr = dma_addr(rx_buffer(p)), .len = RX_ROOM, .device_writes = true
    };
    return virtq_add(&rx->q, &seg, 1, p);
}

bool net_rx_fill(struct net_pair *pair)
{
    struct net_rx *rx = &pair->rx;
    while (virtq_in_flight(&rx->q) < rx->target) {
        struct pbuf *p = pbuf_alloc();
        if (!p)
            break;
        if (!post(rx, p)) {
            pbuf_free(p);
            break;
        }
    }
    return virtq_in_flight(&rx->q) >= rx->reserve;
}

bool net_rx_start(struct net_pair *pair, unsigned index, int irq)
{
    struct net_rx *rx = &pair->rx;
    if (!virtio_queue(pair->net->dev, &rx->q, (uint16_t)index, NET_RING, irq))
        return false;
    // All queues together may hold a thirty-second of memory.
    size_t share = page_total() * PAGE_SIZE / 32 / PBUF_SIZE / pair->net->pairs;
    rx->target_max = (unsigned)MIN(MAX(share, 16u), rx->q.size);
    rx->target = MIN(rx->target_max, RX_FIRST);
    rx->reserve = MAX(rx->target / 8, 1u);
    return true;
}

// Attaches the further buffers of a merged frame to p. False if the device does not keep its word.
static bool take_merged(struct net_rx *rx, struct pbuf *p, unsigned n)
{
    struct pbuf **tail = &p->chain;
    for (unsigned i = 1; i < n; i++) {
        uint32_t len;
        struct pbuf *next = virtq_get(&rx->q, &len);
        if (!next) {
            virtio_fail(rx->q.dev, "a frame of %u buffers has only %u", n, i);
            return false;
        }
        next->next = NULL;
        next->chain = NULL;
        next->data = rx_buffer(next);
        next->len = next->total = len;
        p->total += len;
        *tail = next;
        tail = &next->chain;
    }
    return true;
}

// Posts the buffers of a frame again, unread.
static void drop(struct net_rx *rx, struct netdev *dev, struct pbuf *p)
{
    atomic_fetch_add_explicit(&dev->rx_dropped, 1, memory_order_relaxed);
    while (p) {
        struct pbuf *next = p->chain;
        p->chain = NULL;
        if (!post(rx, p))
            pbuf_free(p);
        p = next;
    }
}

// Makes a packet of a returned buffer with len bytes in it and of those that belong to it. False:
// it is none, or the device lies about it; what there is hangs on p all the same.
static bool frame(struct virtio_net *net, struct net_rx *rx, struct pbuf *p, uint32_t len)
{
    struct virtio_net_hdr *hdr = (struct virtio_net_hdr *)rx_buffer(p);
    p->next = NULL;
    p->chain = NULL;
    if (unlikely(len < sizeof *hdr))
        return false;
    p->data = (uint8_t *)(hdr + 1);
    p->len = p->total = len - (uint32_t)sizeof *hdr;
    p->flags = 0;
    if (hdr->flags & (NET_HDR_NEEDS_CSUM | NET_HDR_DATA_VALID) &&
        virtio_has(net->dev, VIRTIO_NET_F_GUEST_CSUM))
        p->flags = PBUF_CSUM_OK;
    if (virtio_has(net->dev, VIRTIO_NET_F_MRG_RXBUF) && unlikely(hdr->num_buffers != 1)) {
        if (hdr->num_buffers - 1u >= RX_MAX_MERGED) {
            virtio_fail(net->dev, "a frame of %u buffers", hdr->num_buffers);
            return false;
        }
        if (!take_merged(rx, p, hdr->num_buffers))
            return false;
    }
    return p->len >= ETH_HDR;
}

unsigned net_rx(struct net_pair *pair, unsigned budget)
{
    struct net_rx *rx = &pair->rx;
    struct virtio_net *net = pair->net;
    struct netdev *dev = &net->netdev;
    unsigned n = 0, packets = 0;
    uint64_t bytes = 0;
    for (; n < budget; n++) {
        uint32_t len;
        struct pbuf *p = virtq_get(&rx->q, &len);
        if (!p)
            break;
        bool ok = frame(net, rx, p, len);
        if (unlikely(virtq_in_flight(&rx->q) < rx->reserve))
            ok = net_rx_fill(pair) && ok;
        if (unlikely(!ok)) {
            drop(rx, dev, p);
            continue;
        }
        packets++;
        bytes += p->total;
        dev->input(dev, p);
    }
    if (packets) {
        rx->target = MIN(rx->target + RX_GROWTH, rx->target_max);
        atomic_fetch_add_explicit(&dev->rx_packets, packets, memory_order_relaxed);
        atomic_fetch_add_explicit(&dev->rx_bytes, bytes, memory_order_relaxed);
    }
    return n;
}
