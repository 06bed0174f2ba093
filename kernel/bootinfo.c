// SPDX-License-Identifier: BSD-2-Clause
// Makes a boot loader's memory map fit to use: sorted, without overlaps, without what is already
// taken.

#include "kernel/bootinfo.h"

#include <string.h>

#include "kernel/page.h"
#include "kernel/print.h"
#include "lib/util.h"

extern char image_start[], image_end[];

#define SCREEN_MAX (256ull << 20) // a larger one is a lie
#define LOW_PAGE 0x1000u
#define LOW_FIRST 0x8000u // where nobody has anything, on machines that follow old custom
#define LOW_END 0xa0000u

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

static bool usable(const struct bootinfo *bi, uint64_t start, uint64_t end)
{
    for (size_t i = 0; i < bi->n_ranges; i++)
        if (bi->ranges[i].kind == MEM_USABLE && bi->ranges[i].start <= start &&
            bi->ranges[i].end >= end)
            return true;
    return false;
}

// Firmware has tables at both ends of the first 640 KiB; pages in the middle are asked for first.
static uint64_t find_low_page(const struct bootinfo *bi)
{
    for (uint64_t pa = LOW_FIRST; pa + LOW_PAGE <= LOW_END; pa += LOW_PAGE)
        if (usable(bi, pa, pa + LOW_PAGE))
            return pa;
    for (uint64_t pa = LOW_PAGE; pa < LOW_FIRST; pa += LOW_PAGE)
        if (usable(bi, pa, pa + LOW_PAGE))
            return pa;
    return 0;
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
    bi->low_page = find_low_page(bi);
    carve(bi, 0, 0x100000, MEM_RESERVED);
    carve(bi, virt_to_phys(image_start), virt_to_phys(image_end), MEM_RESERVED);
    const struct boot_framebuffer *fb = &bi->framebuffer;
    uint64_t screen_bytes = (uint64_t)fb->pitch * fb->height;
    if (fb->pa && screen_bytes <= SCREEN_MAX && fb->pa <= UINT64_MAX - SCREEN_MAX)
        carve(bi, fb->pa, fb->pa + screen_bytes, MEM_RESERVED);
    if (bi->n_dropped)
        kprintf("memory map: %lu entries beyond the first %d are not used\n",
                (unsigned long)bi->n_dropped, BOOT_MAX_RANGES);
}
