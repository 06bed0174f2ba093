// SPDX-License-Identifier: BSD-2-Clause
// What is known of each physical page, and the buddy allocator's interface to the per-core caches
// above it.
//
// 16 bytes a page (0.4 % of memory), found through a radix tree over the page number: 1 GiB, then
// 2 MiB, then the page. Only memory that is there has entries; the entries of 2 MiB are written
// when the allocator first needs pages there, so that booting does not touch memory in proportion
// to its size.
#ifndef KERNEL_PAGE_META_H
#define KERNEL_PAGE_META_H

#include <stdatomic.h>

#include "kernel/page.h"

#define CHUNK_SHIFT 9 // pages of a chunk, the unit in which entries come to be: 2 MiB
#define CHUNK_PAGES (1u << CHUNK_SHIFT)
#define LEAF_SHIFT 18 // pages of a leaf of the tree: 1 GiB
#define LEAF_CHUNKS (1u << (LEAF_SHIFT - CHUNK_SHIFT))
#define PFN_LIMIT (1u << 28) // 1 TiB

// Who owns the block of pages whose first page this is. Any page that does not begin a block is
// PAGE_NONE.
enum page_kind {
    PAGE_NONE,     // not the first page of a block, or no memory
    PAGE_FREE,     // on a free list; changes to and from this one only under the page lock
    PAGE_USED,     // handed out; owned by whoever has it
    PAGE_CACHED,   // free, in a core's cache; owned by that core
    PAGE_RESERVED, // free, in a core's reserve; owned by that core
};

struct page {
    // PAGE_FREE: links of the free list, page numbers, 0 for none. guard: page lock Heap pages:
    // links of the list of spans with free objects, or the pages of a large object in next.
    uint32_t next, prev;
    _Atomic(uint8_t) state;      // kind << 5 | order, by the owner
    _Atomic(uint8_t) heap_class; // 0: not the heap's. By the heap, while the page is its own
    // The heap's, guarded by the lock of the class. heap_used is SPAN_INNER in all pages but a
    // span's first, as long as the span lives, so that the owner of an object may look for that
    // value without the lock.
    _Atomic(uint16_t) heap_used; // objects of the span that are in caches or in use
    uint16_t heap_free; // 1 + offset / 16 of the first free object, 0: none; inner: pages before it
    uint16_t heap_fresh; // objects that have been handed out at least once
};

_Static_assert(sizeof(struct page) == 16, "the tables are sized for 16 bytes a page");

typedef _Atomic(struct page *) page_chunk;
extern _Atomic(page_chunk *) page_tree[PFN_LIMIT >> LEAF_SHIFT];

#define PAGE_STATE(kind, order) ((uint8_t)((kind) << 5 | (order)))

static inline void page_set_state(struct page *pg, enum page_kind kind, unsigned order)
{
    atomic_store_explicit(&pg->state, PAGE_STATE(kind, order), memory_order_relaxed);
}

static inline bool page_is(struct page *pg, enum page_kind kind, unsigned order)
{
    return atomic_load_explicit(&pg->state, memory_order_relaxed) == PAGE_STATE(kind, order);
}

// The entry of a page; NULL for an impossible number, and one that says PAGE_NONE and is not to be
// written if no memory is known there. Relaxed: who holds a pointer into a page
// got it after its entry had been made.
static inline struct page *page_of_pfn(uint64_t pfn)
{
    if (unlikely(pfn >= PFN_LIMIT))
        return NULL;
    page_chunk *leaf = atomic_load_explicit(&page_tree[pfn >> LEAF_SHIFT], memory_order_relaxed);
    struct page *chunk = atomic_load_explicit(&leaf[(pfn >> CHUNK_SHIFT) & (LEAF_CHUNKS - 1)],
                                              memory_order_relaxed);
    return chunk + (pfn & (CHUNK_PAGES - 1));
}

// The entry of a page of memory.
static inline struct page *page_known(uint32_t pfn)
{
    struct page *pg = page_of_pfn(pfn);
    if (!pg)
        __builtin_unreachable();
    return pg;
}

static inline uint64_t page_va_to_pfn(const void *va)
{
    return ((uintptr_t)va - direct_map_base) >> PAGE_SHIFT;
}

static inline void *page_pfn_to_va(uint64_t pfn) { return phys_to_virt(pfn << PAGE_SHIFT); }

// For any address; NULL if it is not in the direct map.
static inline struct page *page_of(const void *va) { return page_of_pfn(page_va_to_pfn(va)); }

// page_buddy.c. Page numbers; 0 means none.

// Up to n single pages into out, marked PAGE_CACHED; how many there were.
unsigned buddy_take(uint32_t *out, unsigned n);
// One page, marked PAGE_CACHED, for a fault handler; 0 also if this core holds the lock.
// Context: interrupts off.
uint32_t buddy_take_fault(void);
// Takes back n pages that are PAGE_CACHED.
void buddy_give(const uint32_t *pfn, unsigned n);
// 2^order pages aligned to their size, marked PAGE_USED.
uint32_t buddy_alloc(unsigned order);
void buddy_free(uint32_t pfn, unsigned order);
// Pages in free lists and in ranges not yet taken into use.
size_t buddy_free_count(void);

// page.c

// True if this allocation is to fail (page_fail_after).
bool page_fault_due(void);
// A block could not be had: gives the buddy what this core keeps, and asks the other cores to do
// the same. True if that may have helped. Context: preemptible or not, no lock held but the
// heap's.
bool page_retry(void);

#endif
