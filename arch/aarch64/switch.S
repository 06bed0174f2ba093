// SPDX-License-Identifier: BSD-2-Clause
// Context switch. A G that is not running has on its stack, from gp->sp up: x29 x30 x19 .. x28 and
// d8 .. d15: what the procedure call standard has a callee keep. The kernel uses no vector
// registers, but the application's caller does, and may hold values in d8 to d15 over a call that
// switches. The other vector registers are a caller's to save; only arch_preempt_stub keeps them.

#define G_SP 0
#define G_STACK_TOP 8
#define G_M 16
#define G_PREEMPT_OFF 24
#define M_RESCHED 0
#define M_G0 8
#define FRAME 160

    .section .text.arch_switch, "ax"

// void arch_mcall(void (*fn)(struct g *)) preempt_off is raised first: were the G preempted and
// moved between reading this core's g0 and going there, it would arrive on another core's stack;
// and sp is stored only when no interrupt can switch away from it again.
    .globl arch_mcall
    .type arch_mcall, %function
arch_mcall:
    mrs x9, tpidr_el1
    ldr w10, [x9, #G_PREEMPT_OFF]
    add w11, w10, #1
    str w11, [x9, #G_PREEMPT_OFF]
    stp x29, x30, [sp, #-FRAME]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x11, sp
    str x11, [x9, #G_SP]
    ldr x12, [x9, #G_M]
    ldr x12, [x12, #M_G0]
    ldr x11, [x12, #G_STACK_TOP]
    msr tpidr_el1, x12
    mov sp, x11
    str w10, [x9, #G_PREEMPT_OFF]
    mov x1, x0
    mov x0, x9
    mov x29, xzr
    mov x30, xzr
    br x1
    .size arch_mcall, . - arch_mcall

// void arch_gogo(struct g *) The stack first, the current G second: an interrupt between the two
// still sees g0, which is never preempted, and only leaves m->resched. So that is looked at once
// more when the G is current and further interrupts will stop it themselves: an announcement made
// while the scheduler was on its way out is not left until the next tick.
    .globl arch_gogo
    .type arch_gogo, %function
arch_gogo:
    ldr x9, [x0, #G_SP]
    ldr x10, [x0, #G_M]
    mov sp, x9
    msr tpidr_el1, x0
    ldrb w11, [x10, #M_RESCHED]
    cbnz w11, 2f
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x29, x30, [sp], #FRAME
    ret

    // Back to g0 as by arch_mcall(preempt_m). The saved registers are still whole where they were:
    // should this happen again and again, the goroutine's stack does not grow by it. (preempt_off
    // is raised first, as an interrupt up to then may stop the goroutine, store another sp, and
    // have it resumed on another core.)
2:  ldr w10, [x0, #G_PREEMPT_OFF]
    add w11, w10, #1
    str w11, [x0, #G_PREEMPT_OFF]
    mov x11, sp
    str x11, [x0, #G_SP]
    ldr x12, [x0, #G_M]
    ldr x12, [x12, #M_G0]
    ldr x11, [x12, #G_STACK_TOP]
    msr tpidr_el1, x12
    mov sp, x11
    str w10, [x0, #G_PREEMPT_OFF]
    mov x29, xzr
    mov x30, xzr
    b preempt_m
    .size arch_gogo, . - arch_gogo

// Calls trace_goroutine(x0, x1) for arch_trace_goroutine, which keeps x29 and x30. The caller may
// be a leaf in the middle of anything.
    .globl arch_trace_thunk
    .type arch_trace_thunk, %function
arch_trace_thunk:
    stp x29, x30, [sp, #-176]!
    mov x29, sp
    stp x0, x1, [sp, #16]
    stp x2, x3, [sp, #32]
    stp x4, x5, [sp, #48]
    stp x6, x7, [sp, #64]
    stp x8, x9, [sp, #80]
    stp x10, x11, [sp, #96]
    stp x12, x13, [sp, #112]
    stp x14, x15, [sp, #128]
    stp x16, x17, [sp, #144]
    str x18, [sp, #160]
    bl trace_goroutine
    ldp x0, x1, [sp, #16]
    ldp x2, x3, [sp, #32]
    ldp x4, x5, [sp, #48]
    ldp x6, x7, [sp, #64]
    ldp x8, x9, [sp, #80]
    ldp x10, x11, [sp, #96]
    ldp x12, x13, [sp, #112]
    ldp x14, x15, [sp, #128]
    ldp x16, x17, [sp, #144]
    ldr x18, [sp, #160]
    ldp x29, x30, [sp], #176
    ret
    .size arch_trace_thunk, . - arch_trace_thunk

// void arch_call_on_stack(uintptr_t top, void (*fn)(void))
    .globl arch_call_on_stack
    .type arch_call_on_stack, %function
arch_call_on_stack:
    mov sp, x0
    mov x29, xzr
    mov x30, xzr
    br x1
    .size arch_call_on_stack, . - arch_call_on_stack

// Where a preempted goroutine finds itself: the exception handler has pushed x29, pc and pstate
// onto its stack and sent it here, all registers as they were. There is no red zone. Everything the
// G can see is saved here, on its stack; FPCR and FPSR are then cleared: whoever runs next was
// promised their initial state. Restoring ends with an exception return, the one way to load pc and
// the flags together; interrupts are off from when its two registers are written.
#define STUB 784 // 31 general registers, FPCR and FPSR, 32 vectors, 8 bytes of nothing
    .globl arch_preempt_stub
    .type arch_preempt_stub, %function
arch_preempt_stub:
    sub sp, sp, #STUB
    stp x29, x30, [sp]
    stp x0, x1, [sp, #16]
    stp x2, x3, [sp, #32]
    stp x4, x5, [sp, #48]
    stp x6, x7, [sp, #64]
    stp x8, x9, [sp, #80]
    stp x10, x11, [sp, #96]
    stp x12, x13, [sp, #112]
    stp x14, x15, [sp, #128]
    stp x16, x17, [sp, #144]
    stp x18, x19, [sp, #160]
    stp x20, x21, [sp, #176]
    stp x22, x23, [sp, #192]
    stp x24, x25, [sp, #208]
    stp x26, x27, [sp, #224]
    mrs x0, fpcr
    mrs x1, fpsr
    stp x28, x0, [sp, #240]
    str x1, [sp, #256]
    add x2, sp, #272
    stp q0, q1, [x2]
    stp q2, q3, [x2, #32]
    stp q4, q5, [x2, #64]
    stp q6, q7, [x2, #96]
    stp q8, q9, [x2, #128]
    stp q10, q11, [x2, #160]
    stp q12, q13, [x2, #192]
    stp q14, q15, [x2, #224]
    stp q16, q17, [x2, #256]
    stp q18, q19, [x2, #288]
    stp q20, q21, [x2, #320]
    stp q22, q23, [x2, #352]
    stp q24, q25, [x2, #384]
    stp q26, q27, [x2, #416]
    stp q28, q29, [x2, #448]
    stp q30, q31, [x2, #480]
    msr fpcr, xzr
    msr fpsr, xzr
    add x29, sp, #STUB              // the frame record the handler has made
    bl preempt_park
    msr daifset, #2
    ldp x28, x0, [sp, #240]
    ldr x1, [sp, #256]
    msr fpcr, x0
    msr fpsr, x1
    add x2, sp, #272
    ldp q0, q1, [x2]
    ldp q2, q3, [x2, #32]
    ldp q4, q5, [x2, #64]
    ldp q6, q7, [x2, #96]
    ldp q8, q9, [x2, #128]
    ldp q10, q11, [x2, #160]
    ldp q12, q13, [x2, #192]
    ldp q14, q15, [x2, #224]
    ldp q16, q17, [x2, #256]
    ldp q18, q19, [x2, #288]
    ldp q20, q21, [x2, #320]
    ldp q22, q23, [x2, #352]
    ldp q24, q25, [x2, #384]
    ldp q26, q27, [x2, #416]
    ldp q28, q29, [x2, #448]
    ldp q30, q31, [x2, #480]
    add x2, sp, #STUB
    ldp x0, x1, [x2, #8]
    msr elr_el1, x0
    msr spsr_el1, x1
    ldp x0, x1, [sp, #16]
    ldp x2, x3, [sp, #32]
    ldp x4, x5, [sp, #48]
    ldp x6, x7, [sp, #64]
    ldp x8, x9, [sp, #80]
    ldp x10, x11, [sp, #96]
    ldp x12, x13, [sp, #112]
    ldp x14, x15, [sp, #128]
    ldp x16, x17, [sp, #144]
    ldp x18, x19, [sp, #160]
    ldp x20, x21, [sp, #176]
    ldp x22, x23, [sp, #192]
    ldp x24, x25, [sp, #208]
    ldp x26, x27, [sp, #224]
    ldp x29, x30, [sp]
    add sp, sp, #STUB + 32
    eret
    .size arch_preempt_stub, . - arch_preempt_stub

// int arch_setjmp(struct arch_jmp *)
    .globl arch_setjmp
    .type arch_setjmp, %function
arch_setjmp:
    stp x19, x20, [x0]
    stp x21, x22, [x0, #16]
    stp x23, x24, [x0, #32]
    stp x25, x26, [x0, #48]
    stp x27, x28, [x0, #64]
    stp x29, x30, [x0, #80]
    stp d8, d9, [x0, #96]
    stp d10, d11, [x0, #112]
    stp d12, d13, [x0, #128]
    stp d14, d15, [x0, #144]
    mov x1, sp
    str x1, [x0, #160]
    mov w0, #0
    ret
    .size arch_setjmp, . - arch_setjmp

// void arch_longjmp(struct arch_jmp *)
    .globl arch_longjmp
    .type arch_longjmp, %function
arch_longjmp:
    ldp x19, x20, [x0]
    ldp x21, x22, [x0, #16]
    ldp x23, x24, [x0, #32]
    ldp x25, x26, [x0, #48]
    ldp x27, x28, [x0, #64]
    ldp x29, x30, [x0, #80]
    ldp d8, d9, [x0, #96]
    ldp d10, d11, [x0, #112]
    ldp d12, d13, [x0, #128]
    ldp d14, d15, [x0, #144]
    ldr x1, [x0, #160]
    mov sp, x1
    mov w0, #1
    ret
    .size arch_longjmp, . - arch_longjmp

    .section .note.GNU-stack, "", %progbits
