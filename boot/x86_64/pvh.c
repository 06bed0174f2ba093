// SPDX-License-Identifier: BSD-2-Clause
// Reads the PVH start information (Xen's public/arch-x86/hvm/start_info.h layout).

#include "boot/x86_64/boot.h"
#include "kernel/bootinfo.h"

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

bool pvh_read(struct bootinfo *bi, uint64_t pa)
{
    const struct pvh_start_info *si = boot_phys(pa, sizeof *si);
    if (!si || si->magic != PVH_MAGIC)
        return false;
    bi->loader = "pvh";
    bi->rsdp_pa = si->rsdp_pa;
    size_t max;
    const char *line = boot_phys_text(si->cmdline_pa, BOOT_LINE_BYTES, &max);
    if (line)
        multiboot_cmdline(bi, line, max);
    uint32_t n = si->version >= 1 ? si->memmap_entries : 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct pvh_memmap_entry *e = boot_phys(si->memmap_pa + i * sizeof *e, sizeof *e);
        if (!e)
            break;
        boot_e820_range(bi, e->addr, e->size, e->type);
    }
    return true;
}
