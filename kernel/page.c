// SPDX-License-Identifier: BSD-2-Clause
// Pages as the rest of the kernel asks for them: per-core stocks in front of the buddy allocator.
//
// Each core has three stocks, of single pages:
//   stack    free pages, last in first out; page_alloc(0) and page_free(0) work on it alone and
//            take the buddy's lock once in half a stack.
//   zeroed   a few cleared pages for page_alloc_zeroed(0), so that clearing happens on g0 and not
//            in the middle of somebody's call.
//   reserve  cleared pages for the page-fault handler.
// stack and zeroed belong to whoever runs on the core with preemption disabled. That may be a
// goroutine whose own stack faults in the middle of an operation on them, with the page lock held
// even. The fault handler therefore touches neither of these stocks, but only the reserve: a ring
// with one producer (page_reserve_refill) and one consumer (page_alloc_fault). The producer writes
// nothing but tail and the slot at tail, the consumer nothing but head. So it does not matter at
// which instruction of a refill the handler interrupts it: it sees the ring with or without the
// page that is being added, and the producer, which read head too early, takes the ring for fuller
// than it is. Both run on the same core, where stores are seen in program order by interrupts; the
// release and acquire only hold the compiler to it.
//
// A goroutine may commit more stack than the reserve holds before its core next comes by its g0.
// When the reserve runs low, the handler goes to the buddy itself, unless what it interrupted is
// this core's holder of the page lock; the last pages of the reserve are kept for that case.
//
// Each core's refill, on its g0, is also where it hands back what it hoards when memory has run
// out anywhere (page_pressure); a core that sleeps does so when it next wakes.
//
// Lock order: see page_buddy.c; nothing else is locked here.

#include "kernel/page_meta.h"
#include "kernel/panic.h"
#include "kernel/preempt.h"
#include "lib/words.h"

#define STACK_MAX (HOSTILE ? 2 : 32)
#define ZEROED_MAX (HOSTILE ? 1 : 12)
#define RESERVE_MAX 64
#define RESERVE_LOW 16
#define REFILL_BATCH 16 // bounds the time of one refill
#define SCARCE_LEAST ((size_t)1 << 20 >> PAGE_SHIFT)

struct page_core {
    // Owner: code on this core with preemption disabled. The counts are read by anyone.
    _Alignas(CACHE_LINE) _Atomic(uint32_t) n_stack;
    _Atomic(uint32_t) n_zeroed;
    uint32_t stack[STACK_MAX];
    uint32_t zeroed[ZEROED_MAX];

    // The ring. head: the fault handler's; tail: the refill's.
    _Atomic(uint32_t) head;
    _Atomic(uint32_t) tail;
    uint32_t reserve[RESERVE_MAX];

    // Give everything back. Set by any core, which then clears page_reserve_full.
    _Atomic(bool) flush;
};

static struct page_core cores[MAX_CORES];
static unsigned sharers = 1;
static void (*pressure_fn)(void), (*wake_fn)(void);
#define FAIL_TIMES 3 // attempts that fail in a row
static _Atomic(int64_t) fail_in; // attempts until the last that is to fail; 0: none is
// Legal to clear at any time, by any core; illegal to leave set when the refill has work.
_Atomic(bool) page_reserve_full[MAX_CORES];

// Context: not preemptible, or an interrupt handler.
static void set_full(bool full)
{
    atomic_store_explicit(&page_reserve_full[getg()->m->id], full, memory_order_relaxed);
}

// Context: preemption disabled, or an interrupt handler.
static inline struct page_core *mine(void) { return &cores[getg()->m->id]; }

