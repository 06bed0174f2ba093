// SPDX-License-Identifier: BSD-2-Clause
// One stub a vector: a uniform frame (struct trap_frame) on the vector's own stack, then
// trap_dispatch.

    .section .text.trap_entry, "ax"
    .cfi_sections .debug_frame

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

    // The .cfi lines tell debuggers at each instruction where what was interrupted is found.
    .macro PUSH reg
    pushq %\reg
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \reg, 0
    .endm
    .macro POP reg
    popq %\reg
    .cfi_adjust_cfa_offset -8
    .cfi_same_value \reg
    .endm

    .type trap_common, @function
trap_common:
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa rsp, 56
    .cfi_offset rip, -40
    .cfi_offset rsp, -16
    PUSH rax
    PUSH rbx
    PUSH rcx
    PUSH rdx
    PUSH rsi
    PUSH rdi
    PUSH rbp
    PUSH r8
    PUSH r9
    PUSH r10
    PUSH r11
    PUSH r12
    PUSH r13
    PUSH r14
    PUSH r15
    cld
    movq %rsp, %rdi
    call trap_dispatch
    POP r15
    POP r14
    POP r13
    POP r12
    POP r11
    POP r10
    POP r9
    POP r8
    POP rbp
    POP rdi
    POP rsi
    POP rdx
    POP rcx
    POP rbx
    POP rax
    addq $16, %rsp
    .cfi_adjust_cfa_offset -16
    iretq
    .cfi_endproc
    .size trap_common, . - trap_common

    .section .note.GNU-stack, "", @progbits
