// SPDX-License-Identifier: BSD-2-Clause
// Where another core begins: real mode, at a page below 1 MiB to which smp.c has copied this. It
// takes the boot page tables into 64-bit mode and calls ap_entry on the stack smp.c left in
// trampoline_stack.

    .section .rodata.trampoline, "a"
    .globl trampoline_start, trampoline_end
    .code16
trampoline_start:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    movzwl %ax, %esi
    shll $4, %esi                     // physical address of this page
    leal (trampoline32 - trampoline_start)(%esi), %eax
    movl %eax, (far32 - trampoline_start)
    leal (tramp_gdt - trampoline_start)(%esi), %eax
    movl %eax, (tramp_gdt_ptr + 2 - trampoline_start)
    lgdtl (tramp_gdt_ptr - trampoline_start)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl *(far32 - trampoline_start)

    .code32
trampoline32:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl %cr0, %eax
    andl $0x9fffffff, %eax            // caches on
    orl $0x80010000, %eax
    movl %eax, %cr0
    lgdt boot_gdt_ptr
    ljmp $8, $trampoline64

    .align 8
far32:
    .long 0
    .word 8
    .align 8
tramp_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
tramp_gdt_ptr:
    .word 23
    .long 0
trampoline_end:

    .section .text.trampoline64, "ax"
    .code64
trampoline64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq kernel_pml4_pa(%rip), %rax   // the stack is mapped by these tables only
    movq %rax, %cr3
    movq trampoline_stack(%rip), %rsp
    xorl %ebp, %ebp
    call ap_entry
    ud2

    .section .note.GNU-stack, "", @progbits
