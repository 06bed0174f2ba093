// SPDX-License-Identifier: BSD-2-Clause
// The buddy allocator: free blocks of 2^order pages, aligned to their size, one list an order.
//
// A block that is freed merges with its buddy, the block beside it that together with it makes an
// aligned block of the next order, as long as that is free too. Everything about a block stands
// in the entry of its first page (struct page); every other page is PAGE_NONE. Hence a wrong
// pointer or a second free is seen by the state of one byte.
//
// Memory given to page_add_range is not put on the lists at once: a range remembers how far it is
// in use and gives up 2 MiB when the lists cannot serve a request. Entries are written then, in
// tables that were set aside at the beginning of the range. Chunks that lie partly outside a
// range, which another range may share, get their entries at once.
//
// Invariants: PAGE_FREE is entered and left only under buddy.lock, so that whoever holds it may
// trust that state (and the order in it) in any page, while all other states belong to the page's
// owner. No two free buddies of equal order below PAGE_MAX_ORDER exist. Page 0 is never handed
// out: 0 ends lists.
//
// Lock order: buddy.lock (LOCK_PAGE) is the last but the console's; nothing is called under it.

#include "kernel/page_meta.h"
#include "kernel/panic.h"
#include "kernel/preempt.h"
#include "lib/words.h"

#define ORDERS (PAGE_MAX_ORDER + 1)
#define MAX_RANGES 64
#define CHUNK_TABLE_PAGES (CHUNK_PAGES * sizeof(struct page) / PAGE_SIZE)

_Atomic(page_chunk *) page_tree[PFN_LIMIT >> LEAF_SHIFT];
// What the tree holds where no memory is known, so that a lookup need not ask.
static page_chunk no_chunks[LEAF_CHUNKS];
static struct page no_pages[CHUNK_PAGES];

// Memory not yet in use. guard: buddy.lock
struct range {
    uint32_t next, end;  // its pages, [next, end)
    uint32_t first_chunk; // whose entries table[0] begins
    struct page *table;   // entries for the chunks that lie in the range as a whole
};

static struct {
    struct spinlock lock;
    uint32_t nonempty;     // bit n: head[n] is not 0
    uint32_t head[ORDERS]; // first block of each order
    struct range range[MAX_RANGES];
    unsigned n_ranges, cur_range;
    // Written under lock, read by anyone.
    _Atomic(size_t) total, free;
} buddy = { .lock = SPINLOCK_INIT(LOCK_PAGE) };

static inline void count(_Atomic(size_t) *c, size_t plus)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + plus,
                          memory_order_relaxed);
}

// The functions that follow, up to the public ones, run under buddy.lock (or at boot, alone).

static void list_push(uint32_t pfn, unsigned order)
{
    struct page *pg = page_known(pfn);
    uint32_t first = buddy.head[order];
    pg->next = first;
    pg->prev = 0;
    if (first)
        page_known(first)->prev = pfn;
    buddy.head[order] = pfn;
    buddy.nonempty |= 1u << order;
    page_set_state(pg, PAGE_FREE, order);
}

static void list_remove(struct page *pg, unsigned order)
{
    if (pg->prev)
        page_known(pg->prev)->next = pg->next;
    else if (!(buddy.head[order] = pg->next))
        buddy.nonempty &= ~(1u << order);
    if (pg->next)
        page_known(pg->next)->prev = pg->prev;
    page_set_state(pg, PAGE_NONE, 0);
}

static void free_block(uint32_t pfn, unsigned order)
{
    page_set_state(page_known(pfn), PAGE_NONE, 0);
    while (order < PAGE_MAX_ORDER) {
        struct page *other = page_known(pfn ^ (1u << order));
        if (!page_is(other, PAGE_FREE, order))
            break;
        list_remove(other, order);
        pfn &= ~(1u << order);
        order++;
    }
    list_push(pfn, order);
}

// Any run of pages, as the largest aligned blocks that fit.
static void free_run(uint32_t pfn, uint32_t n)
{
    while (n > 0) {
        unsigned order = MIN((unsigned)__builtin_ctz(pfn), 31u - (unsigned)__builtin_clz(n));
        order = MIN(order, (unsigned)PAGE_MAX_ORDER);
        free_block(pfn, order);
        pfn += 1u << order;
        n -= 1u << order;
    }
}

static bool chunk_known(uint32_t chunk)
{
    return page_known(chunk << CHUNK_SHIFT) != no_pages;
}

// Makes the entries of a chunk known, all PAGE_NONE.
static void add_chunk(uint32_t chunk, struct page *entries)
{
    page_chunk *leaf = atomic_load_explicit(&page_tree[chunk / LEAF_CHUNKS], memory_order_relaxed);
    words_zero(entries, CHUNK_PAGES * sizeof(struct page));
    atomic_store_explicit(&leaf[chunk % LEAF_CHUNKS], entries, memory_order_relaxed);
}

