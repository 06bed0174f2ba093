// SPDX-License-Identifier: BSD-2-Clause
// Page tables: four levels, 4 KiB pages, 2 MiB (or 1 GiB) in the direct map.
//
// The image is mapped at its physical addresses: text executable and read-only, the rest not
// executable, read-only data read-only. All RAM is in the direct map, writable and not executable,
// except that the image's text and read-only data are left out of it, so no writable alias of them
// exists. Address 0 and everything else below the image stays unmapped.
//
// Entries are only ever changed from absent to present (compare-and-swap, whoever is first wins)
// or, by arch_unmap_page, back; tables are never freed. So no lock is needed, and the fault handler
// can map pages.

#include "arch/arch.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "kernel/bootinfo.h"
#include "kernel/page.h"
#include "kernel/panic.h"

#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_PWT 8ull
#define PTE_PCD 16ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

#define DIRECT_MAP ((uintptr_t)0xffff800000000000)

typedef _Atomic(uint64_t) pte_t;

extern char image_start[], image_end[], text_start[], text_end[], rodata_start[], rodata_end[];

uintptr_t direct_map_base = DIRECT_MAP; // the boot tables map the first 4 GiB here already
uint64_t kernel_pml4_pa;

static pte_t *kernel_pml4;

// boot/x86_64/ maps the first 4 GiB.
void arch_boot_mapped(uint64_t *start, uint64_t *end)
{
    *start = 0;
    *end = (uint64_t)1 << 32;
}

uint64_t virt_to_phys(const void *va)
{
    uintptr_t v = (uintptr_t)va;
    if (v >= DIRECT_MAP)
        return v - DIRECT_MAP;
    return v; // the image
}

static unsigned index_at(uintptr_t va, int level)
{
    return (va >> (12 + 9 * level)) & 511;
}

// The table below *e, made if absent. NULL: no page for it, or *e maps a large page.
static pte_t *descend(pte_t *e, void *(*alloc)(void))
{
    uint64_t v = atomic_load_explicit(e, memory_order_acquire);
    if (!(v & PTE_P)) {
        void *page = alloc ? alloc() : NULL;
        if (!page)
            return NULL;
        uint64_t mine = virt_to_phys(page) | PTE_P | PTE_W | PTE_A;
        if (atomic_compare_exchange_strong_explicit(e, &v, mine, memory_order_acq_rel,
                                                    memory_order_acquire))
            v = mine;
        else if (alloc == page_alloc_fault)
            page_free_fault(page);
        else
            page_free(page, 0);
    }
    return v & PTE_PS ? NULL : phys_to_virt(v & PTE_ADDR);
}

// The entry that maps va at level (0: 4 KiB, 1: 2 MiB, 2: 1 GiB).
static pte_t *walk(uintptr_t va, int level, void *(*alloc)(void))
{
    pte_t *table = kernel_pml4;
    for (int l = 3; l > level; l--) {
        table = descend(&table[index_at(va, l)], alloc);
        if (!table)
            return NULL;
    }
    return &table[index_at(va, level)];
}

static uint64_t pte_flags(unsigned flags)
{
    uint64_t f = PTE_P | PTE_A | PTE_D;
    if (cpu_features.pge)
        f |= PTE_G;
    if (flags & MAP_WRITE)
        f |= PTE_W;
    if (!(flags & MAP_EXEC))
        f |= PTE_NX;
    if (flags & MAP_DEVICE)
        f |= PTE_PCD | PTE_PWT;
    if (flags & MAP_GATHER)
        f |= PTE_PWT; // write-combining, by cpu.c's page attribute table
    return f;
}

bool arch_map_page(uintptr_t va, uint64_t pa, unsigned flags, void *(*alloc)(void), bool *won)
{
    *won = false;
    pte_t *e = walk(va, 0, alloc);
    if (!e)
        return false;
    uint64_t absent = 0;
    *won = atomic_compare_exchange_strong_explicit(e, &absent, pa | pte_flags(flags),
                                                   memory_order_acq_rel, memory_order_acquire);
    return *won || (absent & PTE_P);
}

uint64_t arch_unmap_page(uintptr_t va)
{
    pte_t *e = walk(va, 0, NULL);
    if (!e)
        return 0;
    uint64_t was = atomic_exchange_explicit(e, 0, memory_order_acq_rel);
    invlpg(va);
    return was & PTE_P ? was & PTE_ADDR : 0;
}

bool arch_is_mapped(uintptr_t va)
{
    pte_t *table = kernel_pml4;
    for (int l = 3; l >= 0; l--) {
        uint64_t v = atomic_load_explicit(&table[index_at(va, l)], memory_order_relaxed);
        if (!(v & PTE_P))
            return false;
        if (l == 0 || (v & PTE_PS))
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
    for (uintptr_t va = (uintptr_t)from; va < (uintptr_t)to; va += PAGE_SIZE) {
        bool won;
        arch_map_page(va, va, flags, boot_table, &won);
    }
}

static bool is_const_image(uint64_t pa)
{
    return pa >= (uintptr_t)text_start && pa < (uintptr_t)rodata_end;
}

// Direct map of [start, end), in the largest pages that fit; the constant image is left out.
static void map_direct(uint64_t start, uint64_t end)
{
    static const unsigned shift[] = { 12, 21, 30 };
    uint64_t flags = pte_flags(MAP_WRITE);
    uint64_t pa = start;
    while (pa < end) {
        int level = cpu_features.gib_pages ? 2 : 1;
        for (; level > 0; level--) {
            uint64_t size = 1ull << shift[level];
            bool holds_image = pa < (uintptr_t)rodata_end && pa + size > (uintptr_t)text_start;
            if (pa % size == 0 && pa + size <= end && !holds_image)
                break;
        }
        pte_t *e = is_const_image(pa) ? NULL : walk(DIRECT_MAP + pa, level, boot_table);
        if (e && !(atomic_load_explicit(e, memory_order_relaxed) & PTE_P))
            atomic_store_explicit(e, pa | flags | (level ? PTE_PS : 0), memory_order_relaxed);
        pa += 1ull << shift[level];
    }
}

// Adjacent pieces become one, so that large pages fit across what the boot loader split.
static void map_ram(const struct bootinfo *bi)
{
    uint64_t start = 0, end = 0;
    for (size_t i = 0; i < bi->n_ranges; i++) {
        const struct mem_range *r = &bi->ranges[i];
        if (r->kind == MEM_RESERVED && r->start >= 0x100000)
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

void arch_mmu_init(const struct bootinfo *bi)
{
    kernel_pml4 = boot_table();
    kernel_pml4_pa = virt_to_phys(kernel_pml4);
    map_image(text_start, text_end, MAP_EXEC);
    map_image(rodata_start, rodata_end, 0);
    map_image(rodata_end, image_end, MAP_WRITE);
    map_direct(0, 0x100000); // the BIOS's tables lie anywhere in the first MiB
    map_ram(bi);
    write_cr3(kernel_pml4_pa);
}
