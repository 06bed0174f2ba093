# SPDX-License-Identifier: BSD-2-Clause
#
# The least kernel that tells whether KVM works on a machine: entered by PVH, it pages, goes to
# long mode, takes an exception through an IDT, uses what some hosts that emulate a processor under
# KVM do not know (vector state and its saving, fences, atomics), sleeps until a timer interrupt of
# the local APIC, then ends through isa-debug-exit with 0x2a. tools/run gives it three seconds.

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
    movq $timer, %rax
    movw %ax, idt + 32 * 16
    movw $8, idt + 32 * 16 + 2
    movw $0x8e00, idt + 32 * 16 + 4
    shrq $16, %rax
    movw %ax, idt + 32 * 16 + 6

    ud2
back:
    movl $1, %eax
    cpuid
    movq %cr0, %rax
    andl $~4, %eax              # EM
    orl $2, %eax                # MP
    movq %rax, %cr0
    movq %cr4, %rax
    orl $0x600, %eax            # OSFXSR, OSXMMEXCPT
    btl $26, %ecx
    jnc 1f
    orl $0x40000, %eax          # OSXSAVE
1:  movq %rax, %cr4
    fninit
    ldmxcsr mxcsr
    movdqu gdt, %xmm0
    paddq %xmm0, %xmm0
    movdqu %xmm0, area
    fxsave area
    fxrstor area
    btl $26, %ecx
    jnc 1f
    xorl %ecx, %ecx
    xgetbv
    orl $3, %eax
    xsetbv
    movl $3, %eax
    xorl %edx, %edx
    xsave area
    xrstor area
1:  mfence
    movl $1, %eax
    lock xaddl %eax, mxcsr
    lock cmpxchgq %rax, idt
    rdtsc

    movl $0xfee00000, %ebx
    movl $0x1ff, 0xf0(%rbx)     # enable the local APIC
    movl $32, 0x320(%rbx)       # one-shot timer
    movl $0xb, 0x3e0(%rbx)
    movl $100000, 0x380(%rbx)
    sti
    hlt
1:  pause
    jmp 1b

timer:
    movl $0, 0xb0(%rbx)         # end of interrupt
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
    .word 33 * 16 - 1
    .quad idt
mxcsr:
    .long 0x1f80

    .bss
    .balign 4096
pml4:    .skip 4096
pdpt:    .skip 4096
pd:      .skip 4096
pd_high: .skip 4096
area:    .skip 4096
idt:     .skip 33 * 16
    .skip 4096
    .balign 16
stack_top:
