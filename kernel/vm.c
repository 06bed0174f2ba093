// SPDX-License-Identifier: BSD-2-Clause
// Device registers get addresses of their own, counted upwards and never given back.

#include "kernel/vm.h"

#include <arch_layout.h>
#include <stdatomic.h>

#include "arch/arch.h"
#include "kernel/page.h"
#include "lib/util.h"

static _Atomic(uintptr_t) mmio_next = MMIO_BASE;

static void *table_page(void)
{
    return page_alloc_zeroed(0);
}

static void *map(uint64_t pa, size_t len, unsigned flags)
{
    uint64_t first = ROUND_DOWN(pa, (uint64_t)PAGE_SIZE);
    size_t bytes = ROUND_UP(pa + len - first, (uint64_t)PAGE_SIZE);
    if (len == 0 || pa + len < pa || bytes > MMIO_SIZE)
        return NULL;
    uintptr_t va = atomic_fetch_add_explicit(&mmio_next, bytes + PAGE_SIZE, memory_order_relaxed);
    if (va + bytes > MMIO_BASE + MMIO_SIZE)
        return NULL;
    for (size_t off = 0; off < bytes; off += PAGE_SIZE) {
        bool won;
        if (!arch_map_page(va + off, first + off, MAP_WRITE | flags, table_page, &won))
            return NULL;
    }
    return (void *)(va + (pa - first));
}

void *vm_map_mmio(uint64_t pa, size_t len)
{
    return map(pa, len, MAP_DEVICE);
}

void *vm_map_screen(uint64_t pa, size_t len)
{
    return map(pa, len, MAP_GATHER);
}
