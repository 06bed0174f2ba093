// SPDX-License-Identifier: BSD-2-Clause
// One core as a thread of Linux: its data, at its gs base, and what the files here share.
#ifndef ARCH_HOST_HOST_H
#define ARCH_HOST_HOST_H

#include <arch_layout.h>

#include "arch/host/linux.h"
#include "sched/g.h"

// What a signal handler is given; the registers are where Linux stores them.
struct trap_frame {
    struct linux_ucontext uc;
};

// Interrupts a core has not yet handled.
enum {
    PENDING_TIMER = 1,
    PENDING_WAKE = 2,
    PENDING_IO = 4, // some file of a device is ready
};

struct cpu {
    struct g *g;  // gs:0, the running G
    struct g *g0; // gs:8
    struct m *m;  // gs:16
    // The thread's own; not atomic, as only signals on the same thread look at it.
    uint32_t irq_off;          // gs:24
    _Atomic(uint32_t) pending; // gs:28, PENDING_*; anyone may set. The futex of an idle core
    uint32_t relaxed;          // gs:32, counts arch_relax
    _Atomic(uint32_t) asleep;  // the thread is waiting for its futex, or about to
    uint32_t core;
    int tid;                   // 0: not started
    int timer;                 // Linux's number for its timer
    bool have_timer;
    bool stop_wanted;          // a stop signal came at a wrong moment; see trap.c
    uintptr_t signal_stack;    // its upper end, 0 until it is made
};

extern struct cpu cpus[MAX_CORES];

static inline struct cpu *this_cpu(void)
{
    struct m *m;
    __asm__ volatile("movq %%gs:16, %0" : "=r"(m));
    return &cpus[m->id];
}

// Signals of which Linux keeps one at most for a thread that does not take it: SIGALRM, SIGURG,
// SIGIO, SIGUSR2.
enum { SIGNAL_TIMER = 14, SIGNAL_WAKE = 23, SIGNAL_IO = 29, SIGNAL_STOP = 12 };
enum { SIGNAL_STACK_PAGES = HOST_SAN ? 64 : 16 };
#define SIGNAL_BIT(n) (1ull << ((n) - 1))
#define INTERRUPT_SIGNALS \
    (SIGNAL_BIT(SIGNAL_TIMER) | SIGNAL_BIT(SIGNAL_WAKE) | SIGNAL_BIT(SIGNAL_IO))

// entry.S
void host_signal_return(void);
// Starts a thread with the caller's signal mask on the stack that ends at top; it calls fn, which
// does not return. Its number or -errno.
long host_clone(uintptr_t top, void (*fn)(void));

// trap.c: what signals call.
void host_interrupt(int sig, struct linux_siginfo *info, struct linux_ucontext *uc);
void host_exception(int sig, struct linux_siginfo *info, struct linux_ucontext *uc);
void host_stop(int sig, struct linux_siginfo *info, struct linux_ucontext *uc);

// intr.c

// Runs the handlers of what is in `what`; true if the running goroutine is to be stopped.
// Context: interrupts off.
bool host_dispatch(uint32_t what);
// What a preempted goroutine calls from arch_preempt_stub.
void host_preempt_park(void);

void host_signal(const struct cpu *c, int sig);
// Has Linux interrupt that core with vector whenever the file becomes ready, as long as its
// interrupts are on; they are off to begin with. The file no longer blocks. False: it is no file
// that can do that, or there are too many.
bool host_file_route(int fd, int vector, unsigned core);
// Context: any.
void host_file_interrupts(int fd, bool on);

// mmu.c

// Reserves memory of that size, at most HOST_RAM_MAX; false: Linux refused.
bool host_map_ram(uint64_t bytes);
// Maps all of a stack, for sanitizers: their code touches it too, and a fault must not interrupt
// it. Its pages are in nobody's books. Does nothing the second time.
void host_map_whole(uintptr_t lo, uintptr_t hi);

// timer.c
void host_timer_init(struct cpu *c);
// Has the thread's timer interrupt it in a moment. Context: the thread itself, a signal handler.
void host_timer_soon(struct cpu *c);

// asan.c: gp's stack is about to be used afresh.
void host_asan_new_stack(struct g *gp);

// smp.c: the part of a thread's setting up that only itself can do. Context: interrupts off.
void host_thread_init(struct cpu *c);

#endif
