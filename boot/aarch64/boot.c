// SPDX-License-Identifier: BSD-2-Clause
// From the device tree to struct bootinfo. The MMU is on: the image is at its linked addresses, the
// memory around it and the tree are in the direct map.

#include "arch/aarch64/cpu.h"
#include "arch/aarch64/regs.h"
#include "kernel/bootinfo.h"
#include "kernel/devtree.h"
#include "kernel/page.h"
#include "lib/util.h"

#define TREE_MAX (2u << 20) // what the boot protocol allows, and head.S has mapped

static struct bootinfo image_bootinfo;

_Noreturn void boot_main(uint64_t tree_pa, uint64_t image_pa, uint64_t mapped_end);

// The console's registers in the direct map of the boot tables, until the kernel's own exist.
static void map_uart(uint64_t pa)
{
    extern uint64_t direct_l1[], direct_l2_device[];
    uint64_t block = ROUND_DOWN(pa, (uint64_t)1 << 21);
    if (pa >> 39)
        return;
    uint64_t *l1 = &direct_l1[pa >> 30];
    if (*l1 == 0)
        *l1 = virt_to_phys(direct_l2_device) | PTE_TABLE;
    uint64_t *l2 = phys_to_virt(*l1 & ~(uint64_t)0xfff);
    uint64_t *e = &l2[pa >> 21 & 511];
    if (*e != 0)
        return; // mapped as memory: a tree that contradicts itself
    *e = block | PTE_VALID | PTE_ATTR_DEVICE | PTE_AF | PTE_NG |
         (uint64_t)1 << PTE_PXN_BIT | (uint64_t)1 << PTE_UXN_BIT;
    __asm__ volatile("dsb ishst; isb" ::: "memory");
    console_at((uintptr_t)phys_to_virt(pa));
}

_Noreturn void boot_main(uint64_t tree_pa, uint64_t image_pa, uint64_t mapped_end)
{
    struct bootinfo *bi = &image_bootinfo;
    mmu_boot_tables(image_pa, mapped_end);
    const void *tree = tree_pa ? phys_to_virt(tree_pa) : NULL;
    size_t room = (size_t)(ROUND_DOWN(tree_pa, (uint64_t)1 << 21) + (2u << 21) - tree_pa);
    if (tree_pa >> 30 != (tree_pa + room - 1) >> 30)
        room -= (size_t)1 << 21; // head.S maps no further than the GiB
    bi->loader = "arm64 Image";
    bi->cmdline = "";
    if (devtree_parse(tree, MIN(room, TREE_MAX), &dt, &acpi)) {
        bi->cmdline = dt.bootargs;
        devtree_memory(tree, MIN(room, TREE_MAX), tree_pa, bi);
    }
    if (dt.uart.len)
        map_uart(dt.uart.base);
    kernel_main(bi);
}
