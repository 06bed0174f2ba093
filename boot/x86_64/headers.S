// SPDX-License-Identifier: BSD-2-Clause
// What multiboot loaders look for in the image.
//
// Multiboot 2 searches the first 32 KiB of the file; its header is the first thing in the text.
// Multiboot 1 searches the first 8 KiB, and its header is the last thing there (linker.ld): QEMU
// -kernel, which would rather take a multiboot 1 image than a PVH one but cannot load its 64-bit
// ELF, does not look that far and goes by the PVH note. The multiboot 1 header gives addresses too,
// so that a loader need not understand ELF: the file's bytes from the text on are the memory's.

    .set MULTIBOOT2_LENGTH, multiboot2_end - multiboot2_header

    .section .boot.multiboot2, "a"
    .align 8
multiboot2_header:
    .long 0xe85250d6, 0             // architecture: 32-bit protected mode of i386
    .long MULTIBOOT2_LENGTH
    .long -(0xe85250d6 + MULTIBOOT2_LENGTH)

    .align 8
    .short 3, 0                     // entry address
    .long 12
    .long boot_entry

    .align 8
    .short 5, 1                     // a framebuffer, if the loader can: any size, 32 bits
    .long 20
    .long 0, 0, 32

    .align 8
    .short 6, 1                     // modules on page boundaries, if the loader can
    .long 8

    .align 8
    .short 0, 0                     // end
    .long 8
multiboot2_end:

    // Addresses given, video mode wished for, memory told, modules aligned.
    .set MULTIBOOT1_FLAGS, 1 << 16 | 1 << 2 | 1 << 1 | 1

    .section .boot.multiboot1, "a"
    .align 4
multiboot1_header:
    .long 0x1badb002
    .long MULTIBOOT1_FLAGS
    .long -(0x1badb002 + MULTIBOOT1_FLAGS)
    .long multiboot1_header
    .long image_start
    .long data_end
    .long bss_end
    .long boot_entry
    .long 0, 0, 0, 32               // a linear framebuffer of any size, 32 bits

    .section .note.GNU-stack, "", @progbits
