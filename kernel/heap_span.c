// SPDX-License-Identifier: BSD-2-Clause
// Spans: runs of pages cut into objects of one size class, and the central stock of each class.
//
// All that is known of a span stands in the page entries (struct page): counts and free list in
// that of its first page, the way back to it in the others. A span is never larger than 16 pages
// and lies in one aligned block, so its entries stand side by side. Spans with a free object are
// on their class's list, full ones on none; one span of which every object is free is kept a
// class, so that a single object coming and going does not move pages, and all others go back to
// the page allocator.
//
// Sizes: 16, 32, 48, 64 to 512 in steps of 64, then eight steps to each doubling up to 32 KiB.
// Beyond 64 bytes all are multiples of 64: objects share no cache line. From 512 bytes on a class
// wastes less than an eighth of an object, and a span's pages are chosen so that at most a
// sixteenth is left over at its end.
//
// An object that was never handed out is not linked anywhere: heap_fresh counts those that were,
// so new spans are not touched before their objects are.
//
// Lock order: one lock a class (LOCK_HEAP), never two; the page allocator is called under it.

#include "kernel/heap_int.h"
#include "kernel/panic.h"
#include "kernel/preempt.h"

struct stock {
    _Alignas(CACHE_LINE) struct spinlock lock;
    uint32_t partial;      // first span with a free object; page number, 0 for none. guard: lock
    uint32_t spare;        // a span without any object outside. guard: lock
    _Atomic(size_t) out;   // objects outside spans; written under lock
    _Atomic(size_t) pages; // of all spans; written under lock
    _Atomic(size_t) returned; // pages given back since boot; written under lock
};

struct heap_class heap_class[HEAP_CLASSES + 1];
static struct stock stock[HEAP_CLASSES + 1];

static inline void add(_Atomic(size_t) *c, size_t plus)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + plus,
                          memory_order_relaxed);
}

static inline uint16_t used(struct page *span)
{
    return atomic_load_explicit(&span->heap_used, memory_order_relaxed);
}

static inline void set_used(struct page *span, unsigned n)
{
    atomic_store_explicit(&span->heap_used, (uint16_t)n, memory_order_relaxed);
}

static void set_class(struct heap_class *c, uint32_t size)
{
    c->size = size;
    c->recip = (uint32_t)((((uint64_t)1 << 32) + size - 1) / size);
    for (c->pages = 1; c->pages < SPAN_MAX_PAGES; c->pages++) {
        uint32_t bytes = (uint32_t)(c->pages * PAGE_SIZE);
        if (bytes >= size && bytes % size * 16 <= bytes)
            break;
    }
    c->objs = (uint16_t)(c->pages * PAGE_SIZE / size);
    c->batch = (uint16_t)MAX(MIN(8192 / size, 32), 1);
    c->limit = (uint16_t)MAX(MIN(65536 / size, 256), 2);
    if (HOSTILE) {
        c->batch = 1;
        c->limit = 2;
    }
}

void heap_span_init(void)
{
    unsigned cls = 0;
    for (uint32_t size = 16; size <= HEAP_MAX_CLASS; ) {
        set_class(&heap_class[++cls], size);
        spin_init(&stock[cls].lock, LOCK_HEAP);
        if (size < 64)
            size += 16;
        else if (size < 512)
            size += 64;
        else
            size += 1u << (31 - __builtin_clz(size) - 3);
    }
    require(cls == HEAP_CLASSES);
}

unsigned heap_class_of(size_t n)
{
    if (n <= 64)
        return n ? (unsigned)(n - 1) / 16 + 1 : 1;
    if (n <= 512)
        return (unsigned)(n - 1) / 64 + 4;
    // Of sizes (2^k, 2^(k+1)], each step is 2^(k-3).
    unsigned k = 63 - (unsigned)__builtin_clzll(n - 1);
    return 11 + (k - 9) * 8 + (unsigned)((n - 1) >> (k - 3)) - 7;
}

// The functions that follow run under the lock of the class, up to the public ones.

static inline struct page *first_page(struct page *pg)
{
    return used(pg) == SPAN_INNER ? pg - pg->heap_free : pg;
}

static void partial_push(struct stock *s, struct page *span, uint32_t pfn)
{
    span->next = s->partial;
    span->prev = 0;
    if (s->partial)
        page_known(s->partial)->prev = pfn;
    s->partial = pfn;
}

static void partial_remove(struct stock *s, struct page *span)
{
    if (span->prev)
        page_known(span->prev)->next = span->next;
    else
        s->partial = span->next;
    if (span->next)
        page_known(span->next)->prev = span->prev;
}

static uint32_t span_new(unsigned cls)
{
    struct heap_class *c = &heap_class[cls];
    void *start = page_alloc_run(c->pages, 0);
    if (!start)
        return 0;
    uint32_t pfn = (uint32_t)page_va_to_pfn(start);
    struct page *span = page_known(pfn);
    for (unsigned i = 0; i < c->pages; i++) {
        set_used(&span[i], i ? SPAN_INNER : 0);
        span[i].heap_free = (uint16_t)i;
        span[i].heap_fresh = 0;
        atomic_store_explicit(&span[i].heap_class, (uint8_t)cls, memory_order_relaxed);
    }
    add(&stock[cls].pages, c->pages);
    return pfn;
}

