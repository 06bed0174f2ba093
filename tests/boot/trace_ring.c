// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=120 kopts="trace=1 trace_events=64 slice_us=50"
// test: expect="trace_ring: [1-9][0-9]* events read"
// Rings of 64 events while every core switches, is interrupted and preempted all the time: whoever
// reads them gets events that were recorded whole, in order, or is told that they are gone.

#include "check.h"

#include "kernel/trace.h"

static _Atomic(bool) over;

static void yields(void *unused)
{
    while (!atomic_load(&over))
        go_yield();
}

static void computes(void *unused)
{
    while (!atomic_load(&over))
        __asm__ volatile("");
}

struct seen {
    uint64_t next;      // number of the event after the last one read
    int64_t when_ns;
    uint64_t running;   // as RUN and LEAVE have it, 0: nobody, or not known after a gap
};

// What is true of an event for itself.
static void check_event(const struct trace_event *e)
{
    check(e->kind > TRACE_NONE && e->kind < TRACE_KINDS);
    check(e->when_ns > 0 && e->when_ns < time_mono() + TIME_S);
    if (e->kind == TRACE_RUN || e->kind == TRACE_LEAVE || e->kind == TRACE_READY)
        check(e->arg > 0 && e->arg < 1000);
    if (e->kind == TRACE_LEAVE)
        check(e->detail <= LEAVE_PREEMPT ||
              (e->detail > LEAVE_BLOCK && e->detail < LEAVE_BLOCK + WAIT_REASONS));
    else
        check(e->detail == 0);
    if (e->kind == TRACE_WAKE || e->kind == TRACE_STEAL || e->kind == TRACE_ACQUIRE)
        check(e->arg < sched.n_m);
}

// What is true of it after the one before it on the same core.
static void check_order(struct seen *s, const struct trace_event *e, bool gap)
{
    check(e->when_ns >= s->when_ns);
    s->when_ns = e->when_ns;
    if (gap)
        s->running = 0;
    if (e->kind == TRACE_RUN) {
        check(s->running == 0);
        s->running = e->arg;
    } else if (e->kind == TRACE_LEAVE) {
        check(s->running == 0 || s->running == e->arg);
        s->running = 0;
    }
}

static unsigned read_core(unsigned core, struct seen *s)
{
    uint64_t first, end;
    unsigned n = 0;
    trace_range(core, &first, &end);
    check(end - first <= 64);
    bool gap = first > s->next;
    for (uint64_t i = MAX(first, s->next); i < end; i++) {
        struct trace_event e;
        if (!trace_get(core, i, &e)) {
            gap = true;
            continue;
        }
        check_event(&e);
        check_order(s, &e, gap);
        gap = false;
        s->next = i + 1;
        n++;
    }
    return n;
}

int main(void)
{
    static struct seen seen[MAX_CORES];
    for (int i = 0; i < 2 * go_numcpu(); i++) {
        go(yields, NULL);
        go(computes, NULL);
    }
    unsigned long n = 0;
    for (int round = 0; round < 3000; round++) {
        for (unsigned core = 0; core < sched.n_m; core++)
            n += read_core(core, &seen[core]);
        if (round % 16 == 0)
            time_sleep(20 * TIME_US);
    }
    atomic_store(&over, true);
    go_trace_stop();
    printf("trace_ring: %lu events read\n", n);
    return 0;
}
