// SPDX-License-Identifier: BSD-2-Clause
// Context switch. A G that is not running has on its stack, from gp->sp up: r15 r14 r13 r12 rbp rbx
// and the address to resume at. Vector registers are the caller's to save in the ABI, so a
// cooperative switch ignores them; only arch_preempt_stub keeps them.

#define G_SP 0
#define G_STACK_TOP 8
#define G_PREEMPT_OFF 24
#define M_RESCHED 0

// Another way to run on this processor says these in its own words before it includes this file.
#ifndef STUB_PARK
#define STUB_PARK call preempt_park
#define STUB_IRQ_OFF cli
#define STUB_XSAVE_MASK movl $-1, %eax; movl $-1, %edx
#define STUB_RETURN popfq; .cfi_adjust_cfa_offset -8; ret $128
#endif

    .section .text.arch_switch, "ax"
    .cfi_sections .debug_frame

// void arch_mcall(void (*fn)(struct g *)) preempt_off is raised first: were the G preempted and
// moved between reading this core's g0 and going there, it would arrive on another core's stack;
// and sp is stored only when no interrupt can switch away from it again.
    .globl arch_mcall
    .type arch_mcall, @function
arch_mcall:
    movq %gs:0, %rax
    incl G_PREEMPT_OFF(%rax)
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, G_SP(%rax)
    movq %gs:8, %rcx
    movq %rcx, %gs:0
    movq G_STACK_TOP(%rcx), %rsp
    decl G_PREEMPT_OFF(%rax)
    movq %rdi, %rdx
    movq %rax, %rdi
    xorl %ebp, %ebp
    call *%rdx
    ud2
    .size arch_mcall, . - arch_mcall

// void arch_gogo(struct g *) The stack first, the current G second: an interrupt between the two
// still sees g0, which is never preempted, and only leaves m->resched. So that is looked at once
// more when the G is current and further interrupts will stop it themselves: an announcement made
// while the scheduler was on its way out is not left until the next tick.
    .globl arch_gogo
    .type arch_gogo, @function
arch_gogo:
    movq G_SP(%rdi), %rsp
    movq %rdi, %gs:0
    movq %gs:16, %rax
    cmpb $0, M_RESCHED(%rax)
    jne 2f
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

    // Back to g0 as by arch_mcall(preempt_m). The saved registers are still whole where they were:
    // should this happen again and again, the goroutine's stack does not grow by it. (preempt_off
    // is raised first, as an interrupt up to then may stop the goroutine and store another sp.)
2:  incl G_PREEMPT_OFF(%rdi)
    movq %rsp, G_SP(%rdi)
    movq %gs:8, %rcx
    movq %rcx, %gs:0
    movq G_STACK_TOP(%rcx), %rsp
    decl G_PREEMPT_OFF(%rdi)
    xorl %ebp, %ebp
    call preempt_m
    ud2
    .size arch_gogo, . - arch_gogo

// Calls trace_goroutine(rdi, rsi) for arch_trace_goroutine. The caller may be a leaf in the middle
// of anything.
    .globl arch_trace_thunk
    .type arch_trace_thunk, @function
arch_trace_thunk:
    pushq %rbp
    movq %rsp, %rbp
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    andq $-16, %rsp
    call trace_goroutine
    leaq -72(%rbp), %rsp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    popq %rbp
    ret
    .size arch_trace_thunk, . - arch_trace_thunk

// void arch_call_on_stack(uintptr_t top, void (*fn)(void))
    .globl arch_call_on_stack
    .type arch_call_on_stack, @function
arch_call_on_stack:
    movq %rdi, %rsp
    xorl %ebp, %ebp
    call *%rsi
    ud2
    .size arch_call_on_stack, . - arch_call_on_stack

