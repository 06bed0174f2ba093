// SPDX-License-Identifier: BSD-2-Clause
// Reads the PVH start information (Xen's public/arch-x86/hvm/start_info.h layout) into struct
// bootinfo. Everything it points at lies below 4 GiB, which the entry code has mapped.

#include "kernel/bootinfo.h"
#include "kernel/page.h"
#include "lib/util.h"

#define PVH_MAGIC 0x336ec578u

struct pvh_start_info {
    uint32_t magic, version, flags, n_modules;
    uint64_t modules_pa, cmdline_pa, rsdp_pa;
    uint64_t memmap_pa; // from version 1
    uint32_t memmap_entries, reserved;
};

struct pvh_memmap_entry {
    uint64_t addr, size;
    uint32_t type, reserved; // type as in the BIOS's E820
};

static struct bootinfo pvh_bootinfo;

_Noreturn void pvh_main(const struct pvh_start_info *si);

static enum mem_kind kind_of_e820(uint32_t type)
{
    switch (type) {
    case 1: return MEM_USABLE;
    case 3: return MEM_ACPI;
    default: return MEM_RESERVED;
    }
}

_Noreturn void pvh_main(const struct pvh_start_info *si)
{
    struct bootinfo *bi = &pvh_bootinfo;
    bi->loader = "pvh";
    bi->cmdline = "";
    if (si->magic == PVH_MAGIC) {
        if (si->cmdline_pa != 0 && si->cmdline_pa < (1ull << 32))
            bi->cmdline = (const char *)(uintptr_t)si->cmdline_pa;
        bi->rsdp_pa = si->rsdp_pa;
        const struct pvh_memmap_entry *map = (const void *)(uintptr_t)si->memmap_pa;
        uint32_t n = si->version >= 1 && si->memmap_pa != 0 ? si->memmap_entries : 0;
        for (uint32_t i = 0; i < n; i++) {
            if (bi->n_ranges == BOOT_MAX_RANGES) {
                bi->n_dropped++;
                continue;
            }
            bi->ranges[bi->n_ranges++] = (struct mem_range){
                .start = map[i].addr,
                .end = map[i].addr + map[i].size,
                .kind = kind_of_e820(map[i].type),
            };
        }
    }
    kernel_main(bi);
}
