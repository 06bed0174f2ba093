// SPDX-License-Identifier: BSD-2-Clause
// The arm64 Image header and its entry (Linux' boot protocol, spoken by QEMU -kernel, U-Boot and
// others): MMU off, x0 = physical address of the device tree, EL1 or EL2, somewhere in memory at
// the right offset from 2 MiB. From here to EL1 with the image at the addresses it was linked for,
// the memory around it in the direct map, then boot_main.
//
// Everything up to the MMU is relative to the program counter. The identity map, under TTBR0, is
// left for an alias of this page under TTBR1 before TTBR0 gets the tables that map the image: so it
// does not matter where in physical memory the image lies.

#include "arch/aarch64/regs.h"

#define BLOCK_NORMAL (PTE_VALID | PTE_ATTR_NORMAL | PTE_SH_INNER | PTE_AF | PTE_NG)
#define MAPPED_BLOCKS 32 // of 2 MiB, from the image on, at least

    .section .boot.text, "ax"
    .globl image_head
image_head:
    b arm64_entry
    .long 0
    .quad IMAGE_TEXT_OFFSET
    .quad image_size
    .quad 0xa                       // little-endian, 4 KiB pages, anywhere in memory
    .quad 0, 0, 0
    .ascii "ARM\x64"
    .long 0

    .type arm64_entry, %function
arm64_entry:
    msr daifset, #15
    mov x19, x0
    bl drop_to_el1
    adr x20, image_head             // physical, from here on
    mov x0, #IMAGE_VA
    sub x0, x20, x0
    tst x0, #0x1fffff
    b.ne hang

    // The tables begin empty, also for the caches.
    adrp x0, boot_tables
    add x0, x0, :lo12:boot_tables
    adrp x1, boot_tables_end
    add x1, x1, :lo12:boot_tables_end
