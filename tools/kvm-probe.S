# SPDX-License-Identifier: BSD-2-Clause
#
# The least kernel that tells whether KVM works on a machine: entered by PVH, it pages, goes to
# long mode, takes an exception through an IDT, touches the local APIC and asks CPUID, then ends
# through isa-debug-exit with 0x2a. tools/run gives it three seconds.

    .section .note.Xen, "a", @note
    .long 4, 4, 18              # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long entry

    .text
    .code32
    .globl _start
_start:
entry:
    cli
    movl $stack_top, %esp
    # 1 GiB pages need a recent core: 2 MiB pages below 1 GiB, and one for the local APIC.
    movl $pd, %edi
    movl $0x83, %eax
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $8, %edi
    addl $0x200000, %eax
    cmpl $0x40000083, %eax
    jne 1b
    movl $0xfee0009b, pd_high + 0x1f7 * 8
    movl $pd + 3, pdpt
    movl $pd_high + 3, pdpt + 3 * 8
    movl $pdpt + 3, pml4
    movl $pml4, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax             # PAE
    movl %eax, %cr4
    movl $0xc0000080, %ecx      # EFER
    rdmsr
    orl $0x900, %eax            # LME, NXE
    wrmsr
    movl %cr0, %eax
    orl $0x80010001, %eax       # PG, WP, PE
    movl %eax, %cr0
    lgdt gdt_descriptor
    ljmp $8, $long_mode

    .code64
long_mode:
    movl $16, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    movq $handler, %rax
    movw %ax, idt + 6 * 16
    movw $8, idt + 6 * 16 + 2
    movw $0x8e00, idt + 6 * 16 + 4
    shrq $16, %rax
    movw %ax, idt + 6 * 16 + 6
    lidt idt_descriptor
    xorl %eax, %eax
    cpuid
    movl $0xfee00000, %ebx
    movl $0x1ff, 0xf0(%rbx)     # enable the local APIC
    movl 0x20(%rbx), %eax
    ud2
back:
    movb $0x2a, %al
    outb %al, $0xf4
1:  hlt
    jmp 1b

handler:
    movq $back, (%rsp)
    iretq

    .data
    .balign 8
gdt:
    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_descriptor:
    .word . - gdt - 1
    .quad gdt
idt_descriptor:
    .word 32 * 16 - 1
    .quad idt

    .bss
    .balign 4096
pml4:    .skip 4096
pdpt:    .skip 4096
pd:      .skip 4096
pd_high: .skip 4096
idt:     .skip 512
    .skip 4096
stack_top:
