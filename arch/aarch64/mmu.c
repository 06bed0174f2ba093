// SPDX-License-Identifier: BSD-2-Clause
// Page tables: four levels, 4 KiB pages, 2 MiB or 1 GiB in the direct map. TTBR0 maps the image at
// its linked addresses, wherever it was loaded, and nothing else: address 0 and all around is
// unmapped. TTBR1 has everything above: the direct map, device registers, stacks.
//
// The image's text is executable and read-only, its read-only data read-only; all else is never
// executable, which SCTLR_EL1.WXN enforces once more for what is writable. All RAM is in the direct
// map but the image's text and read-only data, so no writable alias of them exists.
//
// Entries are only ever changed from absent to present (compare-and-swap, whoever is first wins)
// or, by arch_unmap_page, back; tables are never freed. So no lock is needed, and the fault handler
// can map pages. A table is cleared before it is hung in with release; the walker, like the code
// here, gets to it through that entry.

#include "arch/arch.h"
#include "arch/aarch64/cpu.h"
#include "arch/aarch64/regs.h"
#include "kernel/bootinfo.h"
#include "kernel/page.h"
#include "kernel/panic.h"

#define PTE_ADDR 0x0000fffffffff000ull
#define PXN ((uint64_t)1 << PTE_PXN_BIT)
#define UXN ((uint64_t)1 << PTE_UXN_BIT)
#define DIRECT_MAP ((uintptr_t)DIRECT_MAP_VA)

typedef _Atomic(uint64_t) pte_t;

extern char image_start[], image_end[], text_start[], text_end[], rodata_start[], rodata_end[];

uintptr_t direct_map_base = DIRECT_MAP;
uint64_t kernel_ttbr0, kernel_ttbr1;

static pte_t *low_root, *high_root;
static uint64_t image_pa;
static uint64_t boot_mapped_end;

void mmu_boot_tables(uint64_t pa, uint64_t mapped_end)
{
    image_pa = pa;
    boot_mapped_end = mapped_end;
}

void arch_boot_mapped(uint64_t *start, uint64_t *end)
{
    *start = ROUND_DOWN(image_pa, (uint64_t)1 << 21);
    *end = boot_mapped_end;
}

uint64_t virt_to_phys(const void *va)
{
    uintptr_t v = (uintptr_t)va;
    if (v >= DIRECT_MAP)
        return v - DIRECT_MAP;
    return v - (uintptr_t)image_start + image_pa;
}

static unsigned index_at(uintptr_t va, int level)
{
    return (va >> (12 + 9 * level)) & 511;
}

// A page or block; a table is neither. Level 0 is that of pages.
static bool is_leaf(uint64_t v, int level)
{
    return level == 0 || (v & PTE_TABLE) != PTE_TABLE;
}

// The table below *e, made if absent. NULL: no page for it, or *e maps a block.
static pte_t *descend(pte_t *e, int level, void *(*alloc)(void))
{
    uint64_t v = atomic_load_explicit(e, memory_order_acquire);
    if (!(v & PTE_VALID)) {
        void *page = alloc ? alloc() : NULL;
        if (!page)
            return NULL;
        uint64_t mine = virt_to_phys(page) | PTE_TABLE;
        if (atomic_compare_exchange_strong_explicit(e, &v, mine, memory_order_acq_rel,
                                                    memory_order_acquire))
            v = mine;
        else if (alloc == page_alloc_fault)
            page_free_fault(page);
        else
            page_free(page, 0);
    }
    return is_leaf(v, level) ? NULL : phys_to_virt(v & PTE_ADDR);
}

static pte_t *root_of(uintptr_t va)
{
    return va >> 63 ? high_root : low_root;
}

// The entry that maps va at level (0: 4 KiB, 1: 2 MiB, 2: 1 GiB). Addresses have 48 bits and as
// many copies of the last: what is between the two halves has no entry.
static pte_t *walk(uintptr_t va, int level, void *(*alloc)(void))
{
    pte_t *table = root_of(va);
    if (va >> 48 != 0 && va >> 48 != 0xffff)
        return NULL;
    for (int l = 3; l > level; l--) {
        table = descend(&table[index_at(va, l)], l, alloc);
        if (!table)
            return NULL;
    }
    return &table[index_at(va, level)];
}

static uint64_t pte_flags(unsigned flags)
{
    uint64_t f = PTE_VALID | PTE_AF | UXN;
    f |= flags & MAP_DEVICE   ? PTE_ATTR_DEVICE
         : flags & MAP_GATHER ? PTE_ATTR_UNCACHED
                              : PTE_ATTR_NORMAL | PTE_SH_INNER;
    if (!(flags & MAP_WRITE))
        f |= PTE_RO;
    if (!(flags & MAP_EXEC))
        f |= PXN;
    return f;
}

bool arch_map_page(uintptr_t va, uint64_t pa, unsigned flags, void *(*alloc)(void), bool *won)
{
    *won = false;
    pte_t *e = walk(va, 0, alloc);
    if (!e)
        return false;
    uint64_t absent = 0;
    *won = atomic_compare_exchange_strong_explicit(e, &absent, pa | pte_flags(flags) | PTE_TABLE,
                                                   memory_order_acq_rel, memory_order_acquire);
    // Walks from here on see the entry; one that has just failed is not remembered.
    __asm__ volatile("dsb ishst; isb" ::: "memory");
    return *won || (absent & PTE_VALID);
}

