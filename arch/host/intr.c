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
//
// A device is a file. Linux signals a thread when the file becomes ready; turning that off and on
// is the mask of the device's interrupt.

#include "arch/arch.h"
#include "arch/host/host.h"
#include "kernel/irq.h"
#include "sched/sched.h"

enum { MAX_FILES = 16 };

// Files of devices: their vectors, and who they interrupt. A signal does not say which file it is
// for, so all that interrupt its core are looked at.
static struct {
    _Atomic(int) vector; // pairs: HOST-FILES
    unsigned core;
} files[MAX_FILES];

static void dispatch_files(void)
{
    unsigned me = getg()->m->id;
    for (unsigned i = 0; i < MAX_FILES; i++) {
        // pairs: HOST-FILES
        int vector = atomic_load_explicit(&files[i].vector, memory_order_acquire);
        if (vector == 0)
            return;
        if (files[i].core == me)
            irq_dispatch(vector);
    }
}

// Context: the goroutine that starts devices.
bool host_file_route(int fd, int vector, unsigned core)
{
    struct linux_owner owner = { .type = F_OWNER_TID, .id = cpus[core].tid };
    unsigned i = 0;
    while (i < MAX_FILES && atomic_load_explicit(&files[i].vector, memory_order_relaxed) != 0)
        i++;
    if (i == MAX_FILES)
        return false;
    files[i].core = core;
    // pairs: HOST-FILES
    atomic_store_explicit(&files[i].vector, vector, memory_order_release);
    return linux_sys(SYS_FCNTL, fd, F_SETSIG, SIGNAL_IO) == 0 &&
           linux_sys(SYS_FCNTL, fd, F_SETOWN_EX, &owner) == 0 &&
           linux_sys(SYS_FCNTL, fd, F_SETFL, LINUX_O_RDWR | LINUX_O_NONBLOCK) == 0;
}

void host_file_interrupts(int fd, bool on)
{
    linux_sys(SYS_FCNTL, fd, F_SETFL,
              LINUX_O_RDWR | LINUX_O_NONBLOCK | (on ? LINUX_O_ASYNC : 0));
}

bool host_dispatch(uint32_t what)
{
    if (what & PENDING_IO)
        dispatch_files();
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

void host_signal(const struct cpu *c, int sig)
{
    static _Atomic(int) pid; // the same for all, so it does not matter who finds it out
    int mine = atomic_load_explicit(&pid, memory_order_relaxed);
    if (mine == 0) {
        mine = (int)linux_sys(SYS_GETPID);
        atomic_store_explicit(&pid, mine, memory_order_relaxed);
    }
    linux_sys(SYS_TGKILL, mine, c->tid, sig);
}

void arch_send_ipi(unsigned core, enum ipi what)
{
    struct cpu *c = &cpus[core];
    if (c->tid == 0)
        return;
    if (what == IPI_STOP) {
        host_signal(c, SIGNAL_STOP);
        return;
    }
    // pairs: HOST-PENDING
    uint32_t was = atomic_fetch_or_explicit(&c->pending, PENDING_WAKE, memory_order_seq_cst);
    // A core that interrupts itself while interrupts are off finds the bit when it turns them on.
    if ((was & PENDING_WAKE) || (c == this_cpu() && c->irq_off))
        return;
    if (atomic_load_explicit(&c->asleep, memory_order_seq_cst))
        linux_sys(SYS_FUTEX, &c->pending, FUTEX_WAKE_PRIVATE, 1);
    else
        host_signal(c, SIGNAL_WAKE);
}

// There are no interrupts by memory writes or wires.

bool arch_msi_message(uint32_t device, int vector, unsigned core, uint64_t *addr, uint32_t *data)
{
    return false;
}

int arch_irq_route(uint32_t gsi, int vector, unsigned core, bool level, bool active_low)
{
    return -1;
}
