// SPDX-License-Identifier: BSD-2-Clause
// Stop the others, then power off. The first core to come here decides the status.

#include "kernel/power.h"

#include "arch/arch.h"
#include "kernel/panic.h"
#include "sched/g.h"

void machine_exit(int status)
{
    static _Atomic(bool) ending;
    arch_irq_save();
    if (atomic_exchange_explicit(&ending, true, memory_order_relaxed))
        arch_halt();
    arch_poweroff(status);
}
