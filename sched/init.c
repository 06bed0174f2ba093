// SPDX-License-Identifier: BSD-2-Clause
// Bringing the scheduler up: Ps, Ms, the main goroutine.

#include <heddle/go.h>

#include <arch_layout.h>

#include "kernel/cmdline.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/print.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "sched/trace.h"

static void make_p(unsigned n)
{
    struct p *p = heap_aligned_alloc(CACHE_LINE, sizeof(*p));
    if (!p)
        throw("sched_init: no memory for P %u", n);
    *p = (struct p){ .id = n };
    atomic_store_explicit(&p->guard, &ms[n], memory_order_relaxed);
    timers_init(p);
    ps[n] = p;
}

static unsigned gcd(unsigned a, unsigned b)
{
    return b == 0 ? a : gcd(b, a % b);
}

void sched_set_p_count(unsigned n)
{
    atomic_store_explicit(&sched.n_p, n, memory_order_relaxed);
    sched.n_coprimes = 0;
    for (unsigned i = 1; i <= n; i++)
        if (gcd(i, n) == 1)
            sched.coprimes[sched.n_coprimes++] = (uint8_t)i;
}

static void init_m(unsigned n)
{
    struct m *m = &ms[n];
    m->id = n;
    m->rand_state = 0x85ebca6bu * (n + 1) | 1;
    m->hw_deadline_ns = INT64_MAX;
    m->tick_ns = INT64_MAX;
    m->schedtrace_ns = INT64_MAX;
    trace_init_core(n);
}

// The scheduling stack of another core.
static bool make_g0(struct m *m)
{
    struct g *g0 = heap_zalloc(sizeof(*g0));
    uintptr_t top = g0 ? stack_alloc_kernel(G0_STACK_PAGES) : 0;
    if (!top)
        return false;
    g0->stack_top = top;
    g0->stack_lo = top - G0_STACK_PAGES * 4096;
    g0->name = "g0";
    g0->m = m;
    atomic_store_explicit(&g0->status, G_RUNNING, memory_order_relaxed);
    m->g0 = g0;
    return true;
}

// Context: boot core on its first stack; m 0 and its g0 exist already.
void sched_init(unsigned cores)
{
    spin_init(&sched.lock, LOCK_SCHED);
    stack_init();
    sched.slice_ns = cmdline_number("slice_us", 10000, 50, 10000000) * 1000;
    for (unsigned n = 0; n < cores; n++) {
        make_p(n);
        init_m(n);
    }
    trace_init();
    schedtrace_init();
    sched.n_m = 1;
    sched_set_p_count(1);
    page_on_pressure_wake(wake_sleepers);
    acquirep(&ms[0], ps[0]);
}

static _Atomic(bool) counted; // how many cores there are is known. pairs: CORES-COUNTED

// Where another core begins. How many Ms and Ps there are is written when all have come up, and
// plainly, so nobody looks before.
static void core_main(void)
{
    // pairs: CORES-COUNTED
    while (!atomic_load_explicit(&counted, memory_order_acquire))
        arch_relax();
    m_main();
}

static void start_cores(unsigned cores)
{
    unsigned up = 1;
    for (unsigned n = 1; n < cores; n++) {
        struct m *m = &ms[n];
        if (!make_g0(m) || !heap_init_core(n) || !arch_cpu_alloc(n)) {
            klog("core %u: no memory for it; %u cores run", n, up);
            break;
        }
        // Ms are numbered without gaps: a core that does not come up ends the list.
        if (!arch_start_core(n, m, core_main)) {
            klog("core %u: did not come up; %u cores run", n, up);
            break;
        }
        up++;
    }
    sched.n_m = up;
    sched_set_p_count(up);
    for (unsigned n = 1; n < up; n++) {
        ms[n].oldp = ps[n];
        atomic_fetch_or_explicit(&sched.idle_p, (uint64_t)1 << n, memory_order_seq_cst);
    }
    // pairs: CORES-COUNTED
    atomic_store_explicit(&counted, true, memory_order_release);
}

static struct {
    void (*fn)(void *);
    void *arg;
    unsigned cores;
} start;

static void start_on_g0(void)
{
    start_cores(start.cores);
    arch_irq_enable();
    if (!g_spawn("main", (size_t)1 << 20, start.fn, start.arg, false))
        throw("sched_start: no memory for the main goroutine");
    schedule();
}

void sched_start(void (*fn)(void *), void *arg)
{
    start.fn = fn;
    start.arg = arg;
    start.cores = arch_core_count();
    // The boot stack has no guard page; the boot core goes on as every other, on a g0 stack.
    struct g *g0 = ms[0].g0;
    if (!arch_cpu_alloc(0))
        throw("sched_start: no memory for the boot core's stacks");
    arch_cpu_init(&ms[0]);
    uintptr_t top = stack_alloc_kernel(G0_STACK_PAGES);
    if (!top)
        throw("sched_start: no memory for the boot core's g0");
    g0->stack_top = top;
    g0->stack_lo = top - G0_STACK_PAGES * 4096;
    arch_call_on_stack(top, start_on_g0);
}
