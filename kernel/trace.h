// SPDX-License-Identifier: BSD-2-Clause
// What each core did last: a ring of events per core, written by that core and read by anyone.
//
// Rare events (idling, waking, stealing, preemption, interrupts) are always recorded. Those that
// come with every switch are recorded only while trace_on, as reading the clock would cost a good
// part of a switch. A hook that records nothing costs a compare and a branch not taken.
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "lib/util.h"

enum trace_kind {
    TRACE_NONE,
    TRACE_RUN,        // goroutine arg runs from here on
    TRACE_LEAVE,      // goroutine arg stopped; detail: enum trace_leave
    TRACE_READY,      // goroutine arg was made runnable
    TRACE_SPAWN,      // goroutine arg was made
    TRACE_ENTRY,      // follows TRACE_SPAWN: arg is the address of its function
    TRACE_IDLE,       // gave up P arg, to sleep
    TRACE_ACQUIRE,    // awake with P arg
    TRACE_WAKE,       // woke core arg
    TRACE_STEAL,      // took goroutines from P arg
    TRACE_POLL,       // looked at the network, and there was something
    TRACE_IRQ_TIMER,
    TRACE_IRQ_WAKE,   // another core's
    TRACE_IRQ_DEVICE, // vector arg
    TRACE_KINDS
};

enum trace_leave {
    LEAVE_YIELD,
    LEAVE_EXIT,
    LEAVE_SLICE,   // preempted, its slice was over
    LEAVE_PREEMPT, // preempted for a device, a timer or a request
    LEAVE_BLOCK = 16, // + enum wait_reason
};

struct trace_event {
    int64_t when_ns; // of clock_mono_ns
    enum trace_kind kind;
    unsigned detail;
    uint64_t arg;    // its low 48 bits
};

// Record what comes with every switch. Legal to change at any time; each core sees it soon.
extern _Atomic(bool) trace_on;

// trace.c

// Gives a core its ring, of trace_events= events. Nothing is recorded on a core before. Context:
// boot core, heap ready; the core has not been started.
void trace_init_core(unsigned core);
// Appends to this core's ring. Context: not preemptible, or an interrupt handler.
void trace_event(enum trace_kind kind, unsigned detail, uint64_t arg);
// The same for arch_trace_goroutine: what is a kind and a detail (TRACE_WHAT), arg gp's number; its
// wait reason is added to LEAVE_BLOCK.
void trace_goroutine(const struct g *gp, uint64_t what);
#define TRACE_WHAT(kind, detail) ((uint64_t)(detail) << 8 | (kind))
// The numbers of the first and the last + 1 event that a core's ring holds at the moment.
void trace_range(unsigned core, uint64_t *first, uint64_t *end);
// Event n of a core; false: it has been overwritten. Context: any.
bool trace_get(unsigned core, uint64_t n, struct trace_event *out);

// For events that come with every switch. Context: as trace_event.
static inline __attribute__((always_inline)) void trace_hot(enum trace_kind kind, unsigned detail,
                                                            const struct g *gp)
{
    if (unlikely(arch_flag(&trace_on)))
        arch_trace_goroutine(gp, TRACE_WHAT(kind, detail));
}

#endif
