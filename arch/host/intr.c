// SPDX-License-Identifier: BSD-2-Clause
// Interrupts: bits that a core has been left, by other cores and by signal handlers.
//
// A core that wakes another sets the bit and then looks whether that one sleeps: if so its futex,
// which is the word of bits, is woken, which is cheaper than a signal; else a signal is sent. The
// sleeper says so, looks at the bits, and waits if there are none. All four accesses are
// sequentially consistent, so one of the two sees the other's first step. A bit that is set already
// is on its way to be handled and needs nobody's signal.
//
// The bits are taken by one exchange, by a signal handler when interrupts are on, or by whoever
// turns them on.

#include "arch/arch.h"
#include "arch/host/host.h"
#include "kernel/irq.h"
#include "kernel/irq_vectors.h"
#include "sched/sched.h"

bool host_dispatch(uint32_t what)
{
    if (what & PENDING_TIMER)
        preempt_timer_irq();
    if (what & PENDING_WAKE)
        preempt_wake_irq();
    return preempt_irq_exit();
}

static bool take_pending(struct cpu *c)
{
    bool stop = false;
    uint32_t what;
    // pairs: HOST-PENDING
    while ((what = atomic_exchange_explicit(&c->pending, 0, memory_order_seq_cst)) != 0)
        stop = host_dispatch(what);
    return stop;
}

// As an interrupt would, at this instruction. Context: interrupts on.
void host_irq_deliver(void)
{
    bool stop = false;
    do {
        // Off before the core is asked for: from here on this goroutine stays on it.
        arch_irq_save();
        struct cpu *c = this_cpu();
        stop |= take_pending(c);
        c->irq_off = 0;
        barrier();
    } while (atomic_load_explicit(&this_cpu()->pending, memory_order_relaxed) != 0);
    if (stop)
        preempt_yield();
}

void host_preempt_park(void)
{
    if (atomic_load_explicit(&this_cpu()->pending, memory_order_relaxed) != 0) {
        arch_irq_save();
        struct cpu *c = this_cpu();
        take_pending(c);
        c->irq_off = 0;
    }
    preempt_park();
}

void host_idle(void)
{
    struct cpu *c = this_cpu();
    atomic_store_explicit(&c->asleep, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&c->pending, memory_order_seq_cst) == 0)
        linux_sys(SYS_FUTEX, &c->pending, FUTEX_WAIT_PRIVATE, 0, 0);
    atomic_store_explicit(&c->asleep, 0, memory_order_seq_cst);
    take_pending(c);
}

void host_relax(void)
{
    linux_sys(SYS_SCHED_YIELD);
}

void arch_send_ipi(unsigned core, enum ipi what)
{
    struct cpu *c = &cpus[core];
    static int pid;
    if (pid == 0)
        pid = (int)linux_sys(SYS_GETPID);
    if (c->tid == 0)
        return;
    if (what == IPI_STOP) {
        linux_sys(SYS_TGKILL, pid, c->tid, SIGNAL_STOP);
        return;
    }
    // pairs: HOST-PENDING
    uint32_t was = atomic_fetch_or_explicit(&c->pending, PENDING_WAKE, memory_order_seq_cst);
    if (was & PENDING_WAKE)
        return;
    if (atomic_load_explicit(&c->asleep, memory_order_seq_cst))
        linux_sys(SYS_FUTEX, &c->pending, FUTEX_WAKE_PRIVATE, 1);
    else
        linux_sys(SYS_TGKILL, pid, c->tid, SIGNAL_WAKE);
}

// No device interrupts by memory writes or wires.

void arch_msi_message(int vector, unsigned core, uint64_t *addr, uint32_t *data)
{
    *addr = 0;
    *data = 0;
}

int arch_irq_route(uint32_t gsi, int vector, unsigned core, bool level, bool active_low)
{
    return -1;
}
