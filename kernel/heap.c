// SPDX-License-Identifier: BSD-2-Clause
// The heap: malloc and free of the kernel and of the application.
//
// Each core keeps a list of free objects of each size class. Allocation pops from it, freeing
// pushes onto it, whichever core the object came from; both take some dozens of instructions, no
// lock and no atomic read-modify-write, because the lists belong to whoever runs on the core with
// preemption disabled. Lists are filled from and emptied into spans (heap_span.c) in batches,
// under a lock a class. So an object that is freed far from where it was allocated costs its
// share of one batch, on either side.
//
// Lists belong to cores and not to Ps. A P runs on one core at a time and a core runs one P, so
// on the paths of goroutines that is the same thing; but a core without a P, in its idle loop or
// in a goroutine that is in a blocking call, allocates just as well, and a P that moves leaves
// nothing behind that someone must hand over.
//
// How much a list may hold starts at nothing and grows by a batch each time it runs empty or
// over, as long as the core stays within its budget, a share of memory; beyond that it grows at
// the expense of the other lists in turn.
//
// Objects above 32 KiB are runs of whole pages, taken from and given to the page allocator.
//
// Lock order: heap.c holds no lock of its own.
//
// Rejected: free lists in each span with an owner core, remote frees by compare-and-swap: an
// atomic operation and a foreign cache line for every remote free instead of a share of a batch,
// and spans stranded with cores.

#include <errno.h>

#include "kernel/heap_int.h"
#include "kernel/panic.h"
#include "kernel/preempt.h"
#include "lib/words.h"

struct heap_core *heap_cores[MAX_CORES];

// Of cores that have not been given lists yet: every list empty, and no room in any.
static struct heap_core no_core;
static struct heap_core boot_core;
static unsigned n_cores;

// heap_alloc takes the short way for 1 to fast_limit bytes; 0 while each allocation has to be
// looked at.
static _Atomic(size_t) fast_limit;
static uint8_t small_class[HEAP_SMALL / 16];
static _Atomic(int64_t) fail_after; // allocations until one is made to fail; 0: none is

static _Atomic(size_t) large_objects, large_pages, large_allocs, large_returned; // pages

static inline uint64_t get_count(struct heap_list *l)
{
    return atomic_load_explicit(&l->count, memory_order_relaxed);
}

static inline void set_count(struct heap_list *l, uint64_t count)
{
    atomic_store_explicit(&l->count, count, memory_order_relaxed);
}

static inline unsigned get_max(struct heap_core *hc, unsigned cls)
{
    return atomic_load_explicit(&hc->max[cls], memory_order_relaxed);
}

// Objects in a list.
static inline unsigned list_length(struct heap_core *hc, unsigned cls)
{
    return get_max(hc, cls) - (unsigned)(get_count(&hc->list[cls]) & HEAP_ROOM);
}

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

// Context: preemption disabled.
static inline struct heap_core *mine(void) { return heap_cores[getg()->m->id]; }

// Returns the first n objects of a list to their spans.
static void flush_list(struct heap_core *hc, unsigned cls, unsigned n)
{
    struct heap_list *l = &hc->list[cls];
    l->head = heap_span_give(cls, l->head, n);
    set_count(l, get_count(l) + n);
}

static void set_max(struct heap_core *hc, unsigned cls, unsigned max)
{
    struct heap_list *l = &hc->list[cls];
    unsigned was = get_max(hc, cls);
    if (list_length(hc, cls) > max)
        flush_list(hc, cls, list_length(hc, cls) - max);
    hc->allowance += ((size_t)max - was) * heap_class[cls].size;
    set_count(l, get_count(l) + max - was);
    atomic_store_explicit(&hc->max[cls], (uint16_t)max, memory_order_relaxed);
}

static size_t budget(void)
{
    if (HOSTILE)
        return 4096;
    size_t share = page_total() * (PAGE_SIZE / 32) / MAX(n_cores, 1u);
    return MAX(MIN(share, (size_t)4 << 20), (size_t)64 << 10);
}

