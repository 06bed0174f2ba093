// SPDX-License-Identifier: BSD-2-Clause
// The kernel's and the application's heap: size classes with per-core caches above spans of
// pages. libc's malloc family is this. Any object is physically contiguous (usable for DMA
// through virt_to_phys), and one whose size is a power of two up to a page never crosses one.
#ifndef KERNEL_HEAP_H
#define KERNEL_HEAP_H

#include <heddle/mem.h> // heap_stats, heap_class_stats
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// heap.c
void heap_init(void);
// Gives a core its lists of free objects; until then it allocates from the central ones, under
// locks. False when memory is exhausted. Context: boot core, before that core is started. The
// boot core has its own from heap_init.
bool heap_init_core(unsigned core);

// At least n bytes aligned to 16 (to 64 from 64 bytes on, so that objects do not share lines; a
// power of two up to 4096 is aligned to itself); NULL, with errno ENOMEM, when memory is
// exhausted. heap_alloc(0) is a unique object. Context: goroutine, g0 or boot; not an interrupt
// handler.
void *heap_alloc(size_t n);
void *heap_zalloc(size_t n);
void heap_free(void *p); // NULL is allowed
void *heap_realloc(void *p, size_t n);
void *heap_aligned_alloc(size_t align, size_t n); // align: power of two
size_t heap_usable_size(const void *p);

// The same for a caller whose own caller, at `site`, is the one the debug build is to name.
void *heap_alloc_at(size_t align, size_t n, const void *site);
void *heap_realloc_at(void *p, size_t n, const void *site);
void heap_free_at(void *p, const void *site);

// Gives back the pages behind the free objects this core keeps, and those the classes keep.
void heap_trim(void);

// Makes the n-th allocation from now (1: the next) fail, as if memory were exhausted, once; 0:
// none. Returns how many were left to go of the previous call, 0 once it has struck. For tests.
int64_t heap_fail_after(int64_t n);

#endif
