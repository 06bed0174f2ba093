// SPDX-License-Identifier: BSD-2-Clause
// The split virtqueue.
//
// Publication: descriptors and the ring entry are written first, then avail->idx with release
// (VIRTQ-AVAIL; the device acquires). The device writes the used entry, then used->idx with
// release; we acquire it (VIRTQ-USED). The two event exchanges need full fences, see virtq.h.
//
// Invariants: free_count descriptors hang on free_head; every other one belongs to exactly one
// buffer, whose first slot has its token. used->idx is never more than size - free_count ahead of
// used_idx, unless the device lies. A device caught lying is marked broken and given to
// virtio_fail: from then on nothing is taken from the queue, and its buffers stay where they are,
// for the device may yet write there.

#include "drivers/virtq.h"

#include <string.h>

#include "drivers/virtio.h"
#include "kernel/heap.h"

static size_t avail_offset(uint16_t size)
{
    return sizeof(struct vring_desc) * size;
}

static size_t used_offset(uint16_t size)
{
    size_t end = avail_offset(size) + sizeof(struct vring_avail) + 2u * size + 2; // used_event
    return ROUND_UP(end, CACHE_LINE);
}

static unsigned ring_order(uint16_t size)
{
    size_t bytes = used_offset(size) + sizeof(struct vring_used) +
                   sizeof(struct vring_used_elem) * size + 2; // avail_event
    unsigned order = 0;
    while (PAGE_SIZE << order < bytes)
        order++;
    return order;
}

bool virtq_init(struct virtq *q, uint16_t index, uint16_t size, bool event_idx)
{
    memset(q, 0, sizeof *q);
    uint8_t *ring = page_alloc_zeroed(ring_order(size));
    q->slots = heap_zalloc(sizeof *q->slots * size);
    if (!ring || !q->slots) {
        if (ring)
            page_free(ring, ring_order(size));
        heap_free(q->slots);
        q->slots = NULL;
        return false;
    }
    q->desc = (struct vring_desc *)ring;
    q->avail = (struct vring_avail *)(ring + avail_offset(size));
    q->used = (struct vring_used *)(ring + used_offset(size));
    q->used_event = &q->avail->ring[size];
    q->avail_event = (_Atomic(uint16_t) *)&q->used->ring[size];
    q->size = size;
    q->index = index;
    q->event_idx = event_idx;
    for (uint16_t i = 0; i < size; i++)
        q->slots[i].next = (uint16_t)(i + 1);
    q->free_count = size;
    virtq_irq_off(q);
    return true;
}

void virtq_free(struct virtq *q)
{
    if (!q->desc)
        return;
    page_free(q->desc, ring_order(q->size));
    heap_free(q->slots);
    q->desc = NULL;
    q->slots = NULL;
}

bool virtq_add(struct virtq *q, const struct virtq_seg *segs, unsigned n, void *token)
{
    if (unlikely(n > q->free_count || q->broken))
        return false;
    uint16_t head = q->free_head, id = head, last = head;
    uint32_t capacity = 0;
    for (unsigned i = 0; i < n; i++) {
        struct vring_desc *d = &q->desc[id];
        last = id;
        id = q->slots[id].next;
        d->addr = segs[i].addr;
        d->len = segs[i].len;
        d->flags = segs[i].device_writes ? VRING_DESC_WRITE | VRING_DESC_NEXT : VRING_DESC_NEXT;
        d->next = id;
        capacity += segs[i].device_writes ? segs[i].len : 0;
    }
    q->desc[last].flags &= (uint16_t)~VRING_DESC_NEXT;
    q->free_head = id;
    q->free_count = (uint16_t)(q->free_count - n);
    struct virtq_slot *slot = &q->slots[head];
    slot->token = token;
    slot->capacity = capacity;
    slot->count = (uint16_t)n;
    atomic_store_explicit(&q->avail->ring[q->avail_idx & (q->size - 1)], head,
                          memory_order_relaxed);
    q->avail_idx++;
    // pairs: VIRTQ-AVAIL
    atomic_store_explicit(&q->avail->idx, q->avail_idx, memory_order_release);
    return true;
}

// Returns the descriptors of the buffer at id to the free list.
static void *release(struct virtq *q, uint16_t id)
{
    struct virtq_slot *slot = &q->slots[id];
    void *token = slot->token;
    uint16_t last = id;
    for (uint16_t i = 1; i < slot->count; i++)
        last = q->slots[last].next;
    q->slots[last].next = q->free_head;
    q->free_head = id;
    q->free_count = (uint16_t)(q->free_count + slot->count);
    slot->token = NULL;
    return token;
}

static void *broken(struct virtq *q, const char *what, uint32_t value)
{
    q->broken = true;
    virtio_fail(q->dev, "queue %u: device returned %s %u", q->index, what, value);
    return NULL;
}

void *virtq_get(struct virtq *q, uint32_t *len)
{
    // pairs: VIRTQ-USED
    uint16_t ahead = (uint16_t)(atomic_load_explicit(&q->used->idx, memory_order_acquire) -
                                q->used_idx);
    if (ahead == 0 || unlikely(q->broken))
        return NULL;
    if (unlikely(ahead > virtq_in_flight(q)))
        return broken(q, "more buffers than it had:", ahead);
    struct vring_used_elem *e = &q->used->ring[q->used_idx & (q->size - 1)];
    uint32_t id = atomic_load_explicit(&e->id, memory_order_relaxed);
    uint32_t n = atomic_load_explicit(&e->len, memory_order_relaxed);
    if (unlikely(id >= q->size || !q->slots[id].token))
        return broken(q, "a buffer it did not have:", id);
    // Some devices report a length for what they only read; it means nothing and harms nobody.
    uint32_t capacity = q->slots[id].capacity;
    if (unlikely(n > capacity && capacity))
        return broken(q, "more bytes than fit:", n);
    *len = n;
    q->used_idx++;
    return release(q, (uint16_t)id);
}

void *virtq_reclaim(struct virtq *q)
{
    for (uint16_t id = 0; id < q->size && q->free_count < q->size; id++)
        if (q->slots[id].token)
            return release(q, id);
    return NULL;
}
