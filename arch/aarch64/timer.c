// SPDX-License-Identifier: BSD-2-Clause
// The generic timer: its virtual counter as clock, its virtual comparator as alarm. The firmware
// says how fast it counts.

#include "arch/arch.h"
#include "arch/aarch64/cpu.h"
#include "kernel/clock.h"
#include "kernel/panic.h"
#include "kernel/print.h"
#include "lib/util.h"

enum { CTL_ENABLE = 1, CTL_MASKED = 2 };

void arch_clock_init(void)
{
    uint64_t hz = sysreg_read(cntfrq_el0) & 0xffffffff;
    if (hz == 0)
        throw("arch_clock_init: the firmware has not said how fast the timer counts");
    clock_init(hz, arch_wall_seconds() * 1000000000);
    timer_init_core();
    klog("clock: generic timer, %lu.%03lu MHz", (unsigned long)(hz / 1000000),
         (unsigned long)(hz / 1000 % 1000));
}

void timer_irq_off(void)
{
    sysreg_write(cntv_ctl_el0, CTL_MASKED);
    isb();
}

void timer_init_core(void)
{
    timer_irq_off();
}

void arch_timer_arm(int64_t deadline_ns)
{
    if (deadline_ns == INT64_MAX) {
        timer_irq_off();
        return;
    }
    int64_t in = deadline_ns - clock_mono_ns();
    in = in < 1000 ? 1000 : MIN(in, (int64_t)1000000000 * 3600);
    sysreg_write(cntv_cval_el0, arch_counter() + clock_ns_to_cycles(in) + 1);
    sysreg_write(cntv_ctl_el0, CTL_ENABLE);
    isb();
}