// Puts the next piece of a range on the lists; false when all ranges are used up.
static bool grow(void)
{
    while (buddy.cur_range < buddy.n_ranges) {
        struct range *r = &buddy.range[buddy.cur_range];
        if (r->next == r->end) {
            buddy.cur_range++;
            continue;
        }
        uint32_t chunk = r->next >> CHUNK_SHIFT;
        uint32_t end = MIN(r->end, (chunk + 1) << CHUNK_SHIFT);
        if (!chunk_known(chunk)) {
            struct page *entries = r->table + ((chunk - r->first_chunk) << CHUNK_SHIFT);
            add_chunk(chunk, entries);
        }
        free_run(r->next, end - r->next);
        r->next = end;
        return true;
    }
    return false;
}

static uint32_t alloc_block(unsigned order, enum page_kind kind)
{
    while (!(buddy.nonempty >> order))
        if (!grow())
            return 0;
    unsigned o = order + (unsigned)__builtin_ctz(buddy.nonempty >> order);
    uint32_t pfn = buddy.head[o];
    struct page *pg = page_known(pfn);
    list_remove(pg, o);
    while (o > order) {
        o--;
        list_push(pfn + (1u << o), o);
    }
    page_set_state(pg, kind, order);
    return pfn;
}

// n pages of any number are blocks of falling order: the set bits of n from the top. They are
// aligned because the first page is aligned to more than n.
static void mark_run_used(uint32_t pfn, uint32_t n)
{
    while (n > 0) {
        unsigned order = 31u - (unsigned)__builtin_clz(n);
        page_set_state(page_known(pfn), PAGE_USED, order);
        pfn += 1u << order;
        n -= 1u << order;
    }
}

static void check_run_used(uint32_t pfn, uint32_t n, const char *who)
{
    while (n > 0) {
        unsigned order = 31u - (unsigned)__builtin_clz(n);
        struct page *pg = page_of_pfn(pfn);
        if (unlikely(!pg || !page_is(pg, PAGE_USED, order)))
            throw("%s: %p is not the start of such a block", who, page_pfn_to_va(pfn));
        page_set_state(pg, PAGE_NONE, 0);
        pfn += 1u << order;
        n -= 1u << order;
    }
}

// Boot: the tables for [start, end) are cut off its beginning. Returns the first page left, which
// may be end.
static uint32_t set_up_tables(uint32_t start, uint32_t end, struct range *r)
{
    uint32_t at = start;
    for (uint32_t l = start >> LEAF_SHIFT; l <= (end - 1) >> LEAF_SHIFT; l++) {
        if (atomic_load_explicit(&page_tree[l], memory_order_relaxed) != no_chunks)
            continue;
        if (at == end)
            return end;
        page_chunk *leaf = page_pfn_to_va(at++);
        words_copy(leaf, no_chunks, PAGE_SIZE);
        atomic_store_explicit(&page_tree[l], leaf, memory_order_relaxed);
    }
    uint32_t first = start >> CHUNK_SHIFT, last = (end - 1) >> CHUNK_SHIFT;
    uint32_t edge[2] = { first, last };
    for (int i = 0; i < (first == last ? 1 : 2); i++) {
        bool whole = start <= edge[i] << CHUNK_SHIFT && end >= (edge[i] + 1) << CHUNK_SHIFT;
        if (whole || chunk_known(edge[i]))
            continue;
        if (end - at < CHUNK_TABLE_PAGES)
            return end;
        struct page *entries = page_pfn_to_va(at);
        at += CHUNK_TABLE_PAGES;
        add_chunk(edge[i], entries);
    }
    uint32_t lo = ROUND_UP(start, CHUNK_PAGES) >> CHUNK_SHIFT, hi = end >> CHUNK_SHIFT;
    r->first_chunk = lo;
    r->table = page_pfn_to_va(at);
    if (hi > lo) {
        if (end - at < (hi - lo) * CHUNK_TABLE_PAGES)
            return end;
        at += (hi - lo) * CHUNK_TABLE_PAGES;
    }
    return at;
}

static void init_tree(void)
{
    for (unsigned i = 0; i < LEAF_CHUNKS; i++)
        atomic_store_explicit(&no_chunks[i], no_pages, memory_order_relaxed);
    for (unsigned i = 0; i < ARRAY_LEN(page_tree); i++)
        atomic_store_explicit(&page_tree[i], no_chunks, memory_order_relaxed);
}

void page_add_range(uint64_t start, uint64_t end)
{
    uint64_t lo = MAX((start + PAGE_SIZE - 1) >> PAGE_SHIFT, 1u);
    uint64_t hi = MIN(end >> PAGE_SHIFT, PFN_LIMIT);
    if (lo >= hi)
        return;
    spin_lock(&buddy.lock);
    if (!page_tree[0])
        init_tree();
    struct range r = { 0 };
    r.next = set_up_tables((uint32_t)lo, (uint32_t)hi, &r);
    r.end = (uint32_t)hi;
    count(&buddy.total, r.end - r.next);
    count(&buddy.free, r.end - r.next);
    // A memory map with so many pieces has small ones: take old ones into use to make room.
    while (buddy.n_ranges == MAX_RANGES) {
        struct range *old = &buddy.range[buddy.cur_range];
        if (buddy.cur_range == buddy.n_ranges)
            buddy.n_ranges = buddy.cur_range = 0;
        else if (old->next == old->end)
            *old = buddy.range[--buddy.n_ranges];
        else
            grow();
    }
    if (r.next < r.end)
        buddy.range[buddy.n_ranges++] = r;
    spin_unlock(&buddy.lock);
}

