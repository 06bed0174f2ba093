// SPDX-License-Identifier: BSD-2-Clause
// Writes the rings of kernel/trace.h to the console, for tools/trace and for panic reports.
//
// The format is lines of at most LINE_BYTES, each written by one call, so that what else prints
// comes between two of them; each begins with MARK. What they say stands in tools/trace. The other
// cores run on during a dump: their hot events are turned off, and what they overwrite of the rare
// ones is left out and counted.

#include "sched/trace.h"

#include <errno.h>

#include <heddle/go.h>
#include <heddle/time.h>
#include <heddle/trace.h>

#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/panic.h"
#include "kernel/power.h"
#include "kernel/print.h"
#include "kernel/symtab.h"
#include "sched/sched.h"

#define MARK "\036heddle-trace "
enum { LINE_BYTES = 240, EVENT_BYTES = 40, SEEN_MAX = 64, LAST_EVENTS = 8 };

// One letter per kind, none of them a hexadecimal digit; see tools/trace.
static const char letters[TRACE_KINDS + 1] = "?RLYSNIJKTPQUV";

static _Atomic(bool) dumping;
// Guard: dumping.
static uint64_t dumped[MAX_CORES]; // the first event of each core that no dump has written
static uint64_t seen[SEEN_MAX];    // functions whose names were written
static unsigned n_seen;

static void write_function(uint64_t pc)
{
    const char *file, *func;
    size_t off;
    for (unsigned i = 0; i < n_seen; i++)
        if (seen[i] == pc)
            return;
    if (n_seen < SEEN_MAX)
        seen[n_seen++] = pc;
    if (symtab_lookup((uintptr_t)pc, &file, &func, &off))
        kprintf(MARK "function %lx %.100s\n", (unsigned long)pc, func);
}

// The names of goroutines that live; of others the function is known from when they were made.
static void write_goroutines(void)
{
    for (struct g *gp = g_all(); gp; gp = gp->all_next) {
        const char *file, *func;
        size_t off;
        uint32_t status = atomic_load_explicit(&gp->status, memory_order_relaxed);
        if (status == G_DEAD || status == G_IDLE)
            continue;
        if (gp->name)
            kprintf(MARK "goroutine %lu %.100s\n", (unsigned long)gp->id, gp->name);
        else if (symtab_lookup((uintptr_t)gp->fn, &file, &func, &off))
            kprintf(MARK "goroutine %lu %.100s\n", (unsigned long)gp->id, func);
    }
}

// Event times are relative to the one before on the same line.
static void write_events(unsigned core)
{
    uint64_t first, end, lost = 0;
    trace_range(core, &first, &end);
    if (first > dumped[core])
        lost = first - dumped[core];
    char line[LINE_BYTES];
    int len = 0;
    int64_t at = 0;
    for (uint64_t n = MAX(first, dumped[core]); n < end; n++) {
        struct trace_event e;
        if (!trace_get(core, n, &e)) {
            lost++;
            continue;
        }
        if (e.kind == TRACE_ENTRY)
            write_function(e.arg);
        if (len == 0) {
            at = e.when_ns;
            len = ksnprintf(line, sizeof(line), MARK "events %u %lx", core, (unsigned long)at);
        }
        len += ksnprintf(line + len, sizeof(line) - (size_t)len, " %lx%c%lx",
                         (unsigned long)(e.when_ns - at), letters[e.kind], (unsigned long)e.arg);
        if (e.kind == TRACE_LEAVE)
            len += ksnprintf(line + len, sizeof(line) - (size_t)len, ".%x", e.detail);
        at = e.when_ns;
        if (len > LINE_BYTES - EVENT_BYTES || n + 1 == end) {
            kprintf("%s\n", line);
            len = 0;
        }
    }
    if (len > 0)
        kprintf("%s\n", line);
    kprintf(MARK "core %u lost %lu\n", core, (unsigned long)lost);
    dumped[core] = end;
}

static _Atomic(uint32_t) orders; // to start or stop

void trace_dump(void)
{
    uint32_t before = atomic_load_explicit(&orders, memory_order_relaxed);
    bool on = atomic_exchange_explicit(&trace_on, false, memory_order_relaxed);
    n_seen = 0;
    kprintf(MARK "begin cores=%u procs=%u now=%lx\n", sched.n_m, sched.n_p,
            (unsigned long)clock_mono_ns());
    for (unsigned r = 0; r < WAIT_REASONS; r++)
        kprintf(MARK "reason %x %s\n", LEAVE_BLOCK + r, wait_reason_name((enum wait_reason)r));
    write_goroutines();
    for (unsigned core = 0; core < sched.n_m; core++)
        write_events(core);
    kprintf(MARK "end\n");
    // Unless somebody has started or stopped it meanwhile.
    if (on && atomic_load_explicit(&orders, memory_order_relaxed) == before)
        atomic_store_explicit(&trace_on, true, memory_order_relaxed);
}

