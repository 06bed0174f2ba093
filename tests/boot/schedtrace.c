// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 kopts="schedtrace=10 slice_us=1000"
// test: expect="(?s)^SCHED \d+ms: gomaxprocs=(\d) idleprocs=\1 threads=\1 spinningthreads=0"
// test: expect+="idlethreads=\1 runqueue=0 \[0( 0)*\]\n.*^computing\n.*^SCHED \d+ms:"
// test: expect+="gomaxprocs=\1 idleprocs=0 threads=\1 spinningthreads=\d idlethreads=0"
// test: expect+="runqueue=\d+ \[\d( \d)*\]\n"
// The lines of schedtrace=: an idle machine shows as idle, a computing one as busy, and the lines
// go on although no goroutine ever gives way.

#include "check.h"

static void computes(void *unused)
{
    for (;;)
        __asm__ volatile("");
}

// Sleeps until `lines` more have been printed.
static void see(int lines)
{
    for (; lines > 0; lines--) {
        int64_t due = ms[0].schedtrace_ns;
        while (ms[0].schedtrace_ns == due)
            time_sleep(50 * TIME_MS);
    }
}

int main(void)
{
    check(ms[0].schedtrace_ns != INT64_MAX);
    see(3);
    printf("computing\n");
    for (int i = 0; i < 2 * go_numcpu(); i++)
        go(computes, NULL);
    see(3);
    return 0;
}
