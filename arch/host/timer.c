// SPDX-License-Identifier: BSD-2-Clause
// The time-stamp counter as clock, as on the bare machine, and a POSIX timer a thread as alarm,
// which sends that thread a signal. The counter's rate comes from a comparison with Linux's clock:
// of several readings at both ends of a pause the tightest is believed.

#include "arch/arch.h"
#include "arch/host/host.h"
#include "kernel/clock.h"
#include "kernel/panic.h"
#include "kernel/print.h"

enum { PAUSE_MS = 5, READINGS = 20 };

static int64_t linux_clock_ns(int clock)
{
    struct linux_timespec ts = { 0 };
    linux_sys(SYS_CLOCK_GETTIME, clock, &ts);
    return ts.sec * 1000000000 + ts.nsec;
}

// The counter at the moment that Linux calls *ns.
static uint64_t paired(int64_t *ns)
{
    uint64_t best = UINT64_MAX, middle = 0;
    for (int i = 0; i < READINGS; i++) {
        uint64_t before = arch_counter();
        int64_t at = linux_clock_ns(LINUX_CLOCK_MONOTONIC);
        uint64_t after = arch_counter();
        if (after - before < best) {
            best = after - before;
            middle = before + best / 2;
            *ns = at;
        }
    }
    return middle;
}

static bool counter_is_steady(void)
{
    uint32_t a = 0x80000007, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return d >> 8 & 1;
}

void arch_clock_init(void)
{
    int64_t ns0, ns1;
    if (!counter_is_steady())
        throw("arch_clock_init: this processor's time-stamp counter changes its rate");
    uint64_t t0 = paired(&ns0);
    linux_sys(SYS_POLL, 0, 0, PAUSE_MS);
    uint64_t t1 = paired(&ns1);
    uint64_t hz = (uint64_t)((unsigned __int128)(t1 - t0) * 1000000000u / (uint64_t)(ns1 - ns0));
    clock_init(hz, linux_clock_ns(LINUX_CLOCK_REALTIME));
    klog("clock: TSC %lu.%03lu MHz by Linux's, alarm by signals", (unsigned long)(hz / 1000000),
         (unsigned long)(hz / 1000 % 1000));
}

int64_t arch_wall_seconds(void)
{
    return linux_clock_ns(LINUX_CLOCK_REALTIME) / 1000000000;
}

// Context: the thread itself.
void host_timer_init(struct cpu *c)
{
    struct linux_sigevent event = {
        .signo = SIGNAL_TIMER, .notify = SIGEV_THREAD_ID, .tid = c->tid,
    };
    long error = linux_sys(SYS_TIMER_CREATE, LINUX_CLOCK_MONOTONIC, &event, &c->timer);
    if (error)
        throw("host_timer_init: Linux has no timer for core %u (error %ld)", c->core, -error);
    c->have_timer = true;
}

void host_timer_soon(struct cpu *c)
{
    struct linux_itimerspec when = { .value = { .nsec = 20000 } };
    linux_sys(SYS_TIMER_SETTIME, c->timer, 0, &when, 0);
}

void arch_timer_arm(int64_t deadline_ns)
{
    struct cpu *c = this_cpu();
    struct linux_itimerspec when = { 0 };
    if (!c->have_timer)
        return;
    if (deadline_ns != INT64_MAX) {
        int64_t in = deadline_ns - clock_mono_ns();
        in = in < 1000 ? 1000 : in > 1000000000 ? 1000000000 : in;
        when.value.sec = in / 1000000000;
        when.value.nsec = in % 1000000000;
    }
    linux_sys(SYS_TIMER_SETTIME, c->timer, 0, &when, 0);
}