// Halves what the next list in turn may hold; false if there is none but that of spared.
static bool cut_allowance(struct heap_core *hc, unsigned spared)
{
    for (unsigned i = 0; i < HEAP_CLASSES; i++) {
        unsigned cls = hc->victim = hc->victim % HEAP_CLASSES + 1;
        if (cls == spared || get_max(hc, cls) == 0)
            continue;
        set_max(hc, cls, get_max(hc, cls) / 2);
        return true;
    }
    return false;
}

// Lets a list hold a batch more; false if it is at its limit.
static bool grow_list(struct heap_core *hc, unsigned cls)
{
    const struct heap_class *c = &heap_class[cls];
    unsigned max = get_max(hc, cls), more = MIN(c->batch, c->limit - max);
    if (more == 0)
        return false;
    size_t most = budget();
    while (hc->allowance + (size_t)more * c->size > most)
        if (!cut_allowance(hc, cls))
            return false;
    set_max(hc, cls, max + more);
    return true;
}

// Everything the core holds goes back to the spans. Context: preemption disabled.
static void flush_core(struct heap_core *hc)
{
    for (unsigned cls = 1; cls <= HEAP_CLASSES; cls++)
        if (list_length(hc, cls) > 0)
            flush_list(hc, cls, list_length(hc, cls));
}

void heap_trim(void)
{
    preempt_disable();
    flush_core(mine());
    preempt_enable();
    heap_span_trim();
}

// A preemption was asked for while the short way ran. Out of line, so that it needs to save no
// registers.
static __attribute__((noinline)) void *yield_with(void *obj)
{
    preempt_yield();
    return obj;
}

// The end of an allocation: preempt_enable, with obj as the value.
static inline __attribute__((always_inline)) void *handed_out(struct g *gp, uintptr_t *obj)
{
    if (DEBUG && obj[1] != heap_free_mark(obj))
        throw("malloc: %p was written to while it was free", (void *)obj);
    obj[1] = 0;
    barrier();
    if (--gp->preempt_off == 0 &&
        unlikely(atomic_load_explicit(&gp->preempt_pending, memory_order_relaxed) || HOSTILE))
        return yield_with(obj);
    return obj;
}

// Context: preemption disabled, which ends here; the list of cls is empty.
static __attribute__((noinline)) void *take_slow(struct heap_core *hc, unsigned cls)
{
    struct heap_list *l = &hc->list[cls];
    void *list;
    unsigned got, n = 1;
    if (hc != &no_core) {
        grow_list(hc, cls);
        n = MAX(MIN(heap_class[cls].batch, get_max(hc, cls)), 1);
    }
    got = heap_span_take(cls, n, &list);
    if (unlikely(got == 0)) {
        // Pages may come back from this core's other lists. The page allocator has asked the
        // other cores.
        flush_core(hc);
        heap_span_trim();
        got = heap_span_take(cls, 1, &list);
        if (got == 0) {
            preempt_enable();
            return no_memory();
        }
    }
    void **obj = list;
    if (got > 1)
        l->head = obj[0];
    // no_core's counts are written by several cores.
    if (hc != &no_core)
        set_count(l, get_count(l) + HEAP_ONE_ALLOC - (got - 1));
    else
        atomic_fetch_add_explicit(&l->count, HEAP_ONE_ALLOC, memory_order_relaxed);
    return handed_out(getg(), list);
}

// Takes an object from the core's list: the whole of the short way, hence always inline.
static inline __attribute__((always_inline)) void *take(unsigned cls)
{
    struct g *gp = getg();
    preempt_disable();
    struct heap_core *hc = mine();
    struct heap_list *l = &hc->list[cls];
    uintptr_t *obj = l->head;
    if (unlikely(!obj))
        return take_slow(hc, cls);
    l->head = (void *)obj[0];
    set_count(l, get_count(l) + HEAP_ONE_ALLOC + 1);
    return handed_out(gp, obj);
}

