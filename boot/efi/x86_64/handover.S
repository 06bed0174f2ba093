// SPDX-License-Identifier: BSD-2-Clause
// The last piece of the UEFI application, run from a copy below 4 GiB: the kernel may have to go
// where the firmware's page tables, stack or descriptor tables are, or we ourselves. So it goes to
// 32-bit mode without paging first, uses no stack, and copies then.
//
// rdi: struct efi_handover (handover.h), below 4 GiB as well.

    .text
    .code64
    .globl efi_handover_code, efi_handover_end
efi_handover_code:
    cli
    cld
    movl %edi, %ebp
    leaq gdt(%rip), %rax
    movq %rax, gdt_ptr + 2(%rip)
    lgdt gdt_ptr(%rip)
    leaq 1f(%rip), %rax
    pushq $8
    pushq %rax
    lretq

    .code32
1:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %cr0, %eax
    andl $0x7fffffff, %eax          // paging off, and with it 64-bit mode
    movl %eax, %cr0
    movl $0xc0000080, %ecx
    rdmsr
    andl $~0x100, %eax              // LME
    wrmsr
    xorl %eax, %eax
    movl %eax, %cr4

    movl 12(%ebp), %edx             // n_segments
    leal 16(%ebp), %ebx
2:  testl %edx, %edx
    jz 3f
    movl 0(%ebx), %esi
    movl 4(%ebx), %edi
    movl 8(%ebx), %ecx
    rep movsb
    movl 12(%ebx), %ecx
    xorl %eax, %eax
    rep stosb
    addl $16, %ebx
    decl %edx
    jmp 2b

3:  movl 0(%ebp), %ecx
    movl 4(%ebp), %eax
    movl 8(%ebp), %ebx
    jmp *%ecx

    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff        // 32-bit code
    .quad 0x00cf93000000ffff        // data
gdt_ptr:
    .word . - gdt - 1
    .quad 0
efi_handover_end:

    .section .note.GNU-stack, "", @progbits
