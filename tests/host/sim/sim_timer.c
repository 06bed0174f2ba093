// SPDX-License-Identifier: BSD-2-Clause
// Timers and events of the simulated world. State lives here, found by the timer's address, so
// that a timer that is freed while armed is noticed (sim_timer_within), whatever its memory holds
// by then.
#include <heddle/time.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/clock.h"
#include "kernel/panic.h"
#include "sched/park.h"
#include "sched/timer.h"
#include "tests/host/sim/sim.h"
#include "tests/host/sim/sim_timer.h"

struct entry {
    struct timer *t; // NULL for an event
    int64_t when_ns;
    uint64_t seq;
    void (*fn)(void *);
    void *arg;
    size_t index;  // in heap, plus 1; 0: not armed
    unsigned running;
    struct entry *next; // hash chain
};

#define BUCKETS 65536
static struct entry *table[BUCKETS];
static struct entry **heap;
static size_t heap_n, heap_cap, live;
static uint64_t next_seq;
static unsigned running_now;

static struct entry **slot(const struct timer *t)
{
    struct entry **e = &table[((uintptr_t)t >> 3) * 0x9e3779b97f4a7c15ull >> 48];
    while (*e && (*e)->t != t)
        e = &(*e)->next;
    return e;
}

static bool before(const struct entry *a, const struct entry *b)
{
    return a->when_ns != b->when_ns ? a->when_ns < b->when_ns : a->seq < b->seq;
}

static void place(struct entry *e, size_t i)
{
    heap[i] = e;
    e->index = i + 1;
}

static void sift(size_t i)
{
    struct entry *e = heap[i];
    while (i && before(e, heap[(i - 1) / 2])) {
        place(heap[(i - 1) / 2], i);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t c = 2 * i + 1;
        if (c + 1 < heap_n && before(heap[c + 1], heap[c]))
            c++;
        if (c >= heap_n || !before(heap[c], e))
            break;
        place(heap[c], i);
        i = c;
    }
    place(e, i);
}

static void heap_add(struct entry *e)
{
    if (heap_n == heap_cap) {
        heap_cap = heap_cap ? heap_cap * 2 : 64;
        heap = realloc(heap, heap_cap * sizeof(*heap));
    }
    heap[heap_n++] = e;
    e->index = heap_n;
    sift(heap_n - 1);
}

static void heap_del(struct entry *e)
{
    size_t i = e->index - 1;
    e->index = 0;
    struct entry *last = heap[--heap_n];
    if (last != e) {
        place(last, i);
        sift(i);
    }
}

static void forget_if_idle(struct entry *e)
{
    if (e->index || e->running)
        return;
    struct entry **s = slot(e->t);
    require(*s == e);
    *s = e->next;
    live--;
    free(e);
}

static struct entry *arm(struct timer *t, int64_t when_ns, void (*fn)(void *), void *arg)
{
    struct entry **s = t ? slot(t) : NULL;
    struct entry *e = s ? *s : NULL;
    if (!e) {
        e = calloc(1, sizeof(*e));
        e->t = t;
        if (s) {
            e->next = NULL;
            *s = e;
            live++;
        }
    }
    if (e->index)
        heap_del(e);
    e->when_ns = when_ns;
    e->seq = next_seq++;
    e->fn = fn;
    e->arg = arg;
    heap_add(e);
    return e;
}

void timer_arm(struct timer *t, int64_t when_ns, void (*fn)(void *), void *arg)
{
    arm(t, when_ns, fn, arg);
    sim_point();
}

void timer_arm_vital(struct timer *t, int64_t when_ns, void (*fn)(void *), void *arg)
{
    timer_arm(t, when_ns, fn, arg);
}

bool timer_disarm(struct timer *t)
{
    sim_point();
    struct entry *e = *slot(t);
    if (!e || !e->index)
        return false;
    heap_del(e);
    forget_if_idle(e);
    return true;
}

bool timer_disarm_sync(struct timer *t)
{
    bool pending = timer_disarm(t);
    for (struct entry *e; (e = *slot(t)) && e->running;)
        sim_spin_turn("timer_disarm_sync");
    return pending;
}

void sim_event(int64_t when_ns, void (*fn)(void *), void *arg)
{
    arm(NULL, when_ns, fn, arg);
}

int64_t sim_timer_next(void) { return heap_n ? heap[0]->when_ns : INT64_MAX; }
bool sim_timers_due(int64_t now_ns) { return heap_n && heap[0]->when_ns <= now_ns; }
size_t sim_timers(void) { return live; }
unsigned sim_timers_running(void) { return running_now; }

void sim_timer_fire(int64_t now_ns)
{
    if (!sim_timers_due(now_ns))
        return;
    struct entry *e = heap[0];
    heap_del(e);
    void (*fn)(void *) = e->fn;
    void *arg = e->arg;
    if (!e->t) {
        free(e);
        fn(arg);
        return;
    }
    e->running++;
    running_now++;
    fn(arg);
    running_now--;
    e->running--;
    forget_if_idle(e);
}

bool sim_timer_within(const void *p, size_t n)
{
    if (!live)
        return false;
    // A function that runs may free its own timer.
    for (size_t off = 0; off < n; off += 8) {
        struct entry *e = *slot((const struct timer *)((const char *)p + off));
        if (e && e->index)
            return true;
    }
    return false;
}

static void wake_sleeper(void *arg) { goready_tail(arg); }

struct sleep_arg {
    struct timer t;
    int64_t when_ns;
};

static bool sleep_commit(struct g *gp, void *arg)
{
    struct sleep_arg *s = arg;
    timer_arm(&s->t, s->when_ns, wake_sleeper, gp);
    return true;
}

void time_sleep(int64_t ns)
{
    struct sleep_arg s;
    memset(&s, 0, sizeof(s));
    s.when_ns = sim_now() + ns;
    gopark(sleep_commit, &s, WAIT_SLEEP);
}

int64_t clock_mono_ns(void) { return sim_now(); }
int64_t time_mono(void) { return sim_now(); }
int64_t clock_wall_ns(void) { return 1700000000000000000ll + sim_now(); }
int64_t time_wall(void) { return clock_wall_ns(); }
