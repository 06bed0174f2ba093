// SPDX-License-Identifier: BSD-2-Clause
// Physical pages: a buddy allocator with per-core caches of single pages. Pages are handed out by
// their address in the direct map.
#ifndef KERNEL_PAGE_H
#define KERNEL_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/util.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE ((size_t)1 << PAGE_SHIFT)
#define PAGE_MAX_ORDER 18 // 1 GiB blocks

// page.c

// Gives [start, end) of physical memory to the allocator; called for each usable range, once, at
// boot, with the reserved parts already cut out. Unaligned ends are dropped.
void page_add_range(uint64_t start, uint64_t end);

// 2^order contiguous pages with undefined contents, aligned to their size; NULL when there are
// none. Context: goroutine, g0 or boot; not an interrupt handler (see page_alloc_fault).
void *page_alloc(unsigned order);
void *page_alloc_zeroed(unsigned order);
void page_free(void *p, unsigned order);

// n contiguous pages, any number of them, the first aligned to 2^align_order pages and to the
// power of two not below n; no page more than n is taken. page_trim_run gives back all but the
// first `keep` of them.
void *page_alloc_run(size_t n, unsigned align_order);
void page_free_run(void *p, size_t n);
void page_trim_run(void *p, size_t n, size_t keep);

// One zeroed page from the calling core's reserve, without a lock. For the page-fault handler,
// with interrupts off. NULL when the reserve is empty. The reserve is refilled by
// page_reserve_refill.
void *page_alloc_fault(void);
// Gives one back to the same reserve, still cleared: another core's fault was first.
void page_free_fault(void *page);
void page_reserve_refill(void); // Context: g0
// Per core; false: page_reserve_refill has work there. Legal to clear at any time, by any core.
extern _Atomic(bool) page_reserve_full[];

// Makes the n-th allocation from now (1: the next) fail, as if memory were exhausted, and with it
// the two attempts after it, by which the heap would make up for it; 0: none. Returns how many were
// left to go of the previous call, 0 once it has struck. Stacks that grow by a fault are not
// counted: nobody could be told. For tests.
int64_t page_fail_after(int64_t n);

// How many cores share the memory, which sizes caches and reserves (one until it is said).
// Context: boot.
void page_set_cores(unsigned n);

// Registers what is to be called, on g0 of each core in turn, when memory has run out somewhere:
// it gives pages back that this core alone can reach. Context: boot.
void page_on_pressure(void (*reclaim)(void));
// Registers what wakes the cores that sleep, so that they come by page_reserve_refill. Callable
// from any context that allocates. Context: boot.
void page_on_pressure_wake(void (*wake)(void));
// Asks every core for that; each complies at its next page_reserve_refill. Context: as page_alloc.
void page_pressure(void);

// Pages given to the allocator, and pages free now (caches and reserves counted as free).
size_t page_total(void);
size_t page_free_count(void);
// True while less than a 64th of them, or a MiB, is free outside of caches and reserves: whoever is
// about to begin something that needs more and more had better not. Any context, cheap.
bool page_scarce(void);

// mmu: the direct map (arch/*/mmu.c sets direct_map_base).
extern uintptr_t direct_map_base;
static inline void *phys_to_virt(uint64_t pa) { return (void *)(uintptr_t)(pa + direct_map_base); }
// For direct-map addresses and addresses inside the kernel image.
uint64_t virt_to_phys(const void *va);

#endif
