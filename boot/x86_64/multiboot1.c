// SPDX-License-Identifier: BSD-2-Clause
// Reads the Multiboot 0.6.96 information: a struct whose flags say which of its fields are there,
// and which points at the rest.

#include "boot/x86_64/boot.h"
#include "kernel/bootinfo.h"
#include "lib/le.h"

enum mb1_flag {
    MB1_MEMORY = 1 << 0, MB1_CMDLINE = 1 << 2, MB1_MODULES = 1 << 3, MB1_MAP = 1 << 6,
    MB1_FRAMEBUFFER = 1 << 12,
};

// Offsets of fields.
enum {
    INFO_FLAGS = 0, INFO_LOWER_KB = 4, INFO_UPPER_KB = 8, INFO_CMDLINE = 16, INFO_N_MODULES = 20,
    INFO_MODULES = 24, INFO_MAP_BYTES = 44, INFO_MAP = 48, INFO_FRAMEBUFFER = 88,
    INFO_BYTES = 120,
    MODULE_START = 0, MODULE_END = 4, MODULE_LINE = 8, MODULE_BYTES = 16,
    MAP_SIZE = 0, MAP_START = 4, MAP_BYTES = 12, MAP_TYPE = 20, MAP_LEAST = 20,
};

#define MODULES_MAX 64u
#define MAP_MAX 65536u

// Each entry begins with its length, which does not count itself.
static void read_map(struct bootinfo *bi, uint64_t pa, size_t len)
{
    const uint8_t *map = len <= MAP_MAX ? boot_phys(pa, len) : NULL;
    for (size_t off = 0; map && off < len && len - off >= MAP_LEAST + 4;) {
        const uint8_t *e = map + off;
        uint32_t size = le32_get(e + MAP_SIZE);
        if (size < MAP_LEAST || size > len - off - 4)
            return;
        boot_e820_range(bi, le64_get(e + MAP_START), le64_get(e + MAP_BYTES),
                        le32_get(e + MAP_TYPE));
        off += size + 4;
    }
}

static void read_modules(struct bootinfo *bi, uint64_t pa, uint32_t n)
{
    for (uint32_t i = 0; i < n && i < MODULES_MAX; i++) {
        const uint8_t *m = boot_phys(pa + i * MODULE_BYTES, MODULE_BYTES);
        size_t max;
        const char *line = m ? boot_phys_text(le32_get(m + MODULE_LINE), BOOT_LINE_BYTES, &max)
                             : NULL;
        if (line)
            multiboot_module(bi, le32_get(m + MODULE_START), le32_get(m + MODULE_END), line, max);
    }
}

bool multiboot1_read(struct bootinfo *bi, uint64_t pa)
{
    const uint8_t *info = boot_phys(pa, INFO_BYTES);
    if (!info)
        return false;
    bi->loader = "multiboot";
    uint32_t flags = le32_get(info + INFO_FLAGS);
    if (flags & MB1_CMDLINE) {
        size_t max;
        const char *line = boot_phys_text(le32_get(info + INFO_CMDLINE), BOOT_LINE_BYTES, &max);
        if (line)
            multiboot_cmdline(bi, line, max);
    }
    if (flags & MB1_MODULES)
        read_modules(bi, le32_get(info + INFO_MODULES), le32_get(info + INFO_N_MODULES));
    if (flags & MB1_FRAMEBUFFER)
        multiboot_framebuffer(bi, info + INFO_FRAMEBUFFER);
    if (flags & MB1_MAP)
        read_map(bi, le32_get(info + INFO_MAP), le32_get(info + INFO_MAP_BYTES));
    if (flags & MB1_MEMORY && bi->n_ranges == 0) {
        boot_e820_range(bi, 0, (uint64_t)le32_get(info + INFO_LOWER_KB) << 10, 1);
        boot_e820_range(bi, 0x100000, (uint64_t)le32_get(info + INFO_UPPER_KB) << 10, 1);
    }
    return true;
}
