// SPDX-License-Identifier: BSD-2-Clause
// Traces: what each core did, event by event. Each core keeps its last events in a ring; a dump
// writes them to the console, where tools/run TRACE=file.json picks them up and turns them into
// a file that Perfetto (ui.perfetto.dev) and chrome://tracing show.
//
// The kernel option trace=1, which TRACE= sets, records from boot on and dumps when the machine
// ends; trace_ms=N dumps N milliseconds after boot as well; trace_events=N is the size of a ring.
#ifndef HEDDLE_TRACE_H
#define HEDDLE_TRACE_H

#pragma GCC visibility push(default)

// Records switches, wake-ups and spawns of goroutines from here on. Without, a ring holds idling,
// stealing, preemption and interrupts only. Does not block.
void go_trace_start(void);

// The opposite. Does not block.
void go_trace_stop(void);

// Writes what has been recorded since the last dump to the console; nothing but rare events is
// recorded meanwhile. 0, or -1 with EBUSY while another goroutine dumps. Takes a second for some
// 100,000 events, during which the calling goroutine can be preempted.
int go_trace_dump(void);

#pragma GCC visibility pop

#endif