// Where a preempted goroutine finds itself: the trap handler made it look as though the interrupted
// instruction had called this, with 128 bytes of a red zone skipped. Everything the G can see is
// saved here, on its stack. The x87 stack and MXCSR are then cleared: whoever runs next was
// promised an empty one. Restoring runs with interrupts off up to popfq, so that one stop does not
// pile up on another. The .cfi lines tell debuggers where what was stopped is found.
    .globl arch_preempt_stub
    .type arch_preempt_stub, @function
arch_preempt_stub:
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa rsp, 136
    .cfi_offset rip, -136
    pushfq
    .cfi_adjust_cfa_offset 8
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    movq %rsp, %rbp
    .cfi_def_cfa_register rbp
    pushq %rax
    .cfi_offset rax, -160
    pushq %rbx
    .cfi_offset rbx, -168
    pushq %rcx
    .cfi_offset rcx, -176
    pushq %rdx
    .cfi_offset rdx, -184
    pushq %rsi
    .cfi_offset rsi, -192
    pushq %rdi
    .cfi_offset rdi, -200
    pushq %r8
    .cfi_offset r8, -208
    pushq %r9
    .cfi_offset r9, -216
    pushq %r10
    .cfi_offset r10, -224
    pushq %r11
    .cfi_offset r11, -232
    pushq %r12
    .cfi_offset r12, -240
    pushq %r13
    .cfi_offset r13, -248
    pushq %r14
    .cfi_offset r14, -256
    pushq %r15
    .cfi_offset r15, -264
    cld
    movl arch_xsave_size(%rip), %ecx
    movq %rsp, %rbx
    subq %rcx, %rsp
    andq $-64, %rsp
    cmpb $0, arch_have_xsave(%rip)
    je 1f
    // The header beyond the legacy area must be zero for xrstor to take it.
    xorl %eax, %eax
    movq %rax, 512(%rsp)
    movq %rax, 520(%rsp)
    movq %rax, 528(%rsp)
    movq %rax, 536(%rsp)
    movq %rax, 544(%rsp)
    movq %rax, 552(%rsp)
    movq %rax, 560(%rsp)
    movq %rax, 568(%rsp)
    STUB_XSAVE_MASK
    xsave64 (%rsp)
    fninit
    ldmxcsr arch_mxcsr_default(%rip)
    STUB_PARK
    STUB_IRQ_OFF
    STUB_XSAVE_MASK
    xrstor64 (%rsp)
    jmp 2f
1:  fxsave64 (%rsp)
    fninit
    ldmxcsr arch_mxcsr_default(%rip)
    STUB_PARK
    STUB_IRQ_OFF
    fxrstor64 (%rsp)
2:  movq %rbx, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    popq %rbp
    .cfi_def_cfa rsp, 144
    STUB_RETURN
    .cfi_endproc
    .size arch_preempt_stub, . - arch_preempt_stub

// int arch_setjmp(struct arch_jmp *)
    .globl arch_setjmp
    .type arch_setjmp, @function
arch_setjmp:
    movq %rbx, 0(%rdi)
    movq %rbp, 8(%rdi)
    movq %r12, 16(%rdi)
    movq %r13, 24(%rdi)
    movq %r14, 32(%rdi)
    movq %r15, 40(%rdi)
    leaq 8(%rsp), %rax
    movq %rax, 48(%rdi)
    movq (%rsp), %rax
    movq %rax, 56(%rdi)
    xorl %eax, %eax
    ret
    .size arch_setjmp, . - arch_setjmp

// void arch_longjmp(struct arch_jmp *)
    .globl arch_longjmp
    .type arch_longjmp, @function
arch_longjmp:
    movq 0(%rdi), %rbx
    movq 8(%rdi), %rbp
    movq 16(%rdi), %r12
    movq 24(%rdi), %r13
    movq 32(%rdi), %r14
    movq 40(%rdi), %r15
    movq 48(%rdi), %rsp
    movl $1, %eax
    jmp *56(%rdi)
    .size arch_longjmp, . - arch_longjmp

    .section .note.GNU-stack, "", @progbits
