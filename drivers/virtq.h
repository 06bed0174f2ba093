// SPDX-License-Identifier: BSD-2-Clause
// A split virtqueue of virtio 1.x: we put buffers on the available ring, the device returns them
// on the used ring. Only the used ring is the device's to write, and nothing it writes is
// trusted: what a buffer is and where it lies is kept in memory the device is not told of.
//
// A queue has one owner at a time (whoever holds its lock, or the poller of a receive queue); all
// functions here are the owner's unless they say otherwise.
#ifndef DRIVERS_VIRTQ_H
#define DRIVERS_VIRTQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arch_inline.h>

#include "drivers/mmio.h"
#include "kernel/page.h"
#include "lib/util.h"

struct virtio_dev;

struct vring_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

enum { VRING_DESC_NEXT = 1, VRING_DESC_WRITE = 2 };

struct vring_avail {
    _Atomic(uint16_t) flags;
    _Atomic(uint16_t) idx;
    _Atomic(uint16_t) ring[];
};

struct vring_used_elem {
    _Atomic(uint32_t) id;
    _Atomic(uint32_t) len;
};

struct vring_used {
    _Atomic(uint16_t) flags;
    _Atomic(uint16_t) idx;
    struct vring_used_elem ring[];
};

enum { VRING_AVAIL_NO_INTERRUPT = 1, VRING_USED_NO_NOTIFY = 1 };

// What we remember of a descriptor.
struct virtq_slot {
    void *token;       // of the buffer whose first descriptor this is, NULL otherwise
    uint32_t capacity; // bytes the device may write into that buffer
    uint16_t next;     // of the free list, or the buffer's next descriptor
    uint16_t count;    // descriptors of the buffer
};

struct virtq_seg {
    uint64_t addr;
    uint32_t len;
    bool device_writes;
};

#define VIRTQ_MAX_SIZE 1024u

struct virtq {
    // Set once.
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    _Atomic(uint16_t) *used_event;  // ours: interrupt when used->idx passes this
    _Atomic(uint16_t) *avail_event; // the device's: notify when avail->idx passes this
    struct virtq_slot *slots;
    struct virtio_dev *dev;
    mmio_t *doorbell;
    uint16_t size; // power of two
    uint16_t index;
    bool event_idx;
    bool doorbell_wide; // 32 bits, else 16

    // Owner.
    bool broken;         // the device told nonsense; nothing is taken from it any more
    uint16_t free_head;  // descriptors nobody uses, linked by slots[].next
    uint16_t free_count;
    uint16_t avail_idx;  // of the next buffer made available
    uint16_t told_idx;   // avail_idx when the doorbell was last decided on
    uint16_t used_idx;   // of the next buffer expected back
};

// virtq.c

// Makes an empty queue of `size` entries (a power of two up to VIRTQ_MAX_SIZE); interrupts are
// off. False if memory is exhausted. doorbell and dev are the transport's to set.
bool virtq_init(struct virtq *q, uint16_t index, uint16_t size, bool event_idx);
// Releases the memory of a queue the device has forgotten (after a reset) or never knew.
void virtq_free(struct virtq *q);

// Makes a buffer of n pieces, those the device writes last, available. The device may see it at
// once and must see it after virtq_notify. False: not enough free descriptors, nothing has
// happened.
bool virtq_add(struct virtq *q, const struct virtq_seg *segs, unsigned n, void *token);

// Takes back one buffer the device has finished; *len is how much it wrote. NULL: none now.
void *virtq_get(struct virtq *q, uint32_t *len);

// Takes back any buffer the device still has; NULL when there is none. Context: after a device
// reset.
void *virtq_reclaim(struct virtq *q);

// The rest is inline because it is on the path of each packet.

// Memory from the page allocator or the heap, as the device sees it.
static inline uint64_t dma_addr(const void *va)
{
    return (uintptr_t)va - direct_map_base;
}

// Descriptors in the device's hands.
static inline unsigned virtq_in_flight(const struct virtq *q)
{
    return q->size - q->free_count;
}

// True if the device has returned something. Any context: without ownership the answer is a hint.
static inline bool virtq_ready(const struct virtq *q)
{
    // pairs: VIRTQ-USED
    return atomic_load_explicit(&q->used->idx, memory_order_acquire) != q->used_idx;
}

// Whether the device wants to be told of what became available since this was last asked.
static inline bool virtq_must_notify(struct virtq *q)
{
    uint16_t since = (uint16_t)(q->avail_idx - q->told_idx);
    if (since == 0 || q->broken)
        return false;
    q->told_idx = q->avail_idx;
    // Our avail->idx must be visible before we read what the device wants: it writes that, then
    // looks at avail->idx once more, so one of us sees the other. pairs: VIRTQ-DOORBELL
    arch_device_fence();
    if (q->event_idx) {
        uint16_t event = atomic_load_explicit(q->avail_event, memory_order_relaxed);
        return (uint16_t)(q->avail_idx - event - 1) < since;
    }
    return !(atomic_load_explicit(&q->used->flags, memory_order_relaxed) & VRING_USED_NO_NOTIFY);
}

// Tells the device. Any context, without ownership.
static inline void virtq_doorbell(const struct virtq *q)
{
    if (q->doorbell_wide)
        mmio_write32(q->doorbell, q->index);
    else
        mmio_write16(q->doorbell, q->index);
}

static inline void virtq_notify(struct virtq *q)
{
    if (virtq_must_notify(q))
        virtq_doorbell(q);
}

// The device should interrupt no more. It still may: some 65,536 buffers later, or when it does
// not care.
static inline void virtq_irq_off(struct virtq *q)
{
    if (q->event_idx)
        atomic_store_explicit(q->used_event, (uint16_t)(q->used_idx - 1), memory_order_relaxed);
    else
        atomic_store_explicit(&q->avail->flags, VRING_AVAIL_NO_INTERRUPT, memory_order_relaxed);
}

// The device should interrupt when it has returned `after` more buffers (at the next one, if it
// does not know event indexes). True if it has already, and then there may be no interrupt.
static inline bool virtq_irq_on(struct virtq *q, uint16_t after)
{
    uint16_t event = (uint16_t)(q->used_idx + after - 1);
    if (q->event_idx)
        atomic_store_explicit(q->used_event, event, memory_order_relaxed);
    else
        atomic_store_explicit(&q->avail->flags, 0, memory_order_relaxed);
    // Our wish must be visible before we look at used->idx: the device moves that, then reads the
    // wish. pairs: VIRTQ-IRQ
    arch_device_fence();
    uint16_t returned = (uint16_t)(atomic_load_explicit(&q->used->idx, memory_order_relaxed) -
                                   q->used_idx);
    return returned >= (q->event_idx ? after : 1);
}

// Interrupt-side of virtq_irq_off for devices without event indexes; with them an interrupt is
// never repeated before virtq_irq_on. Context: the queue's interrupt handler; whoever polls next
// turns it on.
static inline void virtq_irq_mask(const struct virtq *q)
{
    // A device may interrupt before it has a queue.
    if (q->avail && !q->event_idx)
        atomic_store_explicit(&q->avail->flags, VRING_AVAIL_NO_INTERRUPT, memory_order_relaxed);
}

#endif