1:  stp xzr, xzr, [x0], #16
    cmp x0, x1
    b.lo 1b

    mov x10, #BLOCK_NORMAL
    mov x11, #1
    lsl x11, x11, #PTE_UXN_BIT
    orr x10, x10, x11               // attributes of all blocks

    // Identity: the GiB this code is in.
    adrp x0, identity_l0
    adrp x1, identity_l1
    orr x2, x1, #PTE_TABLE
    lsr x3, x20, #39
    str x2, [x0, x3, lsl #3]
    ubfx x3, x20, #30, #9
    lsr x2, x20, #30
    lsl x2, x2, #30
    orr x2, x2, x10
    str x2, [x1, x3, lsl #3]

    // The image at its own address.
    adrp x0, low_l0
    adrp x1, low_l1
    orr x2, x1, #PTE_TABLE
    str x2, [x0]
    adrp x0, low_l2
    orr x2, x0, #PTE_TABLE
    str x2, [x1]
    ldr x4, image_size_word
    add x4, x4, #IMAGE_TEXT_OFFSET
    add x4, x4, #0x1ff, lsl #12
    add x4, x4, #0xfff
    lsr x4, x4, #21                 // 2 MiB blocks that hold the image
    cmp x4, #511 - (IMAGE_VA >> 21)
    b.hi hang
    lsr x21, x20, #21
    lsl x21, x21, #21               // physical, of the first block
    orr x2, x21, x10
    add x0, x0, #(IMAGE_VA >> 21) * 8
    mov x3, x4
2:  str x2, [x0], #8
    add x2, x2, #0x200000
    subs x3, x3, #1
    b.ne 2b

    // The image's blocks and some more in the direct map, up to the end of the GiB.
    lsr x3, x20, #39
    cbnz x3, hang
    adrp x0, direct_l0
    adrp x1, direct_l1
    orr x2, x1, #PTE_TABLE
    str x2, [x0, #256 * 8]
    adrp x0, direct_l2_image
    orr x2, x0, #PTE_TABLE
    ubfx x3, x20, #30, #9
    str x2, [x1, x3, lsl #3]
    cmp x4, #MAPPED_BLOCKS
    mov x5, #MAPPED_BLOCKS
    csel x5, x4, x5, hi
    ubfx x3, x21, #21, #9           // index of the first
    add x6, x3, x4
    cmp x6, #512
    b.hi hang
    mov x6, #512
    sub x6, x6, x3                  // there is room for
    cmp x5, x6
    csel x5, x6, x5, hi
    add x0, x0, x3, lsl #3
    orr x2, x21, x10
    add x22, x21, x5, lsl #21       // physical end of what is mapped
3:  str x2, [x0], #8
    add x2, x2, #0x200000
    subs x5, x5, #1
    b.ne 3b

    // The device tree's block and the next.
    lsr x3, x19, #39
    cbnz x3, hang
    cbz x19, 5f
    ubfx x3, x19, #30, #9
    ldr x0, [x1, x3, lsl #3]
    cbnz x0, 4f
    adrp x0, direct_l2_tree
    orr x2, x0, #PTE_TABLE
    str x2, [x1, x3, lsl #3]
4:  and x0, x0, #~0xfff
    ubfx x3, x19, #21, #9
    lsr x2, x19, #21
    lsl x2, x2, #21
    orr x2, x2, x10
    str x2, [x0, x3, lsl #3]
    add x2, x2, #0x200000
    add x3, x3, #1
    cmp x3, #512
    b.eq 5f
    str x2, [x0, x3, lsl #3]
5:
    // What caches may hold of the tables is older than what was just written past them.
    dmb sy
    adrp x0, boot_tables
    add x0, x0, :lo12:boot_tables
    adrp x1, boot_tables_end
    add x1, x1, :lo12:boot_tables_end
6:  dc ivac, x0
    add x0, x0, #16                 // no cache has shorter lines
    cmp x0, x1
    b.lo 6b
    dsb sy

    adrp x0, direct_l0
    adrp x1, low_l0
    mov x2, #ASID_BOOT
    orr x1, x1, x2, lsl #ASID_SHIFT
    mov x2, #DIRECT_MAP_VA
    add x2, x2, x20
    ldr x3, =boot_core_mapped
    b enable_mmu

// Turns the MMU on and goes to x3. x0: tables for TTBR1; x1: for TTBR0 in the end; x2: where TTBR1
// maps image_head, executable. Caches: instruction and data on.
enable_mmu:
    ldr x4, =MAIR_VALUE
    msr mair_el1, x4
    ldr x4, =(TCR_T0SZ | TCR_T1SZ | TCR_WALK0 | TCR_WALK1 | TCR_TG1_4K)
    mrs x5, id_aa64mmfr0_el1
    and x5, x5, #15
    cmp x5, #5                      // 48 bits are all that 4 KiB pages address
    mov x6, #5
    csel x5, x6, x5, hi
    orr x4, x4, x5, lsl #TCR_IPS_SHIFT
    msr tcr_el1, x4
    adrp x4, identity_l0
    msr ttbr0_el1, x4
    msr ttbr1_el1, x0
    isb
    tlbi vmalle1
    ic iallu
    dsb nsh
    isb
    ldr x4, =(SCTLR_RES1 | SCTLR_ON)
    msr sctlr_el1, x4
    isb
    adr x4, 1f
    adr x5, image_head
    sub x4, x4, x5
    add x4, x4, x2
    br x4
1:  msr ttbr0_el1, x1
    isb
    tlbi vmalle1
    dsb nsh
    isb
    br x3

// To EL1 with SP_EL0, if this is EL2. Leaves nothing trapped that EL1 uses. Clobbers x9.
drop_to_el1:
    mrs x9, CurrentEL
    cmp x9, #4
    b.eq 2f
    cmp x9, #8
    b.ne hang
    mov x9, #1
    lsl x9, x9, #31                 // EL1 is AArch64; nothing else
    msr hcr_el2, x9
    isb
    mrs x9, cnthctl_el2
    orr x9, x9, #3                  // physical counter and timer
    msr cnthctl_el2, x9
    msr cntvoff_el2, xzr
    mov x9, #0x33ff                 // floating point
    msr cptr_el2, x9
    msr hstr_el2, xzr
    mrs x9, mdcr_el2
    and x9, x9, #31                 // the performance counters stay EL1's
    msr mdcr_el2, x9
    mrs x9, midr_el1
    msr vpidr_el2, x9
    mrs x9, mpidr_el1
    msr vmpidr_el2, x9
    msr vttbr_el2, xzr
    mrs x9, id_aa64pfr0_el1
    ubfx x9, x9, #24, #4
    cbz x9, 1f
    mrs x9, S3_4_C12_C9_5           // ICC_SRE_EL2: the GIC by system registers, also at EL1
    orr x9, x9, #1
    orr x9, x9, #8
    msr S3_4_C12_C9_5, x9
    isb
    msr S3_4_C12_C11_0, xzr         // ICH_HCR_EL2
1:  ldr x9, =SCTLR_RES1
    msr sctlr_el1, x9
    mov x9, #0x3c4                  // EL1, SP_EL0, everything masked
    msr spsr_el2, x9
    msr elr_el2, x30
    eret
2:  msr spsel, #0
    ret

hang:
    wfe
    b hang

// Where another core begins, by its physical address: MMU off, x0 = physical address of struct
// core_start (arch/aarch64/cpu.h).
    .globl secondary_entry
    .type secondary_entry, %function
secondary_entry:
    msr daifset, #15
    mov x19, x0
    bl drop_to_el1
    ldp x0, x1, [x19]
    ldp x23, x3, [x19, #16]
    mov x2, #TRAMPOLINE_VA
    b enable_mmu

    .align 3
image_size_word:
    .quad image_size
    .ltorg

    // Beyond the first page: found at the linked addresses only.
    .section .text.boot_core_mapped, "ax"
    .type boot_core_mapped, %function
boot_core_mapped:
    // Memory the loader need not have cleared.
    ldr x0, =bss_start
    ldr x1, =boot_tables
1:  cmp x0, x1
    b.hs 2f
    stp xzr, xzr, [x0], #16
    b 1b
2:  ldr x0, =boot_tables_end
    ldr x1, =bss_end
3:  cmp x0, x1
    b.hs 4f
    stp xzr, xzr, [x0], #16
    b 3b
4:  ldr x9, =boot_stack_top
    mov sp, x9
    mov x29, xzr
    mov x30, xzr
    mov x0, x19
    mov x1, x20
    mov x2, x22
    bl boot_main
    brk #0

// x23: stack.
    .globl secondary_mapped
    .type secondary_mapped, %function
secondary_mapped:
    mov sp, x23
    mov x29, xzr
    mov x30, xzr
    bl secondary_main
    brk #0

    .section .boot.bss, "aw", %nobits
    .balign 4096
    .globl boot_tables, identity_l0, direct_l0, direct_l1, direct_l2_image, direct_l2_device
boot_tables:
identity_l0: .skip 4096
identity_l1: .skip 4096
low_l0: .skip 4096
low_l1: .skip 4096
low_l2: .skip 4096
direct_l0: .skip 4096
direct_l1: .skip 4096
direct_l2_image: .skip 4096
direct_l2_tree: .skip 4096
direct_l2_device: .skip 4096        // boot.c's
boot_tables_end:

    .section .bss.boot_stack, "aw", %nobits
    .balign 16
    .skip 16384
boot_stack_top:

    .section .note.GNU-stack, "", %progbits
