// SPDX-License-Identifier: BSD-2-Clause
// Exceptions and interrupts. Each is handled with interrupts off on the core's exception stack. A
// page fault may come while an interrupt is handled (the handler writes to goroutine stacks) and
// nests there. FIQ is IPI_STOP and nothing else.

#include "arch/arch.h"
#include "arch/aarch64/cpu.h"
#include "kernel/irq.h"
#include "kernel/panic.h"
#include "kernel/panic_int.h"
#include "kernel/print.h"
#include "sched/sched.h"

// What entry.S relies on.
_Static_assert(sizeof(struct trap_frame) == 304 && offsetof(struct trap_frame, sp) == 248 &&
               offsetof(struct trap_frame, pc) == 256 && offsetof(struct trap_frame, esr) == 272 &&
               offsetof(struct trap_frame, kind) == 288, "entry.S has other offsets");

enum esr_class {
    EC_UNKNOWN = 0x00, EC_FP = 0x07, EC_ILLEGAL_STATE = 0x0e, EC_SVE = 0x19,
    EC_FETCH = 0x21, EC_PC_ALIGNMENT = 0x22, EC_DATA = 0x25, EC_SP_ALIGNMENT = 0x26, EC_BRK = 0x3c,
};

void arch_print_trap_frame(const struct trap_frame *tf)
{
    kprintf("pc=%016lx sp=%016lx pstate=%08lx far=%016lx esr=%08lx\n", tf->pc, tf->sp, tf->pstate,
            tf->far, tf->esr);
    for (int i = 0; i < 31; i++)
        kprintf("%sx%d=%016lx%s", i < 10 ? " " : "", i, tf->x[i],
                i % 4 == 3 || i == 30 ? "\n" : " ");
}

uintptr_t arch_trap_pc(const struct trap_frame *tf) { return tf->pc; }
uintptr_t arch_trap_fp(const struct trap_frame *tf) { return tf->x[29]; }

void arch_saved_frame(const struct g *gp, uintptr_t *pc, uintptr_t *fp)
{
    const uint64_t *saved = (const uint64_t *)gp->sp;
    *fp = saved[0];
    *pc = saved[1];
}

// The stack as arch_gogo expects it. What entry() finds in the other registers means nothing.
void arch_init_context(struct g *gp, void (*entry)(void))
{
    uint64_t *sp = (uint64_t *)(gp->stack_top - 160);
    sp[0] = 0;
    sp[1] = (uintptr_t)entry;
    gp->sp = (uintptr_t)sp;
}

// Makes the interrupted goroutine call arch_preempt_stub where it was. Writing to its stack may
// fault and grow it.
static void inject_preempt(struct trap_frame *tf)
{
    extern void arch_preempt_stub(void);
    uint64_t *sp = (uint64_t *)tf->sp - 4;
    sp[0] = tf->x[29];
    sp[1] = tf->pc;
    sp[2] = tf->pstate;
    tf->sp = (uintptr_t)sp;
    tf->pc = (uintptr_t)arch_preempt_stub;
}

static void page_fault(struct trap_frame *tf, bool fetch)
{
    uintptr_t va = tf->far;
    unsigned cause = tf->esr & 0x3f;
    bool absent = cause <= 7; // address size and translation faults, at any level
    bool write = !fetch && (tf->esr >> 6 & 1) && !(tf->esr >> 8 & 1);
    if (cause >= 4 && absent && !fetch) {
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
    if (cause > 15) {
        char what[80];
        ksnprintf(what, sizeof(what), "%s at address %p",
                  cause == 0x21 ? "misaligned access" : "bus error", (void *)va);
        fatal_trap(tf, what);
    }
    char what[96];
    ksnprintf(what, sizeof(what), "page fault: cannot %s address %p (%s)",
              fetch ? "execute" : write ? "write" : "read", (void *)va,
              va < 4096 ? "null pointer" : absent ? "not mapped" : "protected");
    fatal_trap(tf, what);
}

static void synchronous(struct trap_frame *tf)
{
    unsigned class = tf->esr >> 26 & 0x3f;
    switch (class) {
    case EC_DATA:
    case EC_FETCH:
        page_fault(tf, class == EC_FETCH);
        return;
    case EC_UNKNOWN: fatal_trap(tf, "invalid opcode");
    case EC_FP: fatal_trap(tf, "no floating point");
    case EC_SVE: fatal_trap(tf, "no scalable vectors");
    case EC_ILLEGAL_STATE: fatal_trap(tf, "illegal execution state");
    case EC_PC_ALIGNMENT: fatal_trap(tf, "misaligned program counter");
    case EC_SP_ALIGNMENT: fatal_trap(tf, "misaligned stack pointer");
    case EC_BRK: fatal_trap(tf, "breakpoint");
    default: fatal_trap(tf, "trap");
    }
}

void trap_dispatch(struct trap_frame *tf)
{
    if (tf->kind & TRAP_OVERFLOW)
        fatal_trap(tf, "double fault");
    switch (tf->kind & 3) {
    case TRAP_SYNC:
        if (tf->kind & TRAP_OTHER)
            fatal_trap(tf, "trap from another exception level");
        synchronous(tf);
        return;
    case TRAP_FIQ:
        if (panicking())
            panic_stop_here(tf);
        fatal_trap(tf, "fast interrupt");
    case TRAP_ERROR:
        fatal_trap(tf, "system error");
    }
    intr_handle(tf);
    if (preempt_irq_exit())
        inject_preempt(tf);
}
