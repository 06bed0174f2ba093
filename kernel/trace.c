// SPDX-License-Identifier: BSD-2-Clause
// The rings behind trace.h. A slot is written by its core alone: time, then word, then the ring's
// position moves on.
//
// Interrupts: a handler may record between any two instructions of trace_event on the same core. If
// that falls between reading the position and moving it, both wrote the same slot and one of the
// two events is lost; a slot may then hold the handler's time and the other's word, which is right
// within the length of a handler. The position is read before the clock, so times never go back.
//
// Readers on other cores copy a slot and then look at the position: slot n is overwritten by event
// n + size, which its writer begins when the position is n + size or later. Each store is a
// release, so a reader that has seen something of that event also sees such a position. pairs:
// TRACE-POS

#include "kernel/trace.h"

#include "arch/arch.h"
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/heap.h"
#include "kernel/panic.h"
#include "sched/g.h"

enum { EVENTS = 256, EVENTS_TRACING = 1 << 16, EVENTS_MAX = 1 << 24 };

struct slot {
    _Atomic(uint64_t) time; // of arch_counter
    _Atomic(uint64_t) word; // arg << 16 | TRACE_WHAT
};

struct trace_ring {
    _Atomic(uint64_t) pos; // events ever recorded
    struct slot slots[];
};

_Atomic(bool) trace_on;
// Both are set before the core runs.
static uint64_t mask; // of an event's number: its slot
static struct trace_ring *rings[MAX_CORES];

void trace_init_core(unsigned core)
{
    if (mask == 0) {
        bool on = cmdline_number("trace", 0, 0, 1) != 0;
        int64_t n = cmdline_number("trace_events", on ? EVENTS_TRACING : EVENTS, 16, EVENTS_MAX);
        mask = ((uint64_t)2 << (63 - __builtin_clzll((uint64_t)n - 1))) - 1;
        atomic_store_explicit(&trace_on, on, memory_order_relaxed);
    }
    struct trace_ring *r = heap_zalloc(sizeof(*r) + (mask + 1) * sizeof(r->slots[0]));
    if (!r)
        throw("trace_init_core: no memory for %lu events of core %u; see trace_events=",
              (unsigned long)(mask + 1), core);
    rings[core] = r;
}

void trace_event(enum trace_kind kind, unsigned detail, uint64_t arg)
{
    struct trace_ring *r = rings[getg()->m->id];
    if (unlikely(!r))
        return;
    uint64_t n = atomic_load_explicit(&r->pos, memory_order_relaxed);
    barrier();
    struct slot *s = &r->slots[n & mask];
    // pairs: TRACE-POS
    atomic_store_explicit(&s->time, arch_counter(), memory_order_release);
    atomic_store_explicit(&s->word, arg << 16 | TRACE_WHAT(kind, detail), memory_order_release);
    atomic_store_explicit(&r->pos, n + 1, memory_order_release);
}

void trace_goroutine(const struct g *gp, uint64_t what)
{
    unsigned detail = (unsigned)(what >> 8);
    if (detail == LEAVE_BLOCK)
        detail += gp->wait_reason;
    trace_event((enum trace_kind)(what & 0xff), detail, gp->id);
    if (what == TRACE_WHAT(TRACE_SPAWN, 0))
        trace_event(TRACE_ENTRY, 0, (uintptr_t)gp->fn);
}

void trace_range(unsigned core, uint64_t *first, uint64_t *end)
{
    struct trace_ring *r = rings[core];
    // pairs: TRACE-POS
    *end = r ? atomic_load_explicit(&r->pos, memory_order_acquire) : 0;
    // The oldest slot may be the one that is being written.
    *first = *end > mask ? *end - mask : 0;
}

bool trace_get(unsigned core, uint64_t n, struct trace_event *out)
{
    struct trace_ring *r = rings[core];
    struct slot *s = &r->slots[n & mask];
    uint64_t time = atomic_load_explicit(&s->time, memory_order_relaxed);
    uint64_t word = atomic_load_explicit(&s->word, memory_order_relaxed);
    // pairs: TRACE-POS
    atomic_thread_fence(memory_order_acquire);
    if (n + mask + 1 <= atomic_load_explicit(&r->pos, memory_order_relaxed))
        return false;
    *out = (struct trace_event){
        .when_ns = clock_counter_ns(time),
        .kind = (enum trace_kind)(word & 0xff),
        .detail = word >> 8 & 0xff,
        .arg = word >> 16,
    };
    return true;
}