static void span_release(unsigned cls, uint32_t pfn)
{
    struct heap_class *c = &heap_class[cls];
    struct page *span = page_known(pfn);
    for (unsigned i = 0; i < c->pages; i++)
        atomic_store_explicit(&span[i].heap_class, 0, memory_order_relaxed);
    add(&stock[cls].pages, 0 - (size_t)c->pages);
    add(&stock[cls].returned, c->pages);
    page_free_run(page_pfn_to_va(pfn), c->pages);
}

// Takes up to n objects from a span, in front of *list.
static unsigned span_take(struct heap_class *c, struct page *span, uint32_t pfn, unsigned n,
                          void **list)
{
    char *start = page_pfn_to_va(pfn);
    unsigned got = 0;
    for (; got < n; got++) {
        void **obj;
        if (span->heap_free) {
            obj = (void **)(start + (size_t)(span->heap_free - 1) * 16);
            char *next = obj[0];
            span->heap_free = next ? (uint16_t)((next - start) / 16 + 1) : 0;
        } else if (span->heap_fresh < c->objs) {
            obj = (void **)(start + (size_t)span->heap_fresh++ * c->size);
            obj[1] = (void *)heap_free_mark(obj);
            if (DEBUG)
                heap_guard_fresh(obj, c->size);
        } else {
            break;
        }
        obj[0] = *list;
        *list = obj;
    }
    set_used(span, used(span) + got);
    return got;
}

static void *bad_object(const void *p)
{
    throw("free: %p is not the start of an object", p);
}

static void object_give(unsigned cls, struct stock *s, void **obj)
{
    struct heap_class *c = &heap_class[cls];
    struct page *pg = page_of(obj);
    heap_span_check(obj, pg);
    struct page *span = first_page(pg);
    uint32_t pfn = (uint32_t)(page_va_to_pfn(obj) - (uint64_t)(pg - span));
    char *start = page_pfn_to_va(pfn);
    unsigned n = used(span);
    if (unlikely(n == 0 || n > c->objs))
        throw("free: %p is free already", (void *)obj);
    bool was_full = !span->heap_free && span->heap_fresh == c->objs;
    obj[0] = span->heap_free ? start + (size_t)(span->heap_free - 1) * 16 : NULL;
    span->heap_free = (uint16_t)(((char *)obj - start) / 16 + 1);
    set_used(span, n - 1);
    if (n > 1) {
        if (was_full)
            partial_push(s, span, pfn);
        return;
    }
    if (!was_full)
        partial_remove(s, span);
    if (s->spare == 0 && !HOSTILE)
        s->spare = pfn;
    else
        span_release(cls, pfn);
}

void heap_span_check(const void *p, struct page *pg)
{
    unsigned cls = pg ? atomic_load_explicit(&pg->heap_class, memory_order_relaxed) : 0;
    if (unlikely(cls == 0 || cls > HEAP_CLASSES))
        bad_object(p);
    struct heap_class *c = &heap_class[cls];
    uint64_t off = ((uintptr_t)p & (PAGE_SIZE - 1)) +
                   (uint64_t)(pg - first_page(pg)) * PAGE_SIZE;
    uint64_t i = off * c->recip >> 32;
    if (unlikely(i * c->size != off || i >= c->objs))
        bad_object(p);
}

unsigned heap_span_take(unsigned cls, unsigned n, void **list)
{
    struct heap_class *c = &heap_class[cls];
    struct stock *s = &stock[cls];
    unsigned got = 0;
    *list = NULL;
    spin_lock(&s->lock);
    while (got < n) {
        uint32_t pfn = s->partial;
        struct page *span;
        if (pfn) {
            span = page_known(pfn);
            partial_remove(s, span);
        } else {
            pfn = s->spare;
            s->spare = 0;
            if (!pfn && !(pfn = span_new(cls)))
                break;
            span = page_known(pfn);
        }
        got += span_take(c, span, pfn, n - got, list);
        if (span->heap_free || span->heap_fresh < c->objs)
            partial_push(s, span, pfn);
    }
    add(&s->out, got);
    spin_unlock(&s->lock);
    return got;
}

void *heap_span_give(unsigned cls, void *list, unsigned n)
{
    struct stock *s = &stock[cls];
    spin_lock(&s->lock);
    for (unsigned i = 0; i < n; i++) {
        void **obj = list;
        list = obj[0];
        object_give(cls, s, obj);
    }
    add(&s->out, 0 - (size_t)n);
    spin_unlock(&s->lock);
    return list;
}

void heap_span_trim(void)
{
    for (unsigned cls = 1; cls <= HEAP_CLASSES; cls++) {
        struct stock *s = &stock[cls];
        spin_lock(&s->lock);
        if (s->spare) {
            span_release(cls, s->spare);
            s->spare = 0;
        }
        spin_unlock(&s->lock);
    }
}

size_t heap_span_out(unsigned cls)
{
    return atomic_load_explicit(&stock[cls].out, memory_order_relaxed);
}

size_t heap_span_pages(unsigned cls)
{
    return atomic_load_explicit(&stock[cls].pages, memory_order_relaxed);
}

size_t heap_span_returned(void)
{
    size_t n = 0;
    for (unsigned cls = 1; cls <= HEAP_CLASSES; cls++)
        n += atomic_load_explicit(&stock[cls].returned, memory_order_relaxed);
    return n;
}
