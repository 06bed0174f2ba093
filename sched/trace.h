// SPDX-License-Identifier: BSD-2-Clause
// The scheduler's side of traces (kernel/trace.h has the rings).
#ifndef SCHED_TRACE_H
#define SCHED_TRACE_H

#include "kernel/trace.h"
#include "sched/g.h"

// trace.c

// Has the machine's end dump the rings, with trace=1. Context: boot core, before goroutines run.
void trace_init(void);
// Starts the goroutine that trace_ms= asks for. Context: as g_spawn.
void trace_start_dumper(void);
// Dumps as go_trace_dump does; for the end of the machine. Context: any goroutine, or a panic with
// everything else stopped.
void trace_dump(void);
// The last events of every core, for a report. Context: everything else is stopped.
void trace_print_last(void);

// schedtrace.c

// Reads schedtrace=. Context: boot core, before goroutines run.
void schedtrace_init(void);
// Prints the line that is due on m by `now`. Context: g0 of m, with or without a P, no lock held.
void schedtrace_print(struct m *m, int64_t now);

#endif
