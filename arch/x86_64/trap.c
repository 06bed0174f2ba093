// SPDX-License-Identifier: BSD-2-Clause
// Traps and interrupts. Each runs to its end with interrupts off on a stack of its kind, so none
// interrupts another of its kind. The page-fault handler may run within an interrupt handler (which
// writes to goroutine stacks); their stacks differ.

#include "arch/arch.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "kernel/irq.h"
#include "kernel/panic_int.h"
#include "kernel/panic.h"
#include "kernel/print.h"
#include "sched/sched.h"

static const char *const trap_names[32] = {
    "divide error", "debug", "non-maskable interrupt", "breakpoint", "overflow", "bound range",
    "invalid opcode", "no floating point", "double fault", "?", "invalid TSS",
    "segment not present",
    "stack fault", "general protection fault", "page fault", "?", "floating-point error",
    "alignment check", "machine check", "SIMD floating-point error", "virtualization",
    "control protection",
};

void arch_print_trap_frame(const struct trap_frame *tf)
{
    kprintf("rip=%016lx rsp=%016lx rflags=%08lx cr2=%016lx error=%lx\n", tf->rip, tf->rsp,
            tf->rflags, read_cr2(), tf->error);
    kprintf("rax=%016lx rbx=%016lx rcx=%016lx rdx=%016lx\n", tf->rax, tf->rbx, tf->rcx, tf->rdx);
    kprintf("rsi=%016lx rdi=%016lx rbp=%016lx r8 =%016lx\n", tf->rsi, tf->rdi, tf->rbp, tf->r8);
    kprintf("r9 =%016lx r10=%016lx r11=%016lx r12=%016lx\n", tf->r9, tf->r10, tf->r11, tf->r12);
    kprintf("r13=%016lx r14=%016lx r15=%016lx\n", tf->r13, tf->r14, tf->r15);
}

uintptr_t arch_trap_pc(const struct trap_frame *tf) { return tf->rip; }
uintptr_t arch_trap_fp(const struct trap_frame *tf) { return tf->rbp; }

void arch_saved_frame(const struct g *gp, uintptr_t *pc, uintptr_t *fp)
{
    const uint64_t *saved = (const uint64_t *)gp->sp;
    *fp = saved[4];
    *pc = saved[6];
}

// The stack as arch_gogo expects it; entry is called as though by nobody, its stack aligned as at a
// call.
void arch_init_context(struct g *gp, void (*entry)(void))
{
    uint64_t *top = (uint64_t *)gp->stack_top;
    top[-1] = 0; // return address of entry
    top[-2] = (uintptr_t)entry;
    top[-4] = 0; // rbp, where backtraces end; the other five that a callee saves may be anything
    gp->sp = (uintptr_t)(top - 8);
}

// Makes the interrupted goroutine call arch_preempt_stub where it was. Writing to its stack may
// fault and grow it.
static void inject_preempt(struct trap_frame *tf)
{
    extern void arch_preempt_stub(void);
    uint64_t *sp = (uint64_t *)(tf->rsp - 128);
    *--sp = tf->rip;
    tf->rsp = (uintptr_t)sp;
    tf->rip = (uintptr_t)arch_preempt_stub;
}

static void page_fault(struct trap_frame *tf)
{
    uintptr_t va = read_cr2();
    enum { PF_PRESENT = 1, PF_FETCH = 16 };
    if (!(tf->error & (PF_PRESENT | PF_FETCH))) {
        switch (stack_fault(va)) {
        case STACK_FAULT_GROWN:
            return;
        case STACK_FAULT_OVERFLOW:
            fatal_trap(tf, "stack overflow");
        case STACK_FAULT_NO_MEMORY:
            fatal_trap(tf, "out of memory while growing a stack");
        case STACK_FAULT_NOT_STACK:
            break;
        }
    }
    char what[96];
    ksnprintf(what, sizeof(what), "page fault: cannot %s address %p (%s)",
              tf->error & PF_FETCH ? "execute" : tf->error & 2 ? "write" : "read", (void *)va,
              va < 4096            ? "null pointer"
              : tf->error & PF_PRESENT ? "protected"
                                       : "not mapped");
    fatal_trap(tf, what);
}

static void exception(struct trap_frame *tf)
{
    switch (tf->vector) {
    case 2:
        if (panicking())
            panic_stop_here(tf);
        fatal_trap(tf, "non-maskable interrupt");
    case 14:
        page_fault(tf);
        return;
    default:
        fatal_trap(tf, trap_names[tf->vector] ? trap_names[tf->vector] : "trap");
    }
}

void trap_dispatch(struct trap_frame *tf)
{
    unsigned vector = (unsigned)tf->vector;
    if (vector < 32) {
        exception(tf);
        return;
    }
    switch (vector) {
    case VECTOR_TIMER:
        lapic_eoi();
        preempt_timer_irq();
        break;
    case VECTOR_WAKE:
        lapic_eoi();
        preempt_wake_irq();
        break;
    case VECTOR_SPURIOUS:
        return;
    default:
        irq_dispatch((int)vector);
        lapic_eoi();
    }
    if (preempt_irq_exit())
        inject_preempt(tf);
}
