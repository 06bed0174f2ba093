// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=kernel/page.c,kernel/page_buddy.c,kernel/spinlock.c timeout=120
// test: variants="|-UHOSTILE -DHOSTILE=1|-fsanitize=thread|-fsanitize=address,undefined"
//
// The page allocator: no page is handed out twice, blocks are aligned and lie in memory that
// was given, everything merges again when it has come back, wrong frees are caught, and the
// reserve stays right whatever instruction of a refill a fault interrupts.

#include <signal.h>

#include "tests/host/arch/single_step.h"
#include "cores.h"
#include "kernel/page_meta.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define CORES 4
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#else
#define SLOW 0
#endif

static uint64_t top; // of the physical address space under test

static size_t give(uint64_t start, uint64_t end)
{
    page_add_range(start, end);
    return (end - start) / PAGE_SIZE;
}

// The pages of the caches back into the buddy, so that blocks can merge.
static void flush(void)
{
    page_pressure();
    page_reserve_refill();
}

static void stamp(void *p, unsigned order, uint64_t mark)
{
    for (size_t i = 0; i < (size_t)1 << order; i++)
        *(uint64_t *)((char *)p + i * PAGE_SIZE + 8) = mark + i;
}

static void check_stamp(void *p, unsigned order, uint64_t mark)
{
    for (size_t i = 0; i < (size_t)1 << order; i++)
        check(*(uint64_t *)((char *)p + i * PAGE_SIZE + 8) == mark + i);
}

static bool all_zero(const void *p)
{
    const uint64_t *w = p;
    for (size_t i = 0; i < PAGE_SIZE / 8; i++)
        if (w[i])
            return false;
    return true;
}

static void small_machine(void)
{
    make_memory(16 * MIB);
    size_t given = give(0x1000, 0x9fc00) + give(1 * MIB + 600 * 1024 + 5, 16 * MIB - 123);
    check(page_total() <= given);
    // Tables are 16 bytes a page, for whole chunks, and one page a GiB.
    check((given - page_total()) * 200 <= given + 200);
    check(page_free_count() == page_total());
    // Every page can be had, once.
    size_t n = 0;
    uint64_t *list = NULL, *p;
    while ((p = page_alloc(0)) != NULL) {
        check(page_va_to_pfn(p) != 0 && ((uintptr_t)p & (PAGE_SIZE - 1)) == 0);
        p[0] = (uint64_t)list;
        p[1] = n;
        list = p;
        n++;
    }
    check(n == page_total() && page_free_count() == 0);
    check(page_alloc_zeroed(0) == NULL && page_alloc(3) == NULL);
    while (list) {
        p = list;
        check(p[1] == --n);
        list = (uint64_t *)p[0];
        page_free(p, 0);
    }
    check(n == 0 && page_free_count() == page_total());
    flush();
    check(page_free_count() == page_total());
    void *big = page_alloc(10);
    check(big != NULL);
    page_free(big, 10);
}

static void holes_add(void)
{
    give(0x1000, 0x9f000);
    give(1 * MIB, 100 * MIB + 0x5000);
    give(100 * MIB + 0x6000, 100 * MIB + 0x7000);
    give(700 * MIB, 701 * MIB);
    give(3 * GIB - 0x3000, 3 * GIB + 64 * MIB);
    give(5 * GIB + 2 * MIB, 6 * GIB + 1 * MIB);
    give(top - 40 * MIB, top);
}

static bool in_holes(uint64_t a, uint64_t n)
{
    static const struct { uint64_t lo, hi; } r[] = {
        { 0x1000, 0x9f000 }, { 1 * MIB, 100 * MIB + 0x5000 },
        { 100 * MIB + 0x6000, 100 * MIB + 0x7000 }, { 700 * MIB, 701 * MIB },
        { 3 * GIB - 0x3000, 3 * GIB + 64 * MIB }, { 5 * GIB + 2 * MIB, 6 * GIB + 1 * MIB },
    };
    for (size_t i = 0; i < ARRAY_LEN(r); i++)
        if (a >= r[i].lo && a + n <= r[i].hi)
            return true;
    return a >= top - 40 * MIB && a + n <= top;
}

