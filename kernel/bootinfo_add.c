// SPDX-License-Identifier: BSD-2-Clause
// How loaders' code writes a memory map down. In a file of its own, for the UEFI application is
// linked to it too, and to nothing else of the kernel.

#include "kernel/bootinfo.h"

void bootinfo_add(struct bootinfo *bi, uint64_t start, uint64_t len, enum mem_kind kind)
{
    uint64_t end = len > UINT64_MAX - start ? UINT64_MAX : start + len;
    struct mem_range *last = bi->n_ranges ? &bi->ranges[bi->n_ranges - 1] : NULL;
    if (end == start)
        return;
    if (last && last->kind == kind && last->end == start)
        last->end = end;
    else if (bi->n_ranges == BOOT_MAX_RANGES)
        bi->n_dropped++;
    else
        bi->ranges[bi->n_ranges++] = (struct mem_range){ start, end, kind };
}
