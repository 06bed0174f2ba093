// SPDX-License-Identifier: BSD-2-Clause
// Receiving on the 82574. Buffers are pbufs; a frame goes up in the buffer it was written into.
//
// The ring belongs to whoever polls (POLLER-BUSY hands it on). The device returns descriptors in
// order, so two counters describe it: buffers next..filled-1 are the device's. One slot stays
// empty, for the device takes head = tail for an empty ring. A descriptor's second word is the
// device's to write, all of it at once; it is read once (E1000E-RX).
//
// When memory is short, frames are delivered without replacement as long as some buffers are left,
// because the acknowledgements among them are what frees memory; then a frame is dropped and its
// buffer given back, so the device is never without.

#include "drivers/e1000e.h"
#include "drivers/virtq.h"

#define RX_PAD 2u // makes the IP header, 14 bytes further on, aligned
#define RX_RESERVE 16u

_Static_assert(sizeof(struct pbuf) + RX_PAD + E1000E_FRAME_MAX + 4 <= PBUF_SIZE, "a frame fits");

static void put(struct e1000e_rx *rx, struct pbuf *p)
{
    unsigned i = rx->filled++ % E1000E_RX_RING;
    rx->slot[i] = p;
    rx->desc[i].addr = dma_addr(pbuf_start(p) + RX_PAD);
    atomic_store_explicit(&rx->desc[i].done, 0, memory_order_relaxed);
}

static void fill(struct e1000e_rx *rx)
{
    while (rx->filled - rx->next < E1000E_RX_RING - 1) {
        struct pbuf *p = pbuf_alloc();
        if (!p)
            return;
        put(rx, p);
    }
}

// The tail register publishes the descriptors; writing it orders what was stored before.
static void tell(struct e1000e *e)
{
    if (e->rx.told == e->rx.filled)
        return;
    e->rx.told = e->rx.filled;
    e1000e_write(e, E1000E_RDT, e->rx.filled % E1000E_RX_RING);
}

bool e1000e_rx_start(struct e1000e *e)
{
    struct e1000e_rx *rx = &e->rx;
    rx->desc = page_alloc_zeroed(0);
    if (!rx->desc)
        return false;
    _Static_assert(sizeof *rx->desc * E1000E_RX_RING <= PAGE_SIZE, "the ring is a page");
    fill(rx);
    if (rx->filled < RX_RESERVE)
        return false;
    uint64_t pa = dma_addr(rx->desc);
    e1000e_write(e, E1000E_RDBAL, (uint32_t)pa);
    e1000e_write(e, E1000E_RDBAH, (uint32_t)(pa >> 32));
    e1000e_write(e, E1000E_RDLEN, sizeof *rx->desc * E1000E_RX_RING);
    e1000e_write(e, E1000E_RDH, 0);
    e1000e_write(e, E1000E_RDT, 0);
    e1000e_write(e, E1000E_RDTR, 0); // no interrupt is put off
    e1000e_write(e, E1000E_RADV, 0);
    e1000e_write(e, E1000E_MRQC, 0); // one queue
    e1000e_write(e, E1000E_RFCTL, 0); // old descriptors
    e1000e_write(e, E1000E_RXCSUM, RXCSUM_IPOFL | RXCSUM_TUOFL);
    e1000e_write(e, E1000E_RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC);
    tell(e);
    return true;
}

bool e1000e_rx_ready(struct e1000e *e)
{
    struct e1000e_rx *rx = &e->rx;
    uint64_t done = atomic_load_explicit(&rx->desc[rx->next % E1000E_RX_RING].done,
                                         memory_order_relaxed);
    return rx->next != rx->filled && RX_STATUS(done) & RX_DD;
}

// Makes a packet of the buffer the device has returned with `done`. False if it is none.
static bool frame(struct e1000e *e, struct pbuf *p, uint64_t done)
{
    struct e1000e_rx *rx = &e->rx;
    uint32_t len = RX_LEN(done), status = RX_STATUS(done), errors = RX_ERRORS(done);
    bool whole = status & RX_EOP && !rx->in_frame;
    rx->in_frame = !(status & RX_EOP);
    if (unlikely(len > PBUF_SIZE - sizeof *p - RX_PAD)) {
        e1000e_fail(e, "it returned more bytes than fit");
        return false;
    }
    if (unlikely(!whole || errors & RX_E_FRAME || len < 14))
        return false;
    p->next = NULL;
    p->chain = NULL;
    p->data = pbuf_start(p) + RX_PAD;
    p->len = p->total = len;
    p->flags = 0;
    if (!(status & RX_IXSM) && status & RX_TCPCS && !(errors & (RX_E_TCP | RX_E_IP)))
        p->flags = PBUF_CSUM_OK;
    return true;
}

unsigned e1000e_receive(struct e1000e *e, unsigned budget)
{
    struct e1000e_rx *rx = &e->rx;
    struct netdev *dev = &e->netdev;
    unsigned n = 0;
    uint64_t packets = 0, bytes = 0, dropped = 0;
    for (; n < budget && rx->next != rx->filled; n++) {
        unsigned i = rx->next % E1000E_RX_RING;
        // pairs: E1000E-RX, with the device
        uint64_t done = atomic_load_explicit(&rx->desc[i].done, memory_order_acquire);
        if (!(RX_STATUS(done) & RX_DD))
            break;
        struct pbuf *p = rx->slot[i];
        rx->next++;
        bool ok = frame(e, p, done);
        if (unlikely(rx->filled - rx->next < RX_RESERVE)) {
            fill(rx);
            ok = ok && rx->filled - rx->next >= RX_RESERVE;
        }
        if (unlikely(!ok)) {
            dropped++;
            put(rx, p);
            continue;
        }
        packets++;
        bytes += p->total;
        dev->input(dev, p);
    }
    if (n) {
        fill(rx);
        tell(e);
        atomic_fetch_add_explicit(&dev->rx_packets, packets, memory_order_relaxed);
        atomic_fetch_add_explicit(&dev->rx_bytes, bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&dev->rx_dropped, dropped, memory_order_relaxed);
    }
    return n;
}