struct block {
    void *p;
    size_t n; // pages
    unsigned order; // 32: a run
    uint64_t mark;
};

static void block_free(struct block *b)
{
    if (b->order == 32) {
        check(*(uint64_t *)b->p == b->mark);
        check(*(uint64_t *)((char *)b->p + (b->n - 1) * PAGE_SIZE + 8) == b->mark);
        page_free_run(b->p, b->n);
    } else {
        check_stamp(b->p, b->order, b->mark);
        page_free(b->p, b->order);
    }
    b->p = NULL;
}

static void block_make(struct block *b, uint64_t *seed, uint64_t mark)
{
    b->mark = mark;
    if (seed_below(seed, 3) == 0) {
        unsigned align = seed_below(seed, 6);
        b->order = 32;
        b->n = 1 + seed_below(seed, 1u << seed_below(seed, 9));
        b->p = page_alloc_run(b->n, align);
        if (!b->p)
            return;
        check(page_va_to_pfn(b->p) % (1u << align) == 0);
        check(in_holes(virt_to_phys(b->p), b->n * PAGE_SIZE));
        *(uint64_t *)b->p = mark;
        *(uint64_t *)((char *)b->p + (b->n - 1) * PAGE_SIZE + 8) = mark;
        if (seed_below(seed, 2)) {
            size_t keep = 1 + seed_below(seed, (uint32_t)b->n);
            page_trim_run(b->p, b->n, keep);
            b->n = keep;
            *(uint64_t *)((char *)b->p + (keep - 1) * PAGE_SIZE + 8) = mark;
        }
        return;
    }
    unsigned most = seed_below(seed, 8) ? 3 : 12;
    b->order = seed_below(seed, most);
    b->n = (size_t)1 << b->order;
    bool zeroed = seed_below(seed, 4) == 0;
    b->p = zeroed ? page_alloc_zeroed(b->order) : page_alloc(b->order);
    if (!b->p)
        return;
    check(page_va_to_pfn(b->p) % b->n == 0);
    check(in_holes(virt_to_phys(b->p), b->n * PAGE_SIZE));
    check(!zeroed || all_zero((char *)b->p + (b->n - 1) * PAGE_SIZE));
    stamp(b->p, b->order, mark);
}

static void random_blocks(unsigned core)
{
    enum { SLOTS = 600 };
    static struct block all[CORES][SLOTS];
    struct block *block = all[core];
    uint64_t seed = 12345 + core;
    for (uint64_t i = 0; i < 30000; i++) {
        struct block *b = &block[seed_below(&seed, SLOTS)];
        if (b->p)
            block_free(b);
        else
            block_make(b, &seed, (uint64_t)core << 56 | i << 20);
        if (i % 64 == 0)
            page_reserve_refill();
    }
    for (unsigned i = 0; i < SLOTS; i++)
        if (block[i].p)
            block_free(&block[i]);
}

// The sizes of blocks one gets by always taking the largest, a fingerprint of fragmentation.
static void fingerprint(unsigned *count)
{
    void *list[PAGE_MAX_ORDER + 1] = { NULL };
    for (int o = PAGE_MAX_ORDER; o >= 0; o--) {
        count[o] = 0;
        void **p;
        while ((p = page_alloc((unsigned)o)) != NULL) {
            p[0] = list[o];
            list[o] = p;
            count[o]++;
            if (o == 0)
                flush();
        }
    }
    for (unsigned o = 0; o <= PAGE_MAX_ORDER; o++)
        while (list[o]) {
            void **p = list[o];
            list[o] = p[0];
            page_free(p, o);
        }
    flush();
}

