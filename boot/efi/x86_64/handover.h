// SPDX-License-Identifier: BSD-2-Clause
// The block that survives boot services. handover.S knows the first part of it by offsets.
#ifndef BOOT_EFI_X86_64_HANDOVER_H
#define BOOT_EFI_X86_64_HANDOVER_H

#include <stddef.h>

#include "boot/efi/efi.h"

#define HANDOVER_SEGMENTS 8

struct efi_segment {
    uint32_t from, to, bytes, zeros; // zeros follow the bytes
};

struct efi_handover {
    // handover.S
    uint32_t entry, magic, bootinfo, n_segments;
    struct efi_segment segment[HANDOVER_SEGMENTS];
    // Until the kernel has read them.
    struct bootinfo info;
    char line[BOOT_LINE_BYTES];
    // Here follow a copy of efi_handover_code and of the segments' bytes.
};

_Static_assert(offsetof(struct efi_handover, n_segments) == 12 &&
               offsetof(struct efi_handover, segment) == 16, "handover.S has other offsets");

// handover.S, position-independent and run from its copy: leaves 64-bit mode and paging, puts the
// segments where they belong, enters the kernel. Context: boot services have ended.
extern char efi_handover_code[], efi_handover_end[];

#endif
