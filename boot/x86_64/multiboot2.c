// SPDX-License-Identifier: BSD-2-Clause
// Reads the Multiboot 2 information: one block of tags, each with its type and length, on
// boundaries of eight bytes. The ACPI root comes as a copy within the block, whose memory is not
// kept; it is copied once more.
//
// The memory map is the loader's if there is one, which has firmware's merged; else firmware's own,
// else the two sizes.

#include <string.h>

#include "boot/efi_map.h"
#include "boot/x86_64/boot.h"
#include "kernel/bootinfo.h"
#include "lib/le.h"
#include "lib/util.h"

enum mb2_tag {
    TAG_END = 0, TAG_CMDLINE = 1, TAG_MODULE = 3, TAG_MEMORY = 4, TAG_MAP = 6, TAG_FRAMEBUFFER = 8,
    TAG_RSDP1 = 14, TAG_RSDP2 = 15, TAG_EFI_MAP = 17,
};

#define INFO_MAX (16u << 20)
#define HEADER 8u // of the block and of each tag
#define RSDP_BYTES 36u

static uint8_t rsdp[RSDP_BYTES] __attribute__((aligned(16)));

struct found {
    const uint8_t *map, *efi_map, *memory;
    size_t map_len, efi_map_len;
};

// Tag t of `len` bytes, its header counted.
static void read_tag(struct bootinfo *bi, const uint8_t *t, size_t len, struct found *f)
{
    const uint8_t *body = t + HEADER;
    len -= HEADER;
    switch (le32_get(t)) {
    case TAG_CMDLINE:
        // A module's text may have come before it; the specification has the line first.
        if (!bi->cmdline)
            multiboot_cmdline(bi, (const char *)body, len);
        break;
    case TAG_MODULE:
        if (len >= 8)
            multiboot_module(bi, le32_get(body), le32_get(body + 4), (const char *)body + 8,
                             len - 8);
        break;
    case TAG_MEMORY:
        if (len >= 8)
            f->memory = body;
        break;
    case TAG_MAP:
        f->map = body;
        f->map_len = len;
        break;
    case TAG_FRAMEBUFFER:
        if (len >= MULTIBOOT_FRAMEBUFFER_BYTES)
            multiboot_framebuffer(bi, body);
        break;
    case TAG_EFI_MAP:
        f->efi_map = body;
        f->efi_map_len = len;
        break;
    case TAG_RSDP1:
    case TAG_RSDP2:
        // The longer form wins, whichever comes first.
        if (len >= 20 && (le32_get(t) == TAG_RSDP2 || bi->rsdp_pa == 0)) {
            memset(rsdp, 0, sizeof rsdp);
            memcpy(rsdp, body, MIN(len, sizeof rsdp));
            bi->rsdp_pa = (uintptr_t)rsdp;
        }
        break;
    }
}

// Entries of `step` bytes: start, length, type.
static void read_map(struct bootinfo *bi, const uint8_t *map, size_t len)
{
    uint32_t step = len >= 8 ? le32_get(map) : 0;
    if (step < 20)
        return;
    for (size_t off = 8; off < len && len - off >= step; off += step)
        boot_e820_range(bi, le64_get(map + off), le64_get(map + off + 8),
                        le32_get(map + off + 16));
}

bool multiboot2_read(struct bootinfo *bi, uint64_t pa)
{
    const uint8_t *info = boot_phys(pa, HEADER);
    uint32_t total = info ? le32_get(info) : 0;
    if (total < HEADER || total > INFO_MAX || !(info = boot_phys(pa, total)))
        return false;
    bi->loader = "multiboot2";
    struct found f = { 0 };
    for (size_t off = HEADER; off < total && total - off >= HEADER;) {
        size_t len = le32_get(info + off + 4);
        if (len < HEADER || len > total - off || le32_get(info + off) == TAG_END)
            break;
        read_tag(bi, info + off, len, &f);
        off += ROUND_UP(len, 8);
    }
    if (f.map)
        read_map(bi, f.map, f.map_len);
    if (bi->n_ranges == 0 && f.efi_map_len >= 8)
        efi_map_read(bi, f.efi_map + 8, f.efi_map_len - 8, le32_get(f.efi_map));
    if (bi->n_ranges == 0 && f.memory) {
        boot_e820_range(bi, 0, (uint64_t)le32_get(f.memory) << 10, 1);
        boot_e820_range(bi, 0x100000, (uint64_t)le32_get(f.memory + 4) << 10, 1);
    }
    return true;
}
