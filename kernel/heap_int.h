// SPDX-License-Identifier: BSD-2-Clause
// The heap's own interfaces: size classes, per-core caches, central spans, the debug build's
// guards.
#ifndef KERNEL_HEAP_INT_H
#define KERNEL_HEAP_INT_H

#include <stdatomic.h>

#include "kernel/heap.h"
#include "kernel/page_meta.h"
#include "sched/g.h"

#define HEAP_SMALL 1024        // up to here classes are looked up in steps of 16 bytes
#define HEAP_MAX_CLASS 32768   // larger objects are runs of pages
#define HEAP_CLASSES 59        // numbered from 1
#define HEAP_LARGE 0xff        // heap_class of the first page of a large object
#define SPAN_INNER 0xffff      // heap_used of a span's pages but the first
#define SPAN_MAX_PAGES 16

struct heap_class {
    uint32_t size;
    uint32_t recip;  // 2^32 / size, rounded up: offset * recip >> 32 is an object's index
    uint16_t pages;  // of a span
    uint16_t objs;   // in a span
    uint16_t batch;  // objects moved at a time between a core and the spans
    uint16_t limit;  // most objects a core may keep
};

// A list of free objects of one class, through their first words. Owner: the core, preemption
// disabled.
struct heap_list {
    void *head;
    // Low 16 bits: how many more objects the list may take. Above: objects handed out so far. One
    // word, so that the short ways change one. Read by anyone.
    _Atomic(uint64_t) count;
};
#define HEAP_ROOM 0xffff
#define HEAP_ONE_ALLOC ((uint64_t)1 << 16)

struct heap_core {
    struct heap_list list[HEAP_CLASSES + 1];
    // Most objects each list may hold; grows and shrinks with use. Read by anyone.
    _Atomic(uint16_t) max[HEAP_CLASSES + 1];
    size_t allowance; // sum of max * size over the lists
    unsigned victim;  // whose allowance is cut next
};

extern struct heap_class heap_class[HEAP_CLASSES + 1];
extern struct heap_core *heap_cores[MAX_CORES];

// A free object carries this in its second word from the moment it is freed to the next time it
// is handed out. A live object has it only by being freed: the word is cleared when the object is
// handed out.
#define HEAP_FREE_MARK 0x9d2c5680f1bbcdc7ull
static inline uintptr_t heap_free_mark(const void *p)
{
    return (uintptr_t)p ^ (uintptr_t)HEAP_FREE_MARK;
}

// heap_span.c

void heap_span_init(void);
// The smallest class for n bytes, n <= HEAP_MAX_CLASS.
unsigned heap_class_of(size_t n);
// Up to n objects of a class as a list through their first words, marked free; how many.
// Context: preemption disabled.
unsigned heap_span_take(unsigned cls, unsigned n, void **list);
// Takes back the first n objects of a list of one class; returns the rest of the list.
void *heap_span_give(unsigned cls, void *list, unsigned n);
// Gives back the pages of the spans that were kept though all of their objects are free.
void heap_span_trim(void);
// Throws unless p, whose page is pg, is where an object of its span begins.
void heap_span_check(const void *p, struct page *pg);
// Objects of cls outside their spans, in caches or in use.
size_t heap_span_out(unsigned cls);
// Pages of its spans; pages that spans of all classes have given back since boot.
size_t heap_span_pages(unsigned cls);
size_t heap_span_returned(void);

// heap_debug.c: the debug build's guards. The last HEAP_GUARD bytes of an object's room say how
// long it is and who asked for it; between its end and them is a red zone; free objects are
// filled with a pattern.
#define HEAP_GUARD 32

void heap_guard_fresh(void *p, size_t room);
void heap_guard_set(void *p, size_t room, size_t n, const void *site);
void heap_guard_clear(void *p, size_t room, const void *site);
size_t heap_guard_length(const void *p, size_t room);
_Noreturn void heap_guard_double_free(void *p, size_t room);

#endif
