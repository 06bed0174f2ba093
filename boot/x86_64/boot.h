// SPDX-License-Identifier: BSD-2-Clause
// The loaders' ways of telling what the machine has; each reader fills a cleared struct bootinfo.
// What a loader says is checked before it is followed; what cannot be true is left out.
#ifndef BOOT_X86_64_BOOT_H
#define BOOT_X86_64_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/cmdline_text.h"

struct bootinfo;

// Who enters, in eax.
enum boot_magic {
    BOOT_PVH = 0,
    BOOT_MULTIBOOT1 = 0x2badb002,
    BOOT_MULTIBOOT2 = 0x36d76289,
    BOOT_EFI = 0x4c444548, // our own UEFI application; ebx: struct bootinfo
};

// boot.c

// len readable bytes of physical memory at pa; NULL if the boot tables do not map them.
const void *boot_phys(uint64_t pa, size_t len);
// Readable memory from pa on, at most max bytes; *len says how much. NULL: none.
const char *boot_phys_text(uint64_t pa, size_t max, size_t *len);

// pvh.c, multiboot1.c, multiboot2.c: false if pa is not what that loader passes.

bool pvh_read(struct bootinfo *bi, uint64_t pa);
bool multiboot1_read(struct bootinfo *bi, uint64_t pa);
bool multiboot2_read(struct bootinfo *bi, uint64_t pa);

// multiboot.c: what both have in common

// Takes the loader's command line, up to its 0 byte or for max bytes, into bi as it is.
void multiboot_cmdline(struct bootinfo *bi, const char *s, size_t max);
// A module [start, end): if its own line says so it is a text with more of the command line.
void multiboot_module(struct bootinfo *bi, uint64_t start, uint64_t end, const char *line,
                      size_t max);
// The framebuffer both protocols describe in the same MULTIBOOT_FRAMEBUFFER_BYTES bytes.
#define MULTIBOOT_FRAMEBUFFER_BYTES 22u
void multiboot_framebuffer(struct bootinfo *bi, const uint8_t *told);
// Memory as the BIOS's E820 call types it.
void boot_e820_range(struct bootinfo *bi, uint64_t start, uint64_t len, uint32_t type);

#endif
