// SPDX-License-Identifier: BSD-2-Clause
// Packet buffers (pbuf.h). A buffer is one heap object of PBUF_SIZE, naturally aligned, so that
// the heap's per-core caches are the buffer pool. A chain belongs to its first buffer: only that
// one's reference count matters, and it is freed as a whole.
//
// The reserve is an array of slots that are emptied and filled by exchanges; who takes a buffer out
// owns it (PBUF-RESERVE). Without it memory full of data that waits to be acknowledged, by this
// very machine over loopback, would stay so, for want of a buffer to acknowledge it with.
#include "net/pbuf.h"

#include <string.h>

#include "kernel/heap.h"
#include "kernel/panic.h"

enum { RESERVE = 32 };

static _Atomic(struct pbuf *) reserve[RESERVE]; // pairs: PBUF-RESERVE
static _Atomic(bool) reserve_full; // legal to clear at any time; illegal to leave set, a slot empty

_Static_assert(sizeof(struct pbuf) + PBUF_HEADROOM + 1514 <= PBUF_SIZE, "a frame fits");

static struct pbuf *made(struct pbuf *p)
{
    p->next = NULL;
    p->chain = NULL;
    p->data = pbuf_start(p) + PBUF_HEADROOM;
    p->len = 0;
    p->total = 0;
    atomic_store_explicit(&p->refs, 1, memory_order_relaxed);
    p->flags = 0;
    p->csum_start = 0;
    p->csum_offset = 0;
    p->queue = 0;
    p->seg_flags = 0;
    return p;
}

struct pbuf *pbuf_alloc(void)
{
    struct pbuf *p = heap_alloc(PBUF_SIZE);
    return likely(p != NULL) ? made(p) : NULL;
}

struct pbuf *pbuf_alloc_urgent(void)
{
    struct pbuf *p = heap_alloc(PBUF_SIZE);
    if (likely(p != NULL))
        return made(p);
    for (int i = 0; !p && i < RESERVE; i++)
        p = atomic_exchange_explicit(&reserve[i], NULL,
                                     memory_order_seq_cst); /* pairs: PBUF-RESERVE */
    // After the slot has been emptied; pbuf_refill sets it before it looks at the slots.
    atomic_store_explicit(&reserve_full, false, memory_order_seq_cst);
    return p ? made(p) : NULL;
}

void pbuf_refill(void)
{
    if (likely(atomic_load_explicit(&reserve_full, memory_order_relaxed)))
        return;
    atomic_store_explicit(&reserve_full, true, memory_order_seq_cst);
    for (int i = 0; i < RESERVE; i++) {
        struct pbuf *none = NULL, *p;
        if (atomic_load_explicit(&reserve[i], memory_order_seq_cst))
            continue;
        if (!(p = heap_alloc(PBUF_SIZE))) {
            atomic_store_explicit(&reserve_full, false, memory_order_seq_cst);
            return;
        }
        /* pairs: PBUF-RESERVE */
        if (!atomic_compare_exchange_strong_explicit(&reserve[i], &none, p, memory_order_seq_cst,
                                                     memory_order_relaxed))
            heap_free(p); // another core has been here
    }
}

void pbuf_free(struct pbuf *p)
{
    // The only reference cannot be doubled by anyone else meanwhile, so no read-modify-write is
    // needed.
    if (atomic_load_explicit(&p->refs, memory_order_acquire) != 1) { /* pairs: PBUF-REFS */
        uint32_t before = atomic_fetch_sub_explicit(&p->refs, 1,
                                                    memory_order_acq_rel); /* pairs: PBUF-REFS */
        require(before != 0);
        if (before != 1)
            return;
    }
    while (p) {
        struct pbuf *chain = p->chain;
        atomic_store_explicit(&p->refs, 0, memory_order_relaxed);
        heap_free(p);
        p = chain;
    }
}

bool pbuf_copy_out(const struct pbuf *p, uint32_t off, void *dst, uint32_t n)
{
    uint8_t *to = dst;
    if (off > p->total || n > p->total - off)
        return false;
    for (; n; p = p->chain) {
        require(p);
        if (off >= p->len) {
            off -= p->len;
            continue;
        }
        uint32_t here = MIN(n, p->len - off);
        memcpy(to, p->data + off, here);
        to += here;
        n -= here;
        off = 0;
    }
    return true;
}

bool pbuf_pull(struct pbuf *p, uint32_t n)
{
    if (n <= p->len)
        return true;
    if (n > p->total || n - p->len > pbuf_tailroom(p))
        return false;
    while (p->len < n) {
        struct pbuf *q = p->chain;
        uint32_t here = MIN(n - p->len, q->len);
        memcpy(p->data + p->len, q->data, here);
        p->len += here;
        q->data += here;
        q->len -= here;
        if (q->len == 0) {
            p->chain = q->chain;
            q->chain = NULL;
            pbuf_free(q);
        }
    }
    return true;
}

void pbuf_trim(struct pbuf *p, uint32_t n)
{
    require(n <= p->total);
    p->total = n;
    while (n > p->len) {
        n -= p->len;
        p = p->chain;
    }
    p->len = n;
    if (p->chain) {
        pbuf_free(p->chain);
        p->chain = NULL;
    }
}

void pbuf_append(struct pbuf *p, struct pbuf *q)
{
    p->total += q->total;
    while (p->chain)
        p = p->chain;
    p->chain = q;
}