uint64_t arch_unmap_page(uintptr_t va)
{
    pte_t *e = walk(va, 0, NULL);
    if (!e)
        return 0;
    uint64_t was = atomic_exchange_explicit(e, 0, memory_order_acq_rel);
    uint64_t operand = va >> 12 & 0xfffffffffffull;
    __asm__ volatile("dsb nshst; tlbi vaae1, %0; dsb nsh; isb" : : "r"(operand) : "memory");
    return was & PTE_VALID ? was & PTE_ADDR : 0;
}

bool arch_is_mapped(uintptr_t va)
{
    if (va >> 48 != 0 && va >> 48 != 0xffff)
        return false;
    pte_t *table = root_of(va);
    for (int l = 3; l >= 0; l--) {
        uint64_t v = atomic_load_explicit(&table[index_at(va, l)], memory_order_relaxed);
        if (!(v & PTE_VALID))
            return false;
        if (is_leaf(v, l))
            return true;
        table = phys_to_virt(v & PTE_ADDR);
    }
    return false;
}

static void *boot_table(void)
{
    void *page = page_alloc_zeroed(0);
    if (!page)
        throw("arch_mmu_init: no memory for page tables");
    return page;
}

static void map_image(const char *from, const char *to, unsigned flags)
{
    for (const char *va = from; va < to; va += PAGE_SIZE) {
        bool won;
        arch_map_page((uintptr_t)va, virt_to_phys(va), flags, boot_table, &won);
    }
}

// Direct map of [start, end), in the largest pages that fit; the constant image is left out.
static void map_direct(uint64_t start, uint64_t end)
{
    static const unsigned shift[] = { 12, 21, 30 };
    uint64_t const_start = virt_to_phys(text_start), const_end = virt_to_phys(rodata_end);
    uint64_t flags = pte_flags(MAP_WRITE);
    uint64_t pa = start;
    while (pa < end) {
        int level = 2;
        for (; level > 0; level--) {
            uint64_t size = 1ull << shift[level];
            bool holds_image = pa < const_end && pa + size > const_start;
            if (pa % size == 0 && pa + size <= end && !holds_image)
                break;
        }
        bool constant = pa >= const_start && pa < const_end;
        pte_t *e = constant ? NULL : walk(DIRECT_MAP + pa, level, boot_table);
        if (e && !(atomic_load_explicit(e, memory_order_relaxed) & PTE_VALID))
            atomic_store_explicit(e, pa | flags | (level ? 0 : PTE_TABLE), memory_order_relaxed);
        pa += 1ull << shift[level];
    }
}

// Adjacent pieces become one, so that large pages fit across what the boot loader split. Reserved
// memory may be somebody's without caches: it is not mapped, but for the image.
static void map_ram(const struct bootinfo *bi)
{
    uint64_t start = 0, end = 0;
    for (size_t i = 0; i < bi->n_ranges; i++) {
        const struct mem_range *r = &bi->ranges[i];
        uint64_t image_end_pa = image_pa + (uint64_t)(image_end - image_start);
        if (r->kind == MEM_RESERVED && (r->start < image_pa || r->end > image_end_pa))
            continue;
        uint64_t s = ROUND_DOWN(r->start, PAGE_SIZE), e = ROUND_UP(r->end, PAGE_SIZE);
        if (s <= end && e > start) {
            end = MAX(end, e);
            continue;
        }
        map_direct(start, end);
        start = s;
        end = e;
    }
    map_direct(start, end);
}

// From the boot tables to these. Boot entries belong to address space numbers that are not used
// again, and the upper half is not walked while it has neither the old tables nor the new: no
// translation is ever found in two sizes. Nothing here touches the upper half.
static __attribute__((noinline)) void switch_tables(void)
{
    uint64_t tcr = sysreg_read(tcr_el1);
    __asm__ volatile("msr tcr_el1, %0\n\t"
                     "isb\n\t"
                     "msr ttbr0_el1, %1\n\t"
                     "isb\n\t"
                     "msr ttbr1_el1, %2\n\t"
                     "isb\n\t"
                     "tlbi vmalle1\n\t"
                     "dsb nsh\n\t"
                     "isb\n\t"
                     "msr tcr_el1, %3\n\t"
                     "isb"
                     : : "r"(tcr | TCR_EPD1), "r"(kernel_ttbr0), "r"(kernel_ttbr1), "r"(tcr)
                     : "memory");
}

void mmu_enable_wxn(void)
{
    sysreg_write(sctlr_el1, sysreg_read(sctlr_el1) | SCTLR_WXN);
    isb();
    __asm__ volatile("tlbi vmalle1; dsb nsh; isb" ::: "memory");
}

void arch_mmu_init(const struct bootinfo *bi)
{
    bool won;
    low_root = boot_table();
    high_root = boot_table();
    kernel_ttbr0 = virt_to_phys(low_root) | (uint64_t)ASID_KERNEL << ASID_SHIFT;
    kernel_ttbr1 = virt_to_phys(high_root);
    map_image(text_start, text_end, MAP_EXEC);
    map_image(rodata_start, rodata_end, 0);
    map_image(rodata_end, image_end, MAP_WRITE);
    arch_map_page(TRAMPOLINE_VA, image_pa, MAP_EXEC, boot_table, &won);
    map_ram(bi);
    __asm__ volatile("dsb ishst" ::: "memory");
    switch_tables();
    mmu_enable_wxn();
    console_map();
}
