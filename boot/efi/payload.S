// SPDX-License-Identifier: BSD-2-Clause
// The kernel and the application, as one ELF file. PAYLOAD is its name.

    .section .rodata.payload, "a"
    .balign 4096
    .globl efi_kernel, efi_kernel_end
    .hidden efi_kernel, efi_kernel_end
efi_kernel:
    .incbin PAYLOAD
efi_kernel_end:
    .byte 0

    .section .note.GNU-stack, "", @progbits
