// SPDX-License-Identifier: BSD-2-Clause
// What every way of booting tells the kernel, and all it tells.
#ifndef KERNEL_BOOTINFO_H
#define KERNEL_BOOTINFO_H

#include <stddef.h>
#include <stdint.h>

#define BOOT_MAX_RANGES 128

enum mem_kind { MEM_USABLE, MEM_ACPI, MEM_RESERVED };

struct mem_range {
    uint64_t start, end; // physical, end exclusive
    enum mem_kind kind;
};

// A linear framebuffer of `bits` a pixel in direct colours; pa 0: none. As the loader says it.
struct boot_framebuffer {
    uint64_t pa;
    uint32_t pitch, width, height, bits; // pitch: bytes from line to line
};

struct bootinfo {
    const char *loader;  // "pvh", "multiboot2", ...
    const char *cmdline; // never NULL
    struct mem_range ranges[BOOT_MAX_RANGES];
    size_t n_ranges;
    size_t n_dropped;    // ranges beyond BOOT_MAX_RANGES
    uint64_t rsdp_pa;    // 0: not told
    struct boot_framebuffer framebuffer;
    uint64_t low_page;   // a free page below 640 KiB, for starting cores; 0: none. Normalising
};

// main.c

// The kernel. Context: the boot core, interrupts off, the image mapped and what arch_boot_mapped
// says, boot stack.
_Noreturn void kernel_main(const struct bootinfo *bi);

// bootinfo_add.c

// For loaders: adds a range of memory; what is empty is left out, an end beyond 64 bits is cut off.
void bootinfo_add(struct bootinfo *bi, uint64_t start, uint64_t len, enum mem_kind kind);

// bootinfo.c

// Sorts the ranges, drops empty ones and gives what overlaps to the more reserved kind; takes the
// kernel image, the framebuffer and the first MiB out of usable memory, but for low_page, which it
// finds there.
void bootinfo_normalise(struct bootinfo *bi);

#endif
