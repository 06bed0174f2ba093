// SPDX-License-Identifier: BSD-2-Clause
// Packet buffers: one object of PBUF_SIZE bytes each, header in front, physically contiguous and
// never crossing a page, so a device can read and write it in place. A received buffer travels up
// to the socket without a copy; a sent one is kept by TCP until acknowledged and lent to the
// device meanwhile (a reference each).
#ifndef NET_PBUF_H
#define NET_PBUF_H

#include <stdatomic.h>
#include <stdint.h>

#include "lib/util.h"

#define PBUF_SIZE 2048
#define PBUF_HEADROOM 128 // for virtio, Ethernet, IPv4 or IPv6, TCP with options

enum pbuf_flags {
    PBUF_CSUM_OK = 1,      // receive: the device vouches for the transport checksum
    // Transmit: the device is to complete the checksum from csum_start on, at csum_offset from
    // there.
    PBUF_CSUM_PARTIAL = 2,
};

struct pbuf {
    // Next packet of a queue. TCP's own while it holds the buffer: a layer that was only lent a
    // reference (refs > 1: transmit, neighbour queue, loopback) keeps pointers to p or copies it,
    // and leaves next alone.
    struct pbuf *next;
    struct pbuf *chain;     // further data of the same packet, NULL for most
    uint8_t *data;          // first byte of the current layer
    uint32_t len;           // bytes here from data on
    uint32_t total;         // bytes in the whole packet; kept in the first of a chain
    _Atomic(uint32_t) refs; // release on drop, acquire by the last. pairs: PBUF-REFS
    uint16_t flags;
    uint16_t csum_start, csum_offset; // from data, with PBUF_CSUM_PARTIAL
    uint16_t seg_flags;     // TCP's own while it holds the buffer
    uint32_t seq, seg_len;  // TCP's own
    uint16_t queue;         // transmit: 1 and up: always the same of the device's queues; 0: any
    int64_t sent_ns;        // TCP's own
};

// pbuf.c

// A buffer with PBUF_HEADROOM before data and len 0; NULL when memory is exhausted. refs is 1.
struct pbuf *pbuf_alloc(void);
// The same for what makes others free theirs, acknowledgements above all: when memory is exhausted
// it comes from a small reserve.
struct pbuf *pbuf_alloc_urgent(void);
// Fills the reserve up, if something is missing and there is memory. Context: any but interrupts,
// now and then.
void pbuf_refill(void);
static inline void pbuf_ref(struct pbuf *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}
// Drops a reference on p and, when it was the last, frees p and its chain. p->next is not followed.
void pbuf_free(struct pbuf *p);
// Copies n bytes from offset off of the packet (chain included); false if it is shorter.
bool pbuf_copy_out(const struct pbuf *p, uint32_t off, void *dst, uint32_t n);
// The first n bytes made contiguous in p (moved from the chain if need be); false if shorter or n
// too large.
bool pbuf_pull(struct pbuf *p, uint32_t n);
// Cuts the packet (chain included) down to its first n bytes; it has at least that many.
void pbuf_trim(struct pbuf *p, uint32_t n);
// Hangs the packet q behind the packet p; q's reference passes.
void pbuf_append(struct pbuf *p, struct pbuf *q);

static inline uint8_t *pbuf_start(struct pbuf *p) { return (uint8_t *)(p + 1); }
static inline uint8_t *pbuf_end(struct pbuf *p) { return (uint8_t *)p + PBUF_SIZE; }

static inline uint32_t pbuf_headroom(struct pbuf *p)
{
    return (uint32_t)(p->data - pbuf_start(p));
}

static inline uint32_t pbuf_tailroom(struct pbuf *p)
{
    return (uint32_t)(pbuf_end(p) - (p->data + p->len));
}

// Moves data to reveal n more bytes before it, or past n bytes. The caller has checked the room.
static inline void *pbuf_push(struct pbuf *p, uint32_t n)
{
    p->data -= n;
    p->len += n;
    p->total += n;
    return p->data;
}

static inline void pbuf_drop_front(struct pbuf *p, uint32_t n)
{
    p->data += n;
    p->len -= n;
    p->total -= n;
}

#endif
