// SPDX-License-Identifier: BSD-2-Clause
// From the entry code to the kernel: has whoever loaded us read by the reader of its kind. All they
// point at lies below 4 GiB, which the entry code has mapped.

#include "boot/x86_64/boot.h"

#include "kernel/bootinfo.h"
#include "lib/util.h"

#define MAPPED (1ull << 32)

static struct bootinfo loaded;

_Noreturn void boot_main(uint32_t magic, uint32_t info_pa);

const void *boot_phys(uint64_t pa, size_t len)
{
    if (pa == 0 || pa >= MAPPED || len > MAPPED - pa)
        return NULL;
    return (const void *)(uintptr_t)pa;
}

const char *boot_phys_text(uint64_t pa, size_t max, size_t *len)
{
    *len = pa < MAPPED ? MIN(max, (size_t)(MAPPED - pa)) : 0;
    return boot_phys(pa, *len);
}

void boot_main(uint32_t magic, uint32_t info_pa)
{
    struct bootinfo *bi = &loaded;
    bool known = true;
    switch (magic) {
    case BOOT_EFI:
        *bi = *(const struct bootinfo *)(uintptr_t)info_pa;
        bi->loader = "uefi";
        break;
    case BOOT_MULTIBOOT1: known = multiboot1_read(bi, info_pa); break;
    case BOOT_MULTIBOOT2: known = multiboot2_read(bi, info_pa); break;
    default: known = pvh_read(bi, info_pa); break;
    }
    if (!known)
        bi->loader = "a loader that tells nothing";
    if (!bi->cmdline)
        bi->cmdline = "";
    kernel_main(bi);
}