int go_trace_dump(void)
{
    // pairs: TRACE-DUMPING
    if (atomic_exchange_explicit(&dumping, true, memory_order_acquire)) {
        errno = EBUSY;
        return -1;
    }
    trace_dump();
    // pairs: TRACE-DUMPING
    atomic_store_explicit(&dumping, false, memory_order_release);
    return 0;
}

void go_trace_start(void)
{
    atomic_fetch_add_explicit(&orders, 1, memory_order_relaxed);
    atomic_store_explicit(&trace_on, true, memory_order_relaxed);
}

void go_trace_stop(void)
{
    atomic_fetch_add_explicit(&orders, 1, memory_order_relaxed);
    atomic_store_explicit(&trace_on, false, memory_order_relaxed);
}

// Another goroutine's dump comes to its end first. Context: a goroutine, as is whoever calls exit.
static void dump_at_end(void)
{
    while (go_trace_dump() < 0)
        go_yield();
}

void trace_init(void)
{
    if (atomic_load_explicit(&trace_on, memory_order_relaxed))
        machine_at_exit(dump_at_end);
}

static void dump_later(void *unused)
{
    time_sleep((int64_t)(uintptr_t)unused - time_mono());
    go_trace_dump();
}

void trace_start_dumper(void)
{
    int64_t after_ms = cmdline_number("trace_ms", 0, 0, 100000000);
    if (after_ms && !g_spawn("trace", STACK_DEFAULT, dump_later,
                             (void *)(uintptr_t)(after_ms * TIME_MS), true))
        throw("trace_start_dumper: no memory for its goroutine");
}

// ---- for reports ----

static void print_event(const struct trace_event *e, int64_t now)
{
    static const char *const what[TRACE_KINDS] = {
        [TRACE_RUN] = "run goroutine", [TRACE_READY] = "ready goroutine",
        [TRACE_SPAWN] = "new goroutine", [TRACE_IDLE] = "idle, left P",
        [TRACE_ACQUIRE] = "awake with P", [TRACE_WAKE] = "wake core",
        [TRACE_STEAL] = "steal from P", [TRACE_POLL] = "poll",
        [TRACE_IRQ_TIMER] = "timer interrupt", [TRACE_IRQ_WAKE] = "wake interrupt",
        [TRACE_IRQ_DEVICE] = "device interrupt",
    };
    static const char *const why[LEAVE_BLOCK] = {
        [LEAVE_YIELD] = "yields", [LEAVE_EXIT] = "ends", [LEAVE_SLICE] = "has used up its slice",
        [LEAVE_PREEMPT] = "is preempted",
    };
    if (e->kind == TRACE_ENTRY || e->kind == TRACE_NONE)
        return;
    unsigned long us = (unsigned long)((now - e->when_ns) / 1000);
    kprintf("\t-%lu.%06lu s  ", us / 1000000, us % 1000000);
    if (e->kind == TRACE_LEAVE && e->detail >= LEAVE_BLOCK)
        kprintf("goroutine %lu waits: %s\n", (unsigned long)e->arg,
                wait_reason_name((enum wait_reason)(e->detail - LEAVE_BLOCK)));
    else if (e->kind == TRACE_LEAVE)
        kprintf("goroutine %lu %s\n", (unsigned long)e->arg, why[e->detail]);
    else if (e->kind == TRACE_IRQ_TIMER || e->kind == TRACE_IRQ_WAKE || e->kind == TRACE_POLL)
        kprintf("%s\n", what[e->kind]);
    else
        kprintf("%s %lu\n", what[e->kind], (unsigned long)e->arg);
}

void trace_print_last(void)
{
    int64_t now = clock_mono_ns();
    for (unsigned core = 0; core < sched.n_m; core++) {
        uint64_t first, end;
        trace_range(core, &first, &end);
        if (first == end)
            continue;
        kprintf("\ncore %u, its last events:\n", core);
        struct trace_event e;
        for (uint64_t n = end - MIN(end - first, LAST_EVENTS); n < end; n++)
            if (trace_get(core, n, &e))
                print_event(&e, now);
    }
}