static inline uint32_t get(_Atomic(uint32_t) *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static inline void set(_Atomic(uint32_t) *n, uint32_t v)
{
    atomic_store_explicit(n, v, memory_order_relaxed);
}

// All stacks together may hold 1/64 of memory, all reserves 1/16.
static uint32_t stack_limit(void)
{
    size_t share = page_total() / 64 / sharers;
    return (uint32_t)MAX(MIN(share, STACK_MAX), 2);
}

static uint32_t reserve_limit(void)
{
    size_t share = page_total() / 16 / sharers;
    return (uint32_t)MAX(MIN(share, RESERVE_MAX), 4);
}

// One page from this core's stocks or the buddy, PAGE_CACHED; 0 if there is none.
static uint32_t take_page(struct page_core *pc)
{
    uint32_t n = get(&pc->n_stack);
    if (unlikely(n == 0)) {
        n = buddy_take(pc->stack, MAX(stack_limit() / 2, 1));
        if (unlikely(n == 0)) {
            n = get(&pc->n_zeroed);
            if (n == 0)
                return 0;
            set(&pc->n_zeroed, n - 1);
            return pc->zeroed[n - 1];
        }
    }
    set(&pc->n_stack, n - 1);
    return pc->stack[n - 1];
}

// Context: preemption disabled. Returns n pages of the stack to the buddy, the ones longest there.
static void flush_stack(struct page_core *pc, uint32_t n)
{
    uint32_t have = get(&pc->n_stack);
    buddy_give(pc->stack, n);
    for (uint32_t i = n; i < have; i++)
        pc->stack[i - n] = pc->stack[i];
    set(&pc->n_stack, have - n);
}

// Context: preemption disabled.
static void flush_stocks(struct page_core *pc)
{
    flush_stack(pc, get(&pc->n_stack));
    buddy_give(pc->zeroed, get(&pc->n_zeroed));
    set(&pc->n_zeroed, 0);
}

bool page_retry(void)
{
    page_pressure();
    preempt_disable();
    struct page_core *pc = mine();
    bool any = get(&pc->n_stack) + get(&pc->n_zeroed) > 0;
    flush_stocks(pc);
    preempt_enable();
    return any;
}

bool page_fault_due(void)
{
    int64_t n = atomic_load_explicit(&fail_in, memory_order_relaxed);
    while (n > 0)
        if (atomic_compare_exchange_weak_explicit(&fail_in, &n, n - 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return n <= FAIL_TIMES;
    return false;
}

int64_t page_fail_after(int64_t n)
{
    int64_t in = n > 0 ? n + FAIL_TIMES - 1 : 0;
    int64_t left = atomic_exchange_explicit(&fail_in, in, memory_order_relaxed) - FAIL_TIMES + 1;
    return MAX(left, 0);
}

static void *hand_out(uint32_t pfn, unsigned from)
{
    struct page *pg = page_known(pfn);
    if (unlikely(!page_is(pg, from, 0)))
        throw("page_alloc: a page in a cache is not free (%p)", page_pfn_to_va(pfn));
    page_set_state(pg, PAGE_USED, 0);
    return page_pfn_to_va(pfn);
}

void *page_alloc(unsigned order)
{
    uint32_t pfn;
    void *p = NULL;
    require(order <= PAGE_MAX_ORDER);
    if (unlikely(page_fault_due()))
        return NULL;
    if (order == 0) {
        preempt_disable();
        pfn = take_page(mine());
        if (likely(pfn))
            p = hand_out(pfn, PAGE_CACHED);
        preempt_enable();
        if (unlikely(!p))
            page_pressure();
    } else {
        pfn = buddy_alloc(order);
        if (unlikely(!pfn) && page_retry())
            pfn = buddy_alloc(order);
        if (likely(pfn))
            p = page_pfn_to_va(pfn);
    }
    return p;
}

void *page_alloc_zeroed(unsigned order)
{
    if (order == 0) {
        void *p = NULL;
        preempt_disable();
        struct page_core *pc = mine();
        uint32_t n = get(&pc->n_zeroed);
        // With a failure ordered page_alloc counts.
        if (n > 0 && likely(!atomic_load_explicit(&fail_in, memory_order_relaxed))) {
            set(&pc->n_zeroed, n - 1);
            p = hand_out(pc->zeroed[n - 1], PAGE_CACHED);
        }
        if (n <= ZEROED_MAX / 2)
            set_full(false);
        preempt_enable();
        if (p)
            return p;
    }
    void *p = page_alloc(order);
    if (p)
        words_zero(p, PAGE_SIZE << order);
    return p;
}

void page_free(void *p, unsigned order)
{
    uint64_t pfn = page_va_to_pfn(p);
    struct page *pg = page_of_pfn(pfn);
    if (unlikely(((uintptr_t)p & (PAGE_SIZE - 1)) || !pg || order > PAGE_MAX_ORDER))
        throw("page_free: %p is not a page of memory", p);
    if (unlikely(!page_is(pg, PAGE_USED, order))) {
        unsigned state = atomic_load_explicit(&pg->state, memory_order_relaxed);
        bool is_free = state >> 5 != PAGE_USED && state >> 5 != PAGE_NONE;
        throw("page_free: %p of order %u is %s", p, order,
              is_free ? "free already" : "not the start of such a block");
    }
    if (order > 0) {
        buddy_free((uint32_t)pfn, order);
        return;
    }
    preempt_disable();
    struct page_core *pc = mine();
    if (unlikely(get(&pc->n_stack) >= stack_limit()))
        flush_stack(pc, MAX(get(&pc->n_stack) / 2, 1));
    page_set_state(pg, PAGE_CACHED, 0);
    uint32_t n = get(&pc->n_stack);
    pc->stack[n] = (uint32_t)pfn;
    set(&pc->n_stack, n + 1);
    preempt_enable();
}

// A page from the buddy for the fault handler, 0 if there is none or the lock is this core's.
static uint32_t take_in_fault(void)
{
    uint32_t pfn = buddy_take_fault();
    if (pfn)
        words_zero(page_pfn_to_va(pfn), PAGE_SIZE);
    return pfn;
}

// Context: the page-fault handler, interrupts off; or anyone who turned them off.
void *page_alloc_fault(void)
{
    struct page_core *pc = mine();
    uint32_t head = get(&pc->head), pfn;
    // Acquire: the slot is read after the tail that covers it. pairs: PAGE-RESERVE
    uint32_t n = atomic_load_explicit(&pc->tail, memory_order_acquire) - head;
    if (n <= RESERVE_MAX / 2)
        set_full(false);
    if (unlikely(n <= RESERVE_LOW) && (pfn = take_in_fault()) != 0)
        return hand_out(pfn, PAGE_CACHED);
    if (unlikely(n == 0))
        return NULL;
    pfn = pc->reserve[head % RESERVE_MAX];
    // Release: the slot has been read before the refill may write it. pairs: PAGE-RESERVE-HEAD
    atomic_store_explicit(&pc->head, head + 1, memory_order_release);
    return hand_out(pfn, PAGE_RESERVED);
}

// Context: as page_alloc_fault, in the same stretch with interrupts off as the call that gave the
// page. The page is still cleared.
void page_free_fault(void *page)
{
    struct page_core *pc = mine();
    uint32_t head = get(&pc->head) - 1;
    uint32_t pfn = (uint32_t)page_va_to_pfn(page);
    require(page_is(page_known(pfn), PAGE_USED, 0));
    page_set_state(page_known(pfn), PAGE_RESERVED, 0);
    // The slot before head is free, unless the ring is full, which it is not when a page has come
    // from it in this stretch or when it was low; and no refill has run since.
    pc->reserve[head % RESERVE_MAX] = pfn;
    atomic_store_explicit(&pc->head, head, memory_order_release);
}

// One page more for the reserve; false if memory is exhausted.
static bool reserve_one(struct page_core *pc, uint32_t tail)
{
    uint32_t pfn = take_page(pc);
    if (unlikely(!pfn))
        return false;
    words_zero(page_pfn_to_va(pfn), PAGE_SIZE);
    page_set_state(page_known(pfn), PAGE_RESERVED, 0);
    pc->reserve[tail % RESERVE_MAX] = pfn;
    // Publishes the slot and the page to a fault at any later instruction. pairs: PAGE-RESERVE
    atomic_store_explicit(&pc->tail, tail + 1, memory_order_release);
    return true;
}

static bool zeroed_one(struct page_core *pc)
{
    uint32_t n = get(&pc->n_zeroed);
    // Pages that are in no stock of zeroed ones: take_page would hand one of those back.
    if (get(&pc->n_stack) == 0)
        set(&pc->n_stack, buddy_take(pc->stack, MAX(stack_limit() / 2, 1)));
    uint32_t left = get(&pc->n_stack);
    if (unlikely(left == 0))
        return false;
    uint32_t pfn = pc->stack[left - 1];
    set(&pc->n_stack, left - 1);
    words_zero(page_pfn_to_va(pfn), PAGE_SIZE);
    pc->zeroed[n] = pfn;
    set(&pc->n_zeroed, n + 1);
    return true;
}

static void give_back(struct page_core *pc)
{
    if (pressure_fn)
        pressure_fn();
    flush_stocks(pc);
}

static void refill(struct page_core *pc)
{
    // Set first: a fault or a request from here on clears it again.
    set_full(true);
    bool pressed = atomic_exchange_explicit(&pc->flush, false, memory_order_acq_rel);
    if (pressed)
        give_back(pc);
    uint32_t limit = reserve_limit();
    uint32_t zeroed_limit = pressed ? 0 : MIN(stack_limit() / 2, ZEROED_MAX);
    for (unsigned i = 0; i < REFILL_BATCH; i++) {
        uint32_t tail = get(&pc->tail);
        // pairs: PAGE-RESERVE-HEAD
        uint32_t n = tail - atomic_load_explicit(&pc->head, memory_order_acquire);
        bool got;
        if (n < limit)
            got = reserve_one(pc, tail);
        else if (get(&pc->n_zeroed) < zeroed_limit)
            got = zeroed_one(pc);
        else
            return;
        if (!got)
            return; // the next fault, or page_alloc_zeroed, asks again
    }
    set_full(false);
}

void page_reserve_refill(void)
{
    preempt_disable();
    refill(mine());
    preempt_enable();
}

void page_set_cores(unsigned n)
{
    require(n > 0 && n <= MAX_CORES);
    sharers = n;
}

void page_on_pressure(void (*reclaim)(void)) { pressure_fn = reclaim; }
void page_on_pressure_wake(void (*wake)(void)) { wake_fn = wake; }

void page_pressure(void)
{
    bool news = false;
    for (unsigned i = 0; i < sharers; i++) {
        // Nothing is published with the flag but the request itself.
        news |= !atomic_exchange_explicit(&cores[i].flush, true, memory_order_relaxed);
        atomic_store_explicit(&page_reserve_full[i], false, memory_order_seq_cst);
    }
    if (news && wake_fn)
        wake_fn();
}

bool page_scarce(void)
{
    return buddy_free_count() < MAX(page_total() / 64, SCARCE_LEAST);
}

size_t page_free_count(void)
{
    size_t n = buddy_free_count();
    for (unsigned i = 0; i < MAX_CORES; i++) {
        struct page_core *pc = &cores[i];
        n += get(&pc->n_stack) + get(&pc->n_zeroed) + (get(&pc->tail) - get(&pc->head));
    }
    return n;
}
