// SPDX-License-Identifier: BSD-2-Clause
// Memory types of the UEFI specification, 7.2: which of them are ours after ExitBootServices.

#include "boot/efi_map.h"

#include "kernel/bootinfo.h"
#include "lib/le.h"

enum efi_type {
    EFI_LOADER_CODE = 1, EFI_LOADER_DATA, EFI_BOOT_CODE, EFI_BOOT_DATA,
    EFI_CONVENTIONAL = 7, EFI_ACPI_RECLAIM = 9, EFI_ACPI_NVS = 10,
};

// A descriptor: type, padding, physical start, virtual start, 4 KiB pages, attributes.
enum { DESC_TYPE = 0, DESC_START = 8, DESC_PAGES = 24, DESC_ATTRIBUTES = 32, DESC_BYTES = 40 };

#define CACHEABLE 0x8ull // attribute: can be mapped write-back

bool efi_map_read(struct bootinfo *bi, const void *map, size_t len, size_t step)
{
    const uint8_t *d = map;
    if (step < DESC_BYTES)
        return false;
    for (size_t off = 0; off + DESC_BYTES <= len; off += step) {
        uint64_t start = le64_get(d + off + DESC_START), pages = le64_get(d + off + DESC_PAGES);
        uint32_t type = le32_get(d + off + DESC_TYPE);
        enum mem_kind kind = MEM_RESERVED;
        if (type == EFI_ACPI_RECLAIM || type == EFI_ACPI_NVS)
            kind = MEM_ACPI;
        else if (((type >= EFI_LOADER_CODE && type <= EFI_BOOT_DATA) ||
                  type == EFI_CONVENTIONAL) &&
                 le64_get(d + off + DESC_ATTRIBUTES) & CACHEABLE)
            kind = MEM_USABLE;
        bootinfo_add(bi, start, pages > UINT64_MAX >> 12 ? UINT64_MAX : pages << 12, kind);
        if (step > len - off)
            break;
    }
    return true;
}
