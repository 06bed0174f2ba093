// SPDX-License-Identifier: BSD-2-Clause
// schedtrace=MS: every MS milliseconds one line as Go's GODEBUG=schedtrace prints it.
//
// Who prints: the boot core, on its g0, between two goroutines or on its way to sleep. There it
// holds no lock, so waiting for the console's is safe; and when it sleeps it needs no P, so an idle
// machine shows as idle. The due time counts as one of the timers the core guards
// (idle.c:guarded_next): the core's alarm is set for it, and a goroutine that computes is stopped
// for it as for any timer. Nothing is readied or allocated. The figures are read one after another
// without stopping anybody: each was true a moment ago.

#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/print.h"
#include "sched/sched.h"
#include "sched/trace.h"

static int64_t interval_ns; // 0: not asked for. Set before goroutines run

void schedtrace_init(void)
{
    interval_ns = cmdline_number("schedtrace", 0, 0, 1000000) * 1000000;
    ms[0].schedtrace_ns = interval_ns ? clock_mono_ns() + interval_ns : INT64_MAX;
}

static unsigned ones(_Atomic(uint64_t) *mask)
{
    return (unsigned)__builtin_popcountll(atomic_load_explicit(mask, memory_order_relaxed));
}

void schedtrace_print(struct m *m, int64_t now)
{
    // A core that was held up leaves lines out rather than print them late.
    m->schedtrace_ns += (now - m->schedtrace_ns) / interval_ns * interval_ns + interval_ns;
    char line[480];
    int n = ksnprintf(line, sizeof(line),
                      "SCHED %ldms: gomaxprocs=%u idleprocs=%u threads=%u spinningthreads=%u "
                      "idlethreads=%u runqueue=%u [",
                      (long)(now / 1000000), sched.n_p, ones(&sched.idle_p), sched.n_m,
                      atomic_load_explicit(&sched.nmspinning, memory_order_relaxed),
                      ones(&sched.idle_m),
                      atomic_load_explicit(&sched.global_len, memory_order_relaxed));
    for (unsigned i = 0; i < sched.n_p; i++)
        n += ksnprintf(line + n, sizeof(line) - (size_t)n, i ? " %u" : "%u", runq_len(ps[i]));
    kprintf("%s]\n", line);
}
