// SPDX-License-Identifier: BSD-2-Clause
// What memory is used for. Numbers are read without stopping anything: each is exact for some
// moment in the recent past, not all for the same one. Sizes in bytes.
#ifndef HEDDLE_MEM_H
#define HEDDLE_MEM_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

struct heap_stats {
    size_t live_bytes;     // in objects handed out, by the sizes of their classes
    size_t held_bytes;     // in the heap's pages, free objects included
    size_t returned_bytes; // in pages the heap has given back since boot
    size_t allocs, frees;  // objects, since boot
    size_t large_objects;  // of those handed out, those too large for a class
    size_t large_bytes;    // in them; counted in live_bytes and held_bytes too
    size_t memory_bytes;   // of the machine, without what its tables take
    size_t free_bytes;     // in no use at all: neither the heap's nor a stack's nor a table's
};

// Never blocks.
void heap_stats(struct heap_stats *out);

struct heap_class_stats {
    size_t size;   // of an object
    size_t live;   // objects handed out
    size_t cached; // free objects kept by cores
    size_t held_bytes; // in the class's pages
};

// Fills up to n entries, one for each class of sizes, smallest first; returns how many classes
// there are. Never blocks.
size_t heap_class_stats(struct heap_class_stats *out, size_t n);

#pragma GCC visibility pop

#endif
