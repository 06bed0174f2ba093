// SPDX-License-Identifier: BSD-2-Clause
// The PVH entry (Xen's direct boot protocol, spoken by QEMU -kernel): 32-bit protected mode, flat
// segments, no paging, ebx = physical address of struct hvm_start_info. From here to 64-bit mode
// with the first 4 GiB mapped twice, at their physical addresses and in the direct map, then
// pvh_main.

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
    cli
    cld
    movl $boot_stack_top, %esp
    movl %ebx, %esi

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

    call enter_long_mode
    lgdt boot_gdt_ptr
    ljmp $8, $pvh_entry64
    .size pvh_entry, . - pvh_entry

// Paging with the boot tables, long mode, no-execute. Clobbers eax, ecx, edx.
    .globl enter_long_mode
enter_long_mode:
    movl %cr4, %eax
    orl $0x20, %eax                 // PAE
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
    ret

    .code64
pvh_entry64:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $boot_stack_top, %esp
    movl %esi, %edi
    xorl %ebp, %ebp
    call pvh_main
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
