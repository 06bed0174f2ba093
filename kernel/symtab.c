// SPDX-License-Identifier: BSD-2-Clause
// Looks up functions in the table that tools/symtab makes from a first link of the image and that
// the second link adds to its read-only data. The first link has no table: the reference is weak.
// The table: u32 functions, u32 files; u32 address[functions], ascending; u32 where[functions], the
// offset of the function's name in its low 20 bits and the index of its file above; u32
// file[files], offsets of their names; then the names.
#include "kernel/symtab.h"

#include "lib/util.h"

#define NAME_BITS 20

extern const uint32_t symtab_blob[] __attribute__((weak));
extern char text_start[], text_end[];

bool symtab_lookup(uintptr_t pc, const char **file, const char **func, size_t *off)
{
    const uint32_t *blob = symtab_blob;
    if (!blob || pc < (uintptr_t)text_start || pc >= (uintptr_t)text_end)
        return false;
    uint32_t functions = blob[0], files = blob[1];
    const uint32_t *addr = blob + 2;
    const uint32_t *where = addr + functions;
    const uint32_t *file_name = where + functions;
    const char *names = (const char *)(file_name + files);

    // Invariant: addr[lo] <= pc < addr[hi], where addr[functions] is beyond the text.
    uint32_t lo = 0, hi = functions;
    if (functions == 0 || pc < addr[0])
        return false;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (addr[mid] <= pc)
            lo = mid;
        else
            hi = mid;
    }
    *func = names + (where[lo] & ((1u << NAME_BITS) - 1));
    *file = names + file_name[where[lo] >> NAME_BITS];
    *off = pc - addr[lo];
    return true;
}