static void holes(void)
{
    make_memory(top);
    page_set_cores(CORES);
    holes_add();
    size_t free = page_free_count();
    unsigned before[PAGE_MAX_ORDER + 1], after[PAGE_MAX_ORDER + 1];
    check(free == page_total());
    // Nobody takes from the reserves here, so once full they stay as they are.
    for (unsigned core = CORES; core-- > 0; ) {
        be_core(core);
        for (unsigned i = 0; i < 20; i++)
            page_reserve_refill();
        flush();
    }
    fingerprint(before);
    check(page_free_count() == free);
    random_blocks(0);
    check(page_free_count() == free);
    memset(host_m, 0, sizeof(host_m));
    run_cores(CORES, random_blocks);
    check(page_free_count() == free);
    for (unsigned core = CORES; core-- > 0; ) {
        be_core(core);
        flush();
    }
    fingerprint(after);
    check(page_free_count() == free);
    check(memcmp(before, after, sizeof(before)) == 0);
}

// Pages travel between cores: each thread frees what another one allocated.
static _Atomic(void *) mailbox[64];

static void travellers(unsigned core)
{
    uint64_t seed = core + 77;
    for (unsigned i = 0; i < 50000; i++) {
        uint64_t *p = page_alloc(0);
        if (p) {
            p[0] = (uint64_t)p ^ core;
            p[1] = core;
        }
        p = atomic_exchange_explicit(&mailbox[seed_below(&seed, 64)], p, memory_order_acq_rel);
        if (p) {
            check((p[0] ^ p[1]) == (uint64_t)p);
            page_free(p, 0);
        }
        if (i % 100 == 0)
            page_reserve_refill();
    }
}

static void travel(void)
{
    make_memory(16 * MIB);
    page_set_cores(CORES);
    page_add_range(MIB, 16 * MIB);
    size_t free = page_free_count();
    run_cores(CORES, travellers);
    for (unsigned i = 0; i < 64; i++)
        if (mailbox[i])
            page_free(mailbox[i], 0);
    check(page_free_count() == free);
}

static void *victim;
static void free_again(void) { page_free(victim, 0); }
static void free_order(void) { page_free(victim, 1); }
static void free_inside(void) { page_free((char *)victim + PAGE_SIZE, 0); }
static void free_odd(void) { page_free((char *)victim + 16, 0); }
static void free_run_again(void) { page_free_run(victim, 5); }
static void free_static(void) { page_free(mailbox, 0); }
static void free_nowhere(void) { page_free(phys_to_virt(12 * MIB), 0); }
static void free_hole(void) { page_free(phys_to_virt(0xa0000), 0); }

static void wrong_frees(void)
{
    make_memory(16 * MIB);
    give(0x1000, 0x9f000);
    give(MIB, 8 * MIB);
    void *p = page_alloc(0);
    page_free(p, 0);
    victim = p;
    expect_throw("is free already", free_again);
    flush();
    expect_throw("page_free:", free_again);
    victim = page_alloc(2);
    expect_throw("not the start of such a block", free_inside);
    expect_throw("not the start of such a block", free_order);
    expect_throw("is not a page", free_odd);
    expect_throw("not the start of such a block", free_nowhere);
    expect_throw("is not a page", free_static);
    expect_throw("not the start of such a block", free_hole);
    page_free(victim, 2);
    victim = page_alloc_run(5, 0);
    page_free_run(victim, 5);
    expect_throw("not the start of such a block", free_run_again);
}

// The reserve, with faults at chosen instructions of a refill. The processor's single-step trap
// plays the page fault: it interrupts this thread and runs on top of it, as the handler does.
static volatile unsigned long step, step_at, step_then;
static void *faulted[2000];
static unsigned n_faulted;

