// SPDX-License-Identifier: BSD-2-Clause
// Goroutine stacks: reserved ranges that never move, committed page by page.
//
// The region from STACK_BASE (arch_layout.h) is cut into one part for each class (16 KiB << class),
// each part into slots of that size with a page between them, from an address on that is drawn at
// boot (`aslr=0`: from the part's beginning), so that nobody can know in advance where a stack
// lies. The lowest page of a slot is never mapped: the guard. The top page is mapped when the slot
// is first used; the page-fault handler maps others when anybody touches them (the goroutine
// growing, or another one writing through a pointer into a stack not yet touched so deep). Two
// cores may fault on one page: the page table decides by compare-and-swap, the loser gives its page
// back. Slots are used again with what is committed.
//
// The fault handler gets pages from its core's reserve (page_alloc_fault) and takes no lock of this
// room.

#include <arch_layout.h>

#include "kernel/cmdline.h"
#include "kernel/entropy.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "sched/sched.h"

enum {
    MIN_SHIFT = 14,
    MAX_SHIFT = 30,
    CLASSES = MAX_SHIFT - MIN_SHIFT + 1,
};

_Static_assert((size_t)1 << (MIN_SHIFT + STACK_DEFAULT_CLASS) == STACK_DEFAULT, "slot of a class");

// Slots of each class ever reserved; those below are known to the fault handler.
static _Atomic(uint64_t) slots[CLASSES];
static uintptr_t kstack_next = KSTACK_BASE; // guard: boot core only
// Where the first slot of a class lies within its part. Written by stack_init alone.
static uintptr_t slide[CLASSES];

// Up to a quarter of a part's addresses are passed over, and of the kernel's stacks' 1 GiB.
#define SLIDE_MASK ((((uintptr_t)1 << STACK_CLASS_SHIFT) / 4 - 1) & ~(PAGE_SIZE - 1))
#define KSTACK_SLIDE_MASK ((((uintptr_t)1 << 30) - 1) & ~(PAGE_SIZE - 1))

// Slots lie one page further apart than they are large: were the distance a power of two, the top
// pages of all stacks would compete for the same few entries of the translation caches.
static uintptr_t slot_stride(unsigned class)
{
    return ((uintptr_t)1 << (MIN_SHIFT + class)) + PAGE_SIZE;
}

static uintptr_t slot_base(unsigned class, uint64_t n)
{
    return STACK_BASE + ((uintptr_t)class << STACK_CLASS_SHIFT) + slide[class] +
           n * slot_stride(class);
}

// Context: boot core, before the first stack.
void stack_init(void)
{
    uintptr_t random[CLASSES + 1];
    if (cmdline_number("aslr", 1, 0, 1) == 0)
        return;
    entropy_get(random, sizeof(random));
    for (unsigned class = 0; class < CLASSES; class++)
        slide[class] = random[class] & SLIDE_MASK;
    kstack_next += random[CLASSES] & KSTACK_SLIDE_MASK;
}

unsigned stack_class_of(size_t max)
{
    if (max == STACK_DEFAULT)
        return STACK_DEFAULT_CLASS;
    if (max > (size_t)1 << MAX_SHIFT)
        return 255;
    // The guard page, and a page for what a preemption saves there, wherever it comes: with all
    // vector registers some 3 KiB.
    size_t need = max + 2 * PAGE_SIZE;
    if (max >= STACK_DEFAULT && (max & (max - 1)) == 0)
        need = max; // as for the default, a power of two is the reserved range itself
    unsigned shift = MIN_SHIFT;
    while (shift <= MAX_SHIFT && ((size_t)1 << shift) < need)
        shift++;
    return shift <= MAX_SHIFT ? shift - MIN_SHIFT : 255;
}

static void *table_page(void)
{
    return page_alloc_zeroed(0);
}

static bool commit(uintptr_t va)
{
    void *page = page_alloc_zeroed(0);
    bool won = false;
    if (!page)
        return false;
    bool ok = arch_map_page(va, virt_to_phys(page), MAP_WRITE, table_page, &won);
    if (!won)
        page_free(page, 0);
    return ok;
}

bool stack_alloc(struct g *gp, size_t max)
{
    unsigned class = stack_class_of(max);
    if (class >= CLASSES)
        return false;
    uint64_t n = atomic_fetch_add_explicit(&slots[class], 1, memory_order_relaxed);
    if (slide[class] + (n + 1) * slot_stride(class) > (uint64_t)1 << STACK_CLASS_SHIFT) {
        atomic_fetch_sub_explicit(&slots[class], 1, memory_order_relaxed);
        return false;
    }
    uintptr_t lo = slot_base(class, n), top = slot_base(class, n + 1) - PAGE_SIZE;
    if (!commit(top - PAGE_SIZE)) {
        // The slot number is lost unless it is still the last; addresses are plentiful.
        uint64_t mine = n + 1;
        atomic_compare_exchange_strong_explicit(&slots[class], &mine, n, memory_order_relaxed,
                                                memory_order_relaxed);
        return false;
    }
    gp->stack_lo = lo + PAGE_SIZE;
    gp->stack_top = top;
    gp->stack_class = (uint8_t)class;
    return true;
}

// Context: the page-fault handler, interrupts off.
enum stack_fault stack_fault(uintptr_t va)
{
    if (va < STACK_BASE)
        return STACK_FAULT_NOT_STACK;
    uintptr_t off = va - STACK_BASE;
    unsigned class = (unsigned)(off >> STACK_CLASS_SHIFT);
    if (class >= CLASSES)
        return STACK_FAULT_NOT_STACK;
    uintptr_t in_class = off & (((uintptr_t)1 << STACK_CLASS_SHIFT) - 1);
    if (in_class < slide[class])
        return STACK_FAULT_NOT_STACK;
    uint64_t n = (in_class - slide[class]) / slot_stride(class);
    if (n >= atomic_load_explicit(&slots[class], memory_order_relaxed))
        return STACK_FAULT_NOT_STACK;
    uintptr_t in_slot = va - slot_base(class, n);
    if (in_slot < PAGE_SIZE)
        return STACK_FAULT_OVERFLOW;
    if (in_slot >= slot_stride(class) - PAGE_SIZE)
        return STACK_FAULT_NOT_STACK;
    void *page = page_alloc_fault();
    if (!page)
        return STACK_FAULT_NO_MEMORY;
    bool won = false;
    bool ok = arch_map_page(ROUND_DOWN(va, PAGE_SIZE), virt_to_phys(page), MAP_WRITE,
                            page_alloc_fault, &won);
    if (!won)
        page_free_fault(page);
    return ok ? STACK_FAULT_GROWN : STACK_FAULT_NO_MEMORY;
}

// Context: boot core.
uintptr_t stack_alloc_kernel(unsigned pages)
{
    uintptr_t lo = kstack_next + PAGE_SIZE;
    for (unsigned i = 0; i < pages; i++)
        if (!commit(lo + i * PAGE_SIZE))
            return 0;
    kstack_next = lo + pages * PAGE_SIZE;
    return kstack_next;
}
