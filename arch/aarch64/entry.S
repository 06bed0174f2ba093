// SPDX-License-Identifier: BSD-2-Clause
// Exception vectors: a uniform frame (struct trap_frame) on the core's exception stack, SP_EL1,
// then trap_dispatch. What runs outside of exceptions uses SP_EL0; an exception while another is
// handled nests on the same stack, if there is room.
//
// TPIDR_EL0 is scratch: there is no EL0, and no thread-local storage.

#define FRAME 304
#define F_SP 248
#define F_PC 256
#define F_ESR 272
#define F_KIND 288
#define ROOM 1536 // what handling a nested fault may take

    .section .text.trap_entry, "ax"

    .macro VECTOR kind
    .balign 128
    sub sp, sp, #FRAME
    stp x0, x1, [sp]
    mov x1, #\kind
    mrs x0, sp_el0
    b trap_common
    .endm

    // While an exception is handled: does sp lie in its stack, with room below?
    .macro NESTED_VECTOR kind
    .balign 128
    msr tpidr_el0, x0
    mrs x0, tpidrro_el0
    ldr x0, [x0]
    sub x0, sp, x0
    sub x0, x0, #ROOM
    lsr x0, x0, #14                 // EXCEPTION_PAGES of cpu.c: 0 only within the stack
    cbnz x0, overflow_\kind
    mrs x0, tpidr_el0
    sub sp, sp, #FRAME
    stp x0, x1, [sp]
    mov x1, #\kind
    add x0, sp, #FRAME
    b trap_common
overflow_\kind:
    mrs x0, tpidrro_el0
    ldr x0, [x0, #8]
    b overflow
    .endm

    .balign 2048
    .globl trap_vectors
trap_vectors:
    VECTOR 0
    VECTOR 1
    VECTOR 2
    VECTOR 3
    NESTED_VECTOR 4
    NESTED_VECTOR 5
    NESTED_VECTOR 6
    NESTED_VECTOR 7
    .rept 8
    VECTOR 16
    .endr

    // x0: top of the emergency stack; x0's own value is in TPIDR_EL0. Never returns.
    .balign 128
overflow:
    sub x0, x0, #FRAME
    str x1, [x0, #8]
    mov x1, sp
    str x1, [x0, #F_SP]
    mov sp, x0
    ldr x0, [sp, #F_SP]
    mrs x1, tpidr_el0
    str x1, [sp]
    mov x1, #12
    b trap_common

    .type trap_common, %function
trap_common:
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    stp x30, x0, [sp, #240]
    mrs x2, elr_el1
    mrs x3, spsr_el1
    stp x2, x3, [sp, #F_PC]
    mrs x2, esr_el1
    mrs x3, far_el1
    stp x2, x3, [sp, #F_ESR]
    str x1, [sp, #F_KIND]
    mov x19, x1
    mov x0, sp
    cmp x1, #2
    b.eq 1f
    msr daifclr, #1                 // a core can be stopped here too
1:  bl trap_dispatch
    // trap_dispatch may have changed pc and, outside of nested exceptions, sp.
    ldp x2, x3, [sp, #F_PC]
    ldr x0, [sp, #F_SP]
    msr daifset, #1
    msr elr_el1, x2
    msr spsr_el1, x3
    tbnz x19, #2, 2f
    msr sp_el0, x0
2:  ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    ldr x30, [sp, #240]
    ldp x0, x1, [sp], #FRAME
    eret
    .size trap_common, . - trap_common

    .section .note.GNU-stack, "", %progbits