// Only in the middle of a refill that holds the page lock, and with the reserve used up, may there
// be nothing.
static void take_fault(bool in_refill)
{
    if (n_faulted == ARRAY_LEN(faulted))
        return;
    void *p = page_alloc_fault();
    check(p || in_refill);
    if (!p)
        return;
    check(all_zero(p));
    // Now and then another core was first.
    if (n_faulted % 3 == 1) {
        void *q = page_alloc_fault();
        if (q)
            page_free_fault(q);
    }
    *(uint64_t *)p = 1;
    faulted[n_faulted++] = p;
}

static void on_step(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    if (++step < step_at)
        return;
    step_at += step_then;
    take_fault(true);
}

static __attribute__((noinline)) void refill_stepping(void)
{
    single_step(true);
    page_reserve_refill();
    single_step(false);
}

// What the reserve holds, seen when there is nothing else to have. The pages taken from it stay
// taken.
static unsigned drain_reserve(void)
{
    void *list = NULL, **p;
    while ((p = page_alloc(0)) != NULL) {
        *p = list;
        list = p;
    }
    unsigned n = 0;
    while ((p = page_alloc_fault()) != NULL) {
        check(all_zero(p));
        *p = p;
        n++;
    }
    while (list) {
        p = list;
        list = *p;
        page_free(p, 0);
    }
    return n;
}

static void reserve(void)
{
    make_memory(16 * MIB);
    page_set_cores(1);
    give(MIB, 16 * MIB);
    size_t free = page_free_count();
    for (unsigned i = 0; i < 20; i++)
        page_reserve_refill();
    unsigned most = drain_reserve();
    check(most >= 32 && most <= 64);
    free -= most;
    check(page_free_count() == free);
    // The share of a core among many.
    page_set_cores(64);
    for (unsigned i = 0; i < 20; i++)
        page_reserve_refill();
    most = drain_reserve();
    check(most == MAX(page_total() / 16 / 64, 4));
    free -= most;
    page_set_cores(1);
    // More than a reserve without a refill.
    for (unsigned i = 0; i < 200; i++) {
        void *p = page_alloc_fault();
        check(p && all_zero(p));
        free--;
    }
    check(page_free_count() == free);

    struct sigaction sa = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
    check(sigaction(SIGTRAP, &sa, NULL) == 0);
    uint64_t seed = 99;
    for (unsigned round = 0; round < (SLOW ? 3 : 12); round++) {
        step = 0;
        step_at = 1 + seed_below(&seed, 300);
        step_then = round % 2 ? 1 + seed_below(&seed, 40) : 500 + seed_below(&seed, 3000);
        n_faulted = 0;
        refill_stepping();
        for (unsigned i = 0; i < 3; i++)
            take_fault(false);
        check(page_free_count() == free - n_faulted);
        // Each page once, or one of these frees fails.
        for (unsigned i = 0; i < n_faulted; i++)
            page_free(faulted[i], 0);
        check(page_free_count() == free);
    }
}

static void exhausted(void)
{
    make_memory(16 * MIB);
    give(MIB, 2 * MIB);
    size_t free = page_free_count();
    void *list = NULL;
    void **p;
    for (unsigned i = 0; i < 8; i++)
        page_reserve_refill();
    unsigned n = 0;
    while ((p = page_alloc_zeroed(0)) != NULL) {
        p[0] = list;
        list = p;
        n++;
        page_reserve_refill();
    }
    check(n + 4 <= free);
    page_reserve_refill();
    while (list) {
        p = list;
        list = p[0];
        page_free(p, 0);
    }
    check(page_free_count() == free);
    page_reserve_refill();
    check(page_alloc_fault() != NULL);
    check(page_free_count() == free - 1);
}

int main(void)
{
    top = (SLOW ? 16 : 1024) * GIB;
    in_child("small machine", small_machine);
    in_child("holes", holes);
    in_child("travelling pages", travel);
    in_child("wrong frees", wrong_frees);
    in_child("reserve", reserve);
    in_child("exhaustion", exhausted);
    printf("page_alloc: blocks, runs, caches and reserve on %u cores, wrong frees caught\n", CORES);
    return 0;
}
