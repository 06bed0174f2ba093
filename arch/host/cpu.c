// SPDX-License-Identifier: BSD-2-Clause
// A thread as a core: its register, its signal handlers and their stack.
//
// Signals of interrupts keep each other out, as handlers of interrupts run with interrupts off.
// Signals of exceptions keep those out too: their handlers take locks, and must not be preempted.
// The stop signal, the counterpart of the non-maskable interrupt, is never kept out.

#include <string.h>

#include "arch/arch.h"
#include "arch/host/host.h"
#include "kernel/panic.h"
#include "sched/sched.h"

// What assembly and arch_inline.h rely on.
_Static_assert(offsetof(struct g, sp) == 0 && offsetof(struct g, stack_top) == 8 &&
               offsetof(struct g, preempt_off) == 24 && offsetof(struct m, resched) == 0 &&
               offsetof(struct cpu, g) == 0 && offsetof(struct cpu, g0) == 8 &&
               offsetof(struct cpu, m) == 16 && offsetof(struct cpu, irq_off) == 24 &&
               offsetof(struct cpu, pending) == 28 && offsetof(struct cpu, relaxed) == 32,
               "assembly has other offsets");

enum { XSAVE_MASK = 0xe7 }; // x87, SSE, AVX, AVX-512; the same number is in switch.S

struct cpu cpus[MAX_CORES];
uint32_t arch_xsave_size = 512; // read by arch_preempt_stub
bool arch_have_xsave;
const uint32_t arch_mxcsr_default = 0x1f80; // exceptions masked, round to nearest

struct cpuid { uint32_t a, b, c, d; };

static struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}

// Bytes of the state that a preempted goroutine saves: the furthest end of its parts.
static void detect_xsave(void)
{
    if (!(cpuid(1, 0).c >> 27 & 1))
        return;
    uint32_t xcr0, high;
    __asm__("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    uint32_t size = 512 + 64;
    for (uint32_t part = 2; part < 32; part++) {
        if (!(xcr0 & XSAVE_MASK & 1u << part))
            continue;
        struct cpuid where = cpuid(0xd, part);
        size = MAX(size, where.a + where.b);
    }
    arch_xsave_size = size;
    arch_have_xsave = true;
}

static void handle(int sig, void (*fn)(int, struct linux_siginfo *, struct linux_ucontext *),
                   uint64_t mask)
{
    struct linux_sigaction action = {
        .handler = fn,
        .flags = SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_RESTART,
        .restorer = host_signal_return,
        .mask = mask,
    };
    long error = linux_sys(SYS_RT_SIGACTION, sig, &action, 0, 8);
    if (error)
        throw("arch_cpu_init_boot: no handler for signal %d (error %ld)", sig, -error);
}

static void set_gs(struct cpu *c, struct m *m)
{
    c->m = m;
    c->g0 = m->g0;
    c->g = m->g0;
    c->core = m->id;
    c->irq_off = 1;
    linux_sys(SYS_ARCH_PRCTL, ARCH_SET_GS, c);
}

void arch_cpu_init_boot(struct m *m0)
{
    static const uint8_t exceptions[] = {
        LINUX_SIGILL, LINUX_SIGTRAP, LINUX_SIGBUS, LINUX_SIGFPE, LINUX_SIGSEGV,
    };
    set_gs(&cpus[0], m0);
    detect_xsave();
    for (size_t i = 0; i < ARRAY_LEN(exceptions); i++)
        handle(exceptions[i], host_exception, INTERRUPT_SIGNALS);
    handle(SIGNAL_TIMER, host_interrupt, INTERRUPT_SIGNALS);
    handle(SIGNAL_WAKE, host_interrupt, INTERRUPT_SIGNALS);
    handle(SIGNAL_IO, host_interrupt, INTERRUPT_SIGNALS);
    handle(SIGNAL_STOP, host_stop, INTERRUPT_SIGNALS);
    uint64_t none = 0;
    linux_sys(SYS_RT_SIGPROCMASK, SIG_SETMASK, &none, 0, 8);
}

bool arch_cpu_alloc(unsigned core)
{
    cpus[core].signal_stack = stack_alloc_kernel(SIGNAL_STACK_PAGES);
    return cpus[core].signal_stack != 0;
}

// Context: the core itself, once its stack exists.
void arch_cpu_init(struct m *m)
{
    struct cpu *c = &cpus[m->id];
    if (m->id != 0)
        set_gs(c, m);
    size_t size = SIGNAL_STACK_PAGES * 4096;
    struct linux_stack stack = { .sp = (void *)(c->signal_stack - size), .size = size };
    linux_sys(SYS_SIGALTSTACK, &stack, 0);
    host_thread_init(c);
}
