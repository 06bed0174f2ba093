// SPDX-License-Identifier: BSD-2-Clause
// Stop the others, then power off. The first core to come here decides the status.

#include "kernel/power.h"

#include "arch/arch.h"
#include "kernel/panic.h"
#include "sched/g.h"

static void (*at_exit)(void); // set at boot

void machine_at_exit(void (*fn)(void))
{
    at_exit = fn;
}

void machine_exit(int status)
{
    static _Atomic(bool) ending;
    if (atomic_exchange_explicit(&ending, true, memory_order_relaxed)) {
        arch_irq_save();
        arch_halt();
    }
    if (at_exit)
        at_exit();
    arch_irq_save();
    arch_poweroff(status);
}
