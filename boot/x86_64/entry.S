// SPDX-License-Identifier: BSD-2-Clause
// Where every loader enters: 32-bit protected mode, flat segments, no paging, interrupts to be
// expected of nobody. PVH (Xen's direct boot protocol, spoken by QEMU -kernel) has an entry of its
// own; multiboot loaders and the UEFI application say in eax who they are. ebx is the physical
// address of what they have to tell. From here to 64-bit mode with the first 4 GiB mapped twice, at
// their physical addresses and in the direct map, then boot_main(who, what).

    .section .note.Xen, "a", @note
    .align 4
    .long 4, 8, 18                  // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

    .section .boot.text, "ax"
    .code32
    .globl pvh_entry
    .type pvh_entry, @function
pvh_entry:
    xorl %eax, %eax                 // the protocol leaves it undefined
    .size pvh_entry, . - pvh_entry  // and runs on into boot_entry

    .globl boot_entry
    .type boot_entry, @function
boot_entry:
    cli
    cld
    movl $boot_stack_top, %esp
    movl %ebx, %esi
    movl %eax, %ebp

    // The loader need not have cleared what we rely on.
    movl $boot_pml4, %edi
    movl $(6 * 4096 / 4), %ecx
    xorl %eax, %eax
    rep stosl

    movl $boot_pdpt, %eax
    orl $3, %eax
    movl %eax, boot_pml4
    movl %eax, boot_pml4 + 256 * 8  // the direct map's slot

    movl $boot_pd, %eax
    orl $3, %eax
    movl $boot_pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b

    movl $boot_pd, %edi
    movl $0x83, %eax                // present, writable, 2 MiB
    movl $2048, %ecx
2:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    decl %ecx
    jnz 2b

    // Paging with these tables, long mode, no-execute. CR4 is set as a whole: a loader may have
    // left five-level paging or process-context identifiers on.
    movl $0x20, %eax                // PAE
    movl %eax, %cr4
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax                // LME, NXE
    wrmsr
    movl %cr0, %eax
    orl $0x80010001, %eax           // PG, WP, PE
    movl %eax, %cr0
    lgdt boot_gdt_ptr
    ljmp $8, $boot_entry64
    .size boot_entry, . - boot_entry

    .code64
boot_entry64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $boot_stack_top, %esp
    movl %ebp, %edi
    movl %esi, %esi
    xorl %ebp, %ebp
    call boot_main
    ud2

    .section .boot.data, "aw"
    .align 8
    .globl boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff        // 64-bit code
    .quad 0x00cf93000000ffff        // data
boot_gdt_end:
    .globl boot_gdt_ptr
boot_gdt_ptr:
    .word boot_gdt_end - boot_gdt - 1
    .quad boot_gdt

    .section .bss.boot, "aw", @nobits
    .align 4096
    .globl boot_pml4
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd:   .skip 4 * 4096
    .globl boot_stack, boot_stack_top
boot_stack: .skip 16384
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
