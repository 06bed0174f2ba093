// SPDX-License-Identifier: BSD-2-Clause
// One stub a vector: a uniform frame (struct trap_frame) on the vector's own stack, then
// trap_dispatch.

    .section .text.trap_entry, "ax"

    .altmacro
    .macro VECTOR_STUB n
    .align 16
    .if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17) || (\n == 21) || (\n == 29) || (\n == 30)
    .else
    pushq $0
    .endif
    pushq $\n
    jmp trap_common
    .endm

    .align 16
    .globl trap_stubs
trap_stubs:
    .set i, 0
    .rept 256
    VECTOR_STUB %i
    .set i, i + 1
    .endr

    .type trap_common, @function
trap_common:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    call trap_dispatch
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq
    .size trap_common, . - trap_common

    .section .note.GNU-stack, "", @progbits