static void *large_alloc(size_t align, size_t n)
{
    if (n > SIZE_MAX - PAGE_SIZE || align > PAGE_SIZE << PAGE_MAX_ORDER)
        return no_memory();
    size_t pages = MAX(ROUND_UP(n, PAGE_SIZE) >> PAGE_SHIFT, 1u);
    unsigned order = align > PAGE_SIZE ? (unsigned)__builtin_ctzll(align) - PAGE_SHIFT : 0;
    void *p = page_alloc_run(pages, order);
    if (unlikely(!p)) {
        heap_trim();
        p = page_alloc_run(pages, order);
        if (!p)
            return no_memory();
    }
    struct page *pg = page_known((uint32_t)page_va_to_pfn(p));
    pg->next = (uint32_t)pages;
    atomic_store_explicit(&pg->heap_class, HEAP_LARGE, memory_order_relaxed);
    atomic_fetch_add_explicit(&large_objects, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&large_allocs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&large_pages, pages, memory_order_relaxed);
    return p;
}

static void large_free(void *p, struct page *pg)
{
    size_t pages = pg->next;
    atomic_store_explicit(&pg->heap_class, 0, memory_order_relaxed);
    atomic_fetch_sub_explicit(&large_objects, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&large_pages, pages, memory_order_relaxed);
    atomic_fetch_add_explicit(&large_returned, pages, memory_order_relaxed);
    page_free_run(p, pages);
}