size_t page_total(void)
{
    return atomic_load_explicit(&buddy.total, memory_order_relaxed);
}

size_t buddy_free_count(void)
{
    return atomic_load_explicit(&buddy.free, memory_order_relaxed);
}

unsigned buddy_take(uint32_t *out, unsigned n)
{
    unsigned got = 0;
    spin_lock(&buddy.lock);
    while (got < n && (out[got] = alloc_block(0, PAGE_CACHED)) != 0)
        got++;
    count(&buddy.free, 0 - (size_t)got);
    spin_unlock(&buddy.lock);
    return got;
}

// A fault handler runs on top of whatever this core was doing, which may be anything but holding
// buddy.lock when the lock is taken here: other cores that hold it do not wait for this one. For
// the order of locks the handler stands by itself, and it must not yield at the unlock.
uint32_t buddy_take_fault(void)
{
    if (spin_held_by_me(&buddy.lock))
        return 0;
    struct g *gp = getg();
    uint32_t pfn;
    uint64_t ranks_held = gp->m->ranks_held;
    gp->m->ranks_held = 0;
    preempt_disable();
    unsigned got = buddy_take(&pfn, 1);
    preempt_enable_quiet();
    gp->m->ranks_held = ranks_held;
    return got ? pfn : 0;
}

void buddy_give(const uint32_t *pfn, unsigned n)
{
    spin_lock(&buddy.lock);
    for (unsigned i = 0; i < n; i++)
        free_block(pfn[i], 0);
    count(&buddy.free, n);
    spin_unlock(&buddy.lock);
}

uint32_t buddy_alloc(unsigned order)
{
    spin_lock(&buddy.lock);
    uint32_t pfn = alloc_block(order, PAGE_USED);
    if (pfn)
        count(&buddy.free, 0 - ((size_t)1 << order));
    spin_unlock(&buddy.lock);
    return pfn;
}

void buddy_free(uint32_t pfn, unsigned order)
{
    spin_lock(&buddy.lock);
    free_block(pfn, order);
    count(&buddy.free, (size_t)1 << order);
    spin_unlock(&buddy.lock);
}

static uint32_t alloc_run(uint32_t n, unsigned order)
{
    spin_lock(&buddy.lock);
    uint32_t pfn = alloc_block(order, PAGE_USED);
    if (pfn) {
        mark_run_used(pfn, n);
        free_run(pfn + n, (1u << order) - n);
        count(&buddy.free, 0 - (size_t)n);
    }
    spin_unlock(&buddy.lock);
    return pfn;
}

void *page_alloc_run(size_t n, unsigned align_order)
{
    require(n > 0 && align_order <= PAGE_MAX_ORDER);
    if (n > (size_t)1 << PAGE_MAX_ORDER)
        return NULL;
    unsigned order = n == 1 ? 0 : 32u - (unsigned)__builtin_clz((uint32_t)n - 1);
    order = MAX(order, align_order);
    if (n == (size_t)1 << order)
        return page_alloc(order);
    if (unlikely(page_fault_due()))
        return NULL;
    uint32_t pfn = alloc_run((uint32_t)n, order);
    if (unlikely(!pfn) && page_retry())
        pfn = alloc_run((uint32_t)n, order);
    return pfn ? page_pfn_to_va(pfn) : NULL;
}

void page_free_run(void *p, size_t n)
{
    require(n > 0);
    if ((n & (n - 1)) == 0) {
        page_free(p, (unsigned)__builtin_ctzll(n));
        return;
    }
    uint32_t pfn = (uint32_t)MIN(page_va_to_pfn(p), PFN_LIMIT);
    spin_lock(&buddy.lock);
    check_run_used(pfn, (uint32_t)n, "page_free_run");
    free_run(pfn, (uint32_t)n);
    count(&buddy.free, n);
    spin_unlock(&buddy.lock);
}

void page_trim_run(void *p, size_t n, size_t keep)
{
    require(keep > 0 && keep <= n);
    if (keep == n)
        return;
    uint32_t pfn = (uint32_t)MIN(page_va_to_pfn(p), PFN_LIMIT);
    spin_lock(&buddy.lock);
    check_run_used(pfn, (uint32_t)n, "page_trim_run");
    mark_run_used(pfn, (uint32_t)keep);
    free_run(pfn + (uint32_t)keep, (uint32_t)(n - keep));
    count(&buddy.free, n - keep);
    spin_unlock(&buddy.lock);
}
