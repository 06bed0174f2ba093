// SPDX-License-Identifier: BSD-2-Clause
// Signals as interrupts and exceptions. Each handler runs on the thread's signal stack, an
// exception within an interrupt's handler (which writes to goroutine stacks) further down on it. A
// goroutine is preempted by changing the registers that the handler's end will load.

#include <arch_layout.h>

#include "arch/arch.h"
#include "arch/host/host.h"
#include "kernel/panic.h"
#include "kernel/panic_int.h"
#include "kernel/print.h"
#include "sched/sched.h"

enum { TRAP_PAGE_FAULT = 14, PF_WRITE = 2, PF_FETCH = 16 };

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
    const uint64_t *r = tf->uc.reg;
    kprintf("rip=%016lx rsp=%016lx rflags=%08lx cr2=%016lx error=%lx\n", r[REG_RIP], r[REG_RSP],
            r[REG_EFLAGS], r[REG_CR2], r[REG_ERR]);
    kprintf("rax=%016lx rbx=%016lx rcx=%016lx rdx=%016lx\n", r[REG_RAX], r[REG_RBX], r[REG_RCX],
            r[REG_RDX]);
    kprintf("rsi=%016lx rdi=%016lx rbp=%016lx r8 =%016lx\n", r[REG_RSI], r[REG_RDI], r[REG_RBP],
            r[REG_R8]);
    kprintf("r9 =%016lx r10=%016lx r11=%016lx r12=%016lx\n", r[REG_R9], r[REG_R10], r[REG_R11],
            r[REG_R12]);
    kprintf("r13=%016lx r14=%016lx r15=%016lx\n", r[REG_R13], r[REG_R14], r[REG_R15]);
}

uintptr_t arch_trap_pc(const struct trap_frame *tf) { return tf->uc.reg[REG_RIP]; }
uintptr_t arch_trap_fp(const struct trap_frame *tf) { return tf->uc.reg[REG_RBP]; }

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
    uint64_t *sp = (uint64_t *)gp->stack_top;
    if (HOST_SAN)
        host_map_whole(gp->stack_lo, gp->stack_top);
    if (HOST_SAN == HOST_SAN_ADDRESS)
        host_asan_new_stack(gp);
    *--sp = 0; // return address of entry
    *--sp = (uintptr_t)entry;
    for (int i = 0; i < 6; i++)
        *--sp = 0;
    gp->sp = (uintptr_t)sp;
}

// Makes the interrupted goroutine call arch_preempt_stub where it was. Writing to its stack may
// fault and grow it.
static void inject_preempt(struct linux_ucontext *uc)
{
    extern void arch_preempt_stub(void);
    uint64_t *sp = (uint64_t *)(uc->reg[REG_RSP] - 128);
    *--sp = uc->reg[REG_RIP];
    uc->reg[REG_RSP] = (uintptr_t)sp;
    uc->reg[REG_RIP] = (uintptr_t)arch_preempt_stub;
}

// Sanitizers' code is not made to be interrupted by ours, let alone to go on in another thread. A
// signal that finds the thread in it is left for the next one, which the timer brings.
static bool is_ours(const struct linux_ucontext *uc)
{
    extern char text_start[], text_end[];
    uintptr_t pc = uc->reg[REG_RIP];
    return !HOST_SAN || (pc >= (uintptr_t)text_start && pc < (uintptr_t)text_end);
}

void host_interrupt(int sig, struct linux_siginfo *info, struct linux_ucontext *uc)
{
    struct cpu *c = this_cpu();
    // Who sends a wake has set its bit before the signal.
    uint32_t bit = sig == SIGNAL_TIMER ? PENDING_TIMER : sig == SIGNAL_IO ? PENDING_IO : 0;
    atomic_fetch_or_explicit(&c->pending, bit, memory_order_seq_cst);
    if (!is_ours(uc)) {
        host_timer_soon(c);
        return;
    }
    if (HOST_SAN && c->stop_wanted)
        host_stop(sig, info, uc);
    if (c->irq_off)
        return;
    c->irq_off = 1;
    bool stop = false;
    uint32_t what;
    // pairs: HOST-PENDING
    while ((what = atomic_exchange_explicit(&c->pending, 0, memory_order_seq_cst)) != 0)
        stop = host_dispatch(what);
    c->irq_off = 0;
    if (stop)
        inject_preempt(uc);
}

static void page_fault(const struct trap_frame *tf, const struct linux_siginfo *info)
{
    uintptr_t va = tf->uc.reg[REG_CR2];
    uint64_t error = tf->uc.reg[REG_ERR];
    bool is_protected = info->code == SEGV_ACCERR;
    if (va >= KSTACK_BASE && va < HOST_STACKS_END && !(error & PF_FETCH)) {
        is_protected = false; // all of the range is reserved without permissions
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
              error & PF_FETCH ? "execute" : error & PF_WRITE ? "write" : "read", (void *)va,
              va < 4096 ? "null pointer" : is_protected ? "protected" : "not mapped");
    fatal_trap(tf, what);
}

void host_exception(int sig, struct linux_siginfo *info, struct linux_ucontext *uc)
{
    struct cpu *c = this_cpu();
    const struct trap_frame *tf = (const struct trap_frame *)uc;
    uint32_t was_off = c->irq_off;
    uint64_t trap = uc->reg[REG_TRAPNO];
    c->irq_off = 1;
    if (info->code <= 0)
        fatal_trap(tf, "a signal from another process");
    if (sig != LINUX_SIGSEGV || trap != TRAP_PAGE_FAULT)
        fatal_trap(tf, trap < 32 && trap_names[trap] ? trap_names[trap] : "trap");
    page_fault(tf, info);
    c->irq_off = was_off;
    // A signal to this thread comes when this handler has ended.
    if (!was_off && atomic_load_explicit(&c->pending, memory_order_relaxed) != 0)
        host_signal(c, SIGNAL_WAKE);
}

void host_stop(int sig, struct linux_siginfo *info, struct linux_ucontext *uc)
{
    struct cpu *c = this_cpu();
    c->stop_wanted = !is_ours(uc);
    if (c->stop_wanted)
        host_timer_soon(c);
    else if (panicking())
        panic_stop_here((const struct trap_frame *)uc);
}