// True if this is the allocation that is to fail.
static bool fault_due(void)
{
    int64_t n = atomic_load_explicit(&fail_after, memory_order_relaxed);
    while (n > 0)
        if (atomic_compare_exchange_weak_explicit(&fail_after, &n, n - 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return n == 1;
    return false;
}

int64_t heap_fail_after(int64_t n)
{
    int64_t left = atomic_exchange_explicit(&fail_after, MAX(n, 0), memory_order_relaxed);
    atomic_store_explicit(&fast_limit, n > 0 || DEBUG ? 0 : HEAP_SMALL, memory_order_relaxed);
    return left;
}

static inline bool is_large(struct page *pg)
{
    return atomic_load_explicit(&pg->heap_class, memory_order_relaxed) == HEAP_LARGE;
}

// The bytes that belong to an object, its guard included. Throws if p is not where one may begin.
static inline size_t room_of(const void *p, struct page *pg)
{
    unsigned cls = pg ? atomic_load_explicit(&pg->heap_class, memory_order_relaxed) : 0;
    if (cls == HEAP_LARGE && ((uintptr_t)p & (PAGE_SIZE - 1)) == 0)
        return (size_t)pg->next << PAGE_SHIFT;
    heap_span_check(p, pg);
    return heap_class[cls].size;
}

// Any size and alignment. align is a power of two.
static void *alloc_any(size_t align, size_t n, const void *site)
{
    if (unlikely(atomic_load_explicit(&fail_after, memory_order_relaxed)) && fault_due())
        return no_memory();
    size_t room = n;
    if (DEBUG) {
        // The guard must not cost a power of two its alignment.
        if (n > SIZE_MAX - HEAP_GUARD)
            return no_memory();
        if (n <= PAGE_SIZE && (n & (n - 1)) == 0)
            align = MAX(align, n);
        room = MAX(n, 16u) + HEAP_GUARD;
    }
    void *p;
    if (room <= HEAP_MAX_CLASS && align <= PAGE_SIZE) {
        unsigned cls = heap_class_of(room);
        while (heap_class[cls].size & (align - 1))
            cls++;
        p = take(cls);
    } else {
        p = large_alloc(align, room);
        if (DEBUG && p)
            heap_guard_fresh(p, room_of(p, page_of(p)));
    }
    if (DEBUG && p)
        heap_guard_set(p, room_of(p, page_of(p)), n, site);
    return p;
}

void *heap_alloc(size_t n)
{
    if (likely(n - 1 < atomic_load_explicit(&fast_limit, memory_order_relaxed)))
        return take(small_class[(n - 1) / 16]);
    return alloc_any(16, n, __builtin_return_address(0));
}

void *heap_zalloc(size_t n)
{
    void *p;
    if (likely(n - 1 < atomic_load_explicit(&fast_limit, memory_order_relaxed)))
        p = take(small_class[(n - 1) / 16]);
    else
        p = alloc_any(16, n, __builtin_return_address(0));
    if (likely(p)) {
        size_t whole = DEBUG ? ROUND_DOWN(n, 16) : ROUND_UP(n, 16);
        words_zero(p, whole);
        for (size_t i = whole; i < n; i++)
            ((volatile char *)p)[i] = 0;
    }
    return p;
}

void *heap_aligned_alloc(size_t align, size_t n)
{
    if (align == 0 || (align & (align - 1))) {
        errno = EINVAL;
        return NULL;
    }
    return alloc_any(MAX(align, 16u), n, __builtin_return_address(0));
}

void *heap_alloc_at(size_t align, size_t n, const void *site)
{
    return alloc_any(MAX(align, 16u), n, site);
}

// Context: preemption disabled, which ends here; the list of cls is full.
static __attribute__((noinline)) void give_slow(struct heap_core *hc, unsigned cls, uintptr_t *obj)
{
    struct heap_list *l = &hc->list[cls];
    obj[1] = heap_free_mark(obj);
    if (hc != &no_core && (grow_list(hc, cls) || get_max(hc, cls) > 0)) {
        if ((get_count(l) & HEAP_ROOM) == 0)
            flush_list(hc, cls, MIN(get_max(hc, cls), heap_class[cls].batch));
        obj[0] = (uintptr_t)l->head;
        l->head = obj;
        set_count(l, get_count(l) - 1);
    } else {
        obj[0] = 0;
        heap_span_give(cls, obj, 1);
    }
    preempt_enable();
}

// All that is not the free of an object of a class: large objects, and mistakes.
static __attribute__((noinline)) void free_other(void *p)
{
    struct page *pg = page_of(p);
    if (pg && is_large(pg) && ((uintptr_t)p & (PAGE_SIZE - 1)) == 0) {
        large_free(p, pg);
        return;
    }
    room_of(p, pg);
    throw("free: %p is free already", p);
}

static void free_checked(void *p, struct page *pg, unsigned cls, const void *site)
{
    size_t room = room_of(p, pg);
    if (cls != HEAP_LARGE && ((uintptr_t *)p)[1] == heap_free_mark(p))
        heap_guard_double_free(p, room);
    heap_guard_clear(p, room, site);
}

static inline __attribute__((always_inline)) void free_at(void *p, const void *site)
{
    if (unlikely(p == NULL))
        return;
    struct page *pg = page_of(p);
    uintptr_t *obj = p, mark = heap_free_mark(p);
    unsigned cls = pg ? atomic_load_explicit(&pg->heap_class, memory_order_relaxed) : 0;
    if (DEBUG && cls != 0)
        free_checked(p, pg, cls, site);
    if (unlikely(cls - 1 >= HEAP_CLASSES || (uintptr_t)p & 15 || obj[1] == mark)) {
        free_other(p);
        return;
    }
    preempt_disable();
    struct heap_core *hc = mine();
    struct heap_list *l = &hc->list[cls];
    uint64_t count = get_count(l);
    if (unlikely((count & HEAP_ROOM) == 0)) {
        give_slow(hc, cls, obj);
        return;
    }
    obj[0] = (uintptr_t)l->head;
    obj[1] = mark;
    l->head = obj;
    set_count(l, count - 1);
    preempt_enable();
}

void heap_free(void *p) { free_at(p, __builtin_return_address(0)); }
void heap_free_at(void *p, const void *site) { free_at(p, site); }

// Makes an object n bytes long where it is; false if it has to move.
static bool resize_in_place(void *p, struct page *pg, size_t room, size_t n)
{
    if (HOSTILE || DEBUG || n > room)
        return false;
    if (!is_large(pg))
        return n > room / 2 || room <= 64;
    if (n <= HEAP_MAX_CLASS)
        return false;
    size_t pages = room >> PAGE_SHIFT, keep = ROUND_UP(n, PAGE_SIZE) >> PAGE_SHIFT;
    page_trim_run(p, pages, keep);
    pg->next = (uint32_t)keep;
    atomic_fetch_sub_explicit(&large_pages, pages - keep, memory_order_relaxed);
    atomic_fetch_add_explicit(&large_returned, pages - keep, memory_order_relaxed);
    return true;
}

void *heap_realloc(void *p, size_t n)
{
    return heap_realloc_at(p, n, __builtin_return_address(0));
}

void *heap_realloc_at(void *p, size_t n, const void *site)
{
    if (!p)
        return alloc_any(16, n, site);
    struct page *pg = page_of(p);
    size_t room = room_of(p, pg);
    if (unlikely(!is_large(pg) && ((uintptr_t *)p)[1] == heap_free_mark(p)))
        throw("realloc: %p is free already", p);
    if (resize_in_place(p, pg, room, n))
        return p;
    void *q = alloc_any(16, n, site);
    if (!q)
        return NULL;
    size_t keep = MIN(DEBUG ? heap_guard_length(p, room) : room, n);
    if (DEBUG) {
        for (size_t i = 0; i < keep; i++)
            ((volatile char *)q)[i] = ((char *)p)[i];
    } else {
        words_copy(q, p, ROUND_UP(keep, 16));
    }
    free_at(p, site);
    return q;
}

size_t heap_usable_size(const void *p)
{
    size_t room = room_of(p, page_of(p));
    return DEBUG ? heap_guard_length(p, room) : room;
}

static size_t get_size(_Atomic(size_t) *n) { return atomic_load_explicit(n, memory_order_relaxed); }

// Returns how many objects of the class have been handed out since boot.
static size_t class_stats(unsigned cls, struct heap_class_stats *out)
{
    size_t outside = heap_span_out(cls), cached = 0;
    size_t allocs = get_count(&no_core.list[cls]) / HEAP_ONE_ALLOC;
    for (unsigned i = 0; i < MAX_CORES; i++) {
        struct heap_core *hc = heap_cores[i];
        if (!hc || hc == &no_core)
            continue;
        cached += list_length(hc, cls);
        allocs += get_count(&hc->list[cls]) / HEAP_ONE_ALLOC;
    }
    // Lists move while they are read.
    cached = MIN(cached, outside);
    *out = (struct heap_class_stats){
        .size = heap_class[cls].size,
        .live = outside - cached,
        .cached = cached,
        .held_bytes = heap_span_pages(cls) << PAGE_SHIFT,
    };
    return allocs;
}

size_t heap_class_stats(struct heap_class_stats *out, size_t n)
{
    for (unsigned cls = 1; cls <= HEAP_CLASSES && cls <= n; cls++)
        class_stats(cls, &out[cls - 1]);
    return HEAP_CLASSES;
}

void heap_stats(struct heap_stats *out)
{
    size_t large = get_size(&large_pages) << PAGE_SHIFT;
    *out = (struct heap_stats){
        .live_bytes = large,
        .held_bytes = large,
        .returned_bytes = (heap_span_returned() + get_size(&large_returned)) << PAGE_SHIFT,
        .allocs = get_size(&large_allocs),
        .large_objects = get_size(&large_objects),
        .large_bytes = large,
        .memory_bytes = page_total() << PAGE_SHIFT,
        .free_bytes = page_free_count() << PAGE_SHIFT,
    };
    size_t live = out->large_objects;
    for (unsigned cls = 1; cls <= HEAP_CLASSES; cls++) {
        struct heap_class_stats c;
        out->allocs += class_stats(cls, &c);
        out->live_bytes += c.live * c.size;
        out->held_bytes += c.held_bytes;
        live += c.live;
    }
    out->frees = out->allocs - live;
}

void heap_init(void)
{
    heap_span_init();
    for (size_t n = 16; n <= HEAP_SMALL; n += 16)
        small_class[n / 16 - 1] = (uint8_t)heap_class_of(n);
    for (unsigned i = 0; i < MAX_CORES; i++)
        heap_cores[i] = &no_core;
    heap_cores[0] = &boot_core;
    n_cores = 1;
    page_on_pressure(heap_trim);
    heap_fail_after(0);
}

bool heap_init_core(unsigned core)
{
    require(core < MAX_CORES);
    if (heap_cores[core] != &no_core)
        return true;
    struct heap_core *hc = heap_zalloc(sizeof(*hc));
    if (!hc)
        return false;
    heap_cores[core] = hc;
    n_cores++;
    return true;
}
