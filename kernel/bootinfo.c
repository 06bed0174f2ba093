// SPDX-License-Identifier: BSD-2-Clause
// Makes a boot loader's memory map fit to use: sorted, without overlaps, without what is already
// taken.

#include "kernel/bootinfo.h"

#include <string.h>

#include "kernel/print.h"
#include "lib/util.h"

extern char image_start[], image_end[];

static void insert(struct bootinfo *bi, struct mem_range r)
{
    if (r.start >= r.end)
        return;
    if (bi->n_ranges == BOOT_MAX_RANGES) {
        bi->n_dropped++;
        return;
    }
    size_t i = bi->n_ranges++;
    for (; i > 0 && bi->ranges[i - 1].start > r.start; i--)
        bi->ranges[i] = bi->ranges[i - 1];
    bi->ranges[i] = r;
}

// Takes [start, end) out of every range of a less reserved kind, then adds it as that kind.
static void carve(struct bootinfo *bi, uint64_t start, uint64_t end, enum mem_kind kind)
{
    static struct bootinfo old; // too large for the boot stack
    old = *bi;
    bi->n_ranges = 0;
    for (size_t i = 0; i < old.n_ranges; i++) {
        struct mem_range r = old.ranges[i];
        if (r.kind > kind || r.end <= start || r.start >= end) {
            insert(bi, r);
            continue;
        }
        insert(bi, (struct mem_range){ r.start, MIN(r.end, start), r.kind });
        insert(bi, (struct mem_range){ MAX(r.start, end), r.end, r.kind });
    }
    insert(bi, (struct mem_range){ start, end, kind });
}

void bootinfo_normalise(struct bootinfo *bi)
{
    static struct bootinfo raw;
    raw = *bi;
    bi->n_ranges = 0;
    for (int kind = MEM_USABLE; kind <= MEM_RESERVED; kind++)
        for (size_t i = 0; i < raw.n_ranges; i++)
            if ((int)raw.ranges[i].kind == kind && raw.ranges[i].end > raw.ranges[i].start)
                carve(bi, raw.ranges[i].start, raw.ranges[i].end, (enum mem_kind)kind);
    carve(bi, 0, 0x100000, MEM_RESERVED);
    carve(bi, (uintptr_t)image_start, (uintptr_t)image_end, MEM_RESERVED);
    if (bi->n_dropped)
        kprintf("memory map: %lu entries beyond the first %d are not used\n",
                (unsigned long)bi->n_dropped, BOOT_MAX_RANGES);
}
