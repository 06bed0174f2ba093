// SPDX-License-Identifier: BSD-2-Clause
// The explored machine: cores, their interrupts and timers, stacks and switches, memory, time.
//
// One core runs at a time, on whatever stack it is on. At an atomic access it may go on or give way
// to another, as the seed decides: by chance (even seeds), or by priorities that change at a few
// places (odd seeds), which finds what needs few but unlikely switches. Accesses take effect in the
// order of execution, with one exception: a store that is not sequentially consistent may stay in
// its core's buffer for a while, visible to that core alone, in order (total store order, as on
// x86; plain and relaxed accesses are not delayed).
//
// Interrupts come at such a point if the core has them on: the timer when it is due, IPIs, and the
// device's. Time passes a little with each access and jumps when all cores sleep. A machine that
// sleeps with nothing to wake it, or that does not end, has failed; so has one that throws.
//
// Each seed is a process of its own: the state of the scheduler is in variables of its files.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "arch/arch.h"
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/print.h"
#include "kernel/trace.h"
#include "sched/sched.h"
#include "sched/trace.h"

enum { CORES_MAX = 4, STACK = 96 << 10, BUFFER = 8, TRACE = 64, DEVICES = 16 };
enum { STEP_NS = 5, RELAX_NS = 100, STEPS_MAX = 400000, CHANGES = 3, PCT_STEPS = 4000 };
enum { SLICE_FOR_EVER_US = 10000000 };

struct fibre {
    jmp_buf base;   // at its very beginning, ready to call start()
    jmp_buf resume; // where arch_mcall left it
    void (*start)(void);
    ucontext_t first, back;
    struct fibre *next;
    _Alignas(64) char stack[STACK];
};

struct store {
    char *to;
    size_t n;
    uint64_t value;
};

struct core {
    jmp_buf go_on; // while another core runs
    struct g *g;
    bool up, halted, irq_on;
    bool ipi;
    int64_t deadline_ns;
    void (*call)(struct g *gp); // of arch_mcall, on its way to g0
    struct g *call_arg;
    struct store buffer[BUFFER];
    unsigned buffered;
    int priority;
};

struct device_irq {
    int64_t when_ns;
    unsigned core;
    void (*fn)(void *);
    void *arg;
};

struct g *host_g;
_Atomic(bool) page_reserve_full[MAX_CORES];

static struct core cores[CORES_MAX];
static struct core *cur = &cores[0];
static unsigned n_cores;
static struct fibre *fibres;
static struct device_irq irqs[DEVICES];
static unsigned n_irqs;
static bool running; // points are choices
static int64_t now_ns;
static uint64_t steps, random_state, change_at[CHANGES];
static int lowest;
static struct {
    unsigned seed, odds, delay; // one chance in so many that a core gives way, a store goes out
    bool pct, tso;
    int64_t slice_us;
    const struct scenario *scenario;
} how;
static struct {
    const char *at;
    int line;
    unsigned core;
    uint64_t g;
} trace[TRACE];

uint32_t explore_choose(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(((random_state >> 32) * n) >> 32);
}

// ---- the end ----

static void report(const char *fmt, va_list ap)
{
    running = false;
    fprintf(stderr, "seed=%u (%s, %u cores, %s): ", how.seed, how.scenario->name, n_cores,
            how.pct ? "priorities" : "chance");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\nafter %llu steps, %lld ns; the last of them:\n", (unsigned long long)steps,
            (long long)now_ns);
    for (uint64_t i = steps > TRACE ? steps - TRACE : 0; i < steps; i++)
        fprintf(stderr, "  core %u G %llu %s:%d\n", trace[i % TRACE].core,
                (unsigned long long)trace[i % TRACE].g, trace[i % TRACE].at, trace[i % TRACE].line);
    for (struct g *gp = g_all(); gp; gp = gp->all_next)
        fprintf(stderr, "  G %llu state %u %s\n", (unsigned long long)gp->id,
                (unsigned)gp->status, wait_reason_name(gp->wait_reason));
    fflush(stderr);
    _exit(1);
}

_Noreturn void explore_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report(fmt, ap);
    _exit(1);
}

_Noreturn void throw(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report(fmt, ap);
    _exit(1);
}

_Noreturn void fatal_panic(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report(fmt, ap);
    _exit(1);
}

_Noreturn void explore_done(void) { _exit(0); }

// ---- stores ----

static void drain_one(struct core *c)
{
    memcpy(c->buffer[0].to, &c->buffer[0].value, c->buffer[0].n);
    c->buffered--;
    memmove(&c->buffer[0], &c->buffer[1], c->buffered * sizeof(c->buffer[0]));
}

static void drain(struct core *c)
{
    while (c->buffered)
        drain_one(c);
}

// ---- who goes on ----

static bool interrupted(const struct core *c)
{
    if (c->ipi || now_ns >= c->deadline_ns)
        return true;
    for (unsigned i = 0; i < n_irqs; i++)
        if (&cores[irqs[i].core] == c && now_ns >= irqs[i].when_ns)
            return true;
    return false;
}

static bool can_run(const struct core *c) { return c->up && (!c->halted || interrupted(c)); }

// Any core but `not`, by chance or priority; NULL: none can run.
static struct core *choose_core(const struct core *not)
{
    struct core *best = NULL;
    unsigned n = 0;
    for (struct core *c = cores; c < cores + n_cores; c++) {
        if (c == not || !can_run(c))
            continue;
        if (how.pct ? !best || c->priority > best->priority : explore_choose(++n) == 0)
            best = c;
    }
    return best;
}

static __attribute__((noinline)) void go_to(struct core *c)
{
    if (c == cur)
        return;
    cur->g = host_g;
    if (_setjmp(cur->go_on) != 0)
        return;
    cur = c;
    host_g = c->g;
    _longjmp(c->go_on, 1);
}

// One of the interrupts that wait, if the core has them on.
static void interrupt(void)
{
    struct core *c = cur;
    if (!c->irq_on || !interrupted(c))
        return;
    c->irq_on = false;
    unsigned i = 0;
    while (i < n_irqs && (&cores[irqs[i].core] != c || now_ns < irqs[i].when_ns))
        i++;
    if (i < n_irqs) {
        struct device_irq irq = irqs[i];
        irqs[i] = irqs[--n_irqs];
        irq.fn(irq.arg);
    } else if (c->ipi) {
        c->ipi = false;
        preempt_wake_irq();
    } else {
        c->deadline_ns = INT64_MAX;
        preempt_timer_irq();
    }
    bool stop = preempt_irq_exit();
    c->irq_on = true;
    if (stop)
        preempt_park();
}

static void note(const char *at, int line)
{
    unsigned i = steps++ % TRACE;
    trace[i].at = at;
    trace[i].line = line;
    trace[i].core = (unsigned)(cur - cores);
    trace[i].g = host_g->id;
    if (steps > STEPS_MAX)
        explore_fail("it does not end");
}

static void change_core(bool give_way)
{
    if (how.pct) {
        for (unsigned i = 0; i < CHANGES; i++)
            give_way |= steps == change_at[i];
        if (give_way)
            cur->priority = --lowest;
        struct core *best = choose_core(NULL);
        if (best)
            go_to(best);
        return;
    }
    if (!give_way && explore_choose(how.odds) != 0)
        return;
    struct core *other = choose_core(cur);
    if (other)
        go_to(other);
}

void explore_point(const char *at, int line)
{
    if (!running)
        return;
    note(at, line);
    now_ns += STEP_NS;
    struct core *c = &cores[explore_choose(n_cores)];
    if (c->buffered && explore_choose(how.delay) == 0)
        drain_one(c);
    change_core(false);
    if (explore_choose(3) == 0)
        interrupt();
}

void explore_relax(const char *at, int line)
{
    if (!running)
        return;
    note(at, line);
    now_ns += RELAX_NS;
    drain(&cores[explore_choose(n_cores)]);
    change_core(true);
    interrupt();
}

void explore_fence(const char *at, int line)
{
    explore_point(at, line);
    drain(cur);
}

void explore_load(const void *from, void *to, size_t n, const char *at, int line)
{
    explore_point(at, line);
    memcpy(to, from, n);
    for (unsigned i = 0; i < cur->buffered; i++)
        if (cur->buffer[i].to == from && cur->buffer[i].n == n)
            memcpy(to, &cur->buffer[i].value, n);
}

void explore_store(void *to, const void *from, size_t n, int order, const char *at, int line)
{
    explore_point(at, line);
    bool delay = running && how.tso && order == memory_order_release && cur->buffered < BUFFER;
    if (!delay) {
        if (order != memory_order_relaxed)
            drain(cur);
        memcpy(to, from, n);
        return;
    }
    struct store *s = &cur->buffer[cur->buffered++];
    s->to = to;
    s->n = n;
    memcpy(&s->value, from, n);
}

// ---- interrupts and sleep ----

bool explore_irq_save(void)
{
    bool was = cur->irq_on;
    cur->irq_on = false;
    return was;
}

void explore_irq_enable(void)
{
    cur->irq_on = true;
    explore_point("arch_irq_enable", 0);
}

// Nothing runs: the clock moves to what comes next.
static void jump(void)
{
    int64_t next = INT64_MAX;
    for (unsigned i = 0; i < n_cores; i++)
        next = MIN(next, cores[i].deadline_ns);
    for (unsigned i = 0; i < n_irqs; i++)
        next = MIN(next, irqs[i].when_ns);
    if (next == INT64_MAX)
        explore_fail("every core sleeps, and nothing will wake one");
    now_ns = MAX(now_ns, next);
}

void explore_idle(void)
{
    struct core *c = cur;
    note("arch_idle", 0);
    drain(c);
    c->halted = true;
    while (!interrupted(c)) {
        struct core *other = choose_core(c);
        if (other)
            go_to(other);
        else
            jump();
    }
    c->halted = false;
    c->irq_on = true;
    interrupt();
    c->irq_on = false;
}

void arch_send_ipi(unsigned core, enum ipi what)
{
    explore_fence("arch_send_ipi", (int)core);
    require(what == IPI_WAKE);
    cores[core].ipi = true;
}

void arch_timer_arm(int64_t deadline_ns) { cur->deadline_ns = deadline_ns; }

void explore_interrupt(int64_t ns, void (*fn)(void *), void *arg)
{
    require(n_irqs < DEVICES);
    irqs[n_irqs++] = (struct device_irq){ now_ns + ns, explore_choose(n_cores), fn, arg };
}

uint64_t explore_counter(void) { return (uint64_t)now_ns; }

int64_t clock_mono_ns(void)
{
    explore_point("clock", 0);
    return now_ns;
}

int64_t clock_wall_ns(void) { return now_ns; }

// ---- stacks and switches ----

static struct fibre *being_made;

static void fibre_main(void)
{
    struct fibre *f = being_made;
    if (_setjmp(f->base) == 0)
        swapcontext(&f->first, &f->back);
    f->start();
    abort();
}

static struct fibre *fibre_new(void)
{
    struct fibre *f = aligned_alloc(64, sizeof(*f));
    getcontext(&f->first);
    f->first.uc_stack.ss_sp = f->stack;
    f->first.uc_stack.ss_size = STACK;
    f->first.uc_link = NULL;
    makecontext(&f->first, fibre_main, 0);
    being_made = f;
    swapcontext(&f->back, &f->first);
    f->next = fibres;
    return fibres = f;
}

static struct fibre *fibre_at(uintptr_t top)
{
    for (struct fibre *f = fibres; f; f = f->next)
        if (top == (uintptr_t)f->stack + STACK)
            return f;
    abort();
}

unsigned stack_class_of(size_t max) { return max <= STACK_DEFAULT ? STACK_DEFAULT_CLASS : 6; }

bool stack_alloc(struct g *gp, size_t max)
{
    gp->stack_top = (uintptr_t)fibre_new()->stack + STACK;
    gp->stack_class = (uint8_t)stack_class_of(max);
    return true;
}

uintptr_t stack_alloc_kernel(unsigned pages) { return (uintptr_t)fibre_new()->stack + STACK; }

void arch_init_context(struct g *gp, void (*entry)(void))
{
    struct fibre *f = fibre_at(gp->stack_top);
    f->start = entry;
    memcpy(f->resume, f->base, sizeof(f->base));
}

static void called(void)
{
    cur->call(cur->call_arg);
    abort();
}

static _Noreturn void to_g0(void (*fn)(struct g *), struct g *gp)
{
    struct g *g0 = gp->m->g0;
    cur->call = fn;
    cur->call_arg = gp;
    setg(g0);
    struct fibre *f = fibre_at(g0->stack_top);
    f->start = called;
    _longjmp(f->base, 1);
}

__attribute__((noinline)) void arch_mcall(void (*fn)(struct g *gp))
{
    struct g *gp = getg();
    gp->preempt_off++;
    explore_point("arch_mcall", 0);
    gp->preempt_off--;
    if (_setjmp(fibre_at(gp->stack_top)->resume) == 0)
        to_g0(fn, gp);
}

_Noreturn void arch_gogo(struct g *gp)
{
    struct m *m = getg()->m;
    explore_point("arch_gogo", 0);
    setg(gp);
    if (m->resched)
        to_g0(preempt_m, gp);
    _longjmp(fibre_at(gp->stack_top)->resume, 1);
}

_Noreturn void arch_call_on_stack(uintptr_t top, void (*fn)(void))
{
    struct fibre *f = fibre_at(top);
    f->start = fn;
    _longjmp(f->base, 1);
}

__attribute__((noinline)) int arch_setjmp(struct arch_jmp *j) { return 0; }
_Noreturn void arch_longjmp(struct arch_jmp *j) { explore_fail("a panic was caught"); }

static void core_starts(void)
{
    void (*entry)(struct g *) = cur->call;
    entry(NULL);
}

bool arch_start_core(unsigned n, struct m *m, void (*entry)(void))
{
    struct fibre *f = fibre_at(m->g0->stack_top);
    cores[n].g = m->g0;
    cores[n].call = (void (*)(struct g *))(void *)entry;
    f->start = core_starts;
    memcpy(cores[n].go_on, f->base, sizeof(f->base));
    cores[n].up = true;
    return true;
}

// ---- what else the scheduler asks of the kernel ----

unsigned arch_core_count(void) { return n_cores; }
bool arch_cpu_alloc(unsigned core) { return true; }
void arch_cpu_init(struct m *m) {}
bool heap_init_core(unsigned core) { return true; }
void page_reserve_refill(void) {}
void stack_init(void) {}
bool page_scarce(void) { return false; }
void page_on_pressure_wake(void (*wake)(void)) {}
void klog(const char *fmt, ...) {}
_Atomic(bool) trace_on;
void trace_init_core(unsigned core) {}
void trace_init(void) {}
void trace_event(enum trace_kind kind, unsigned detail, uint64_t arg) {}
void schedtrace_init(void) {}
void schedtrace_print(struct m *m, int64_t now_ns) {}

int64_t cmdline_number(const char *key, int64_t otherwise, int64_t min, int64_t max)
{
    return strcmp(key, "slice_us") == 0 ? how.slice_us : otherwise;
}

int kvsnprintf(char *buf, size_t n, const char *fmt, va_list ap)
{
    return vsnprintf(buf, n, fmt, ap);
}

int ksnprintf(char *buf, size_t n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = vsnprintf(buf, n, fmt, ap);
    va_end(ap);
    return r;
}

// Freed memory is overwritten and not used again, so that whoever still reads it goes astray.
struct block {
    size_t n;
    _Alignas(64) char data[];
};

void *heap_alloc(size_t n)
{
    struct block *b = aligned_alloc(64, (sizeof(*b) + n + 63) & ~(size_t)63);
    b->n = n;
    return b->data;
}

void *heap_zalloc(size_t n) { return memset(heap_alloc(n), 0, n); }
void *heap_aligned_alloc(size_t align, size_t n) { return heap_alloc(n); }

void heap_free(void *p)
{
    if (p)
        memset(p, 0xdf, container_of(p, struct block, data)->n);
}

// ---- seeds ----

static _Noreturn void run_seed(unsigned seed, const struct scenario *all, unsigned n)
{
    static struct g boot_g0;
    how.seed = seed;
    how.scenario = &all[seed % n];
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
    explore_choose(2);
    n_cores = 2 + explore_choose(2);
    how.pct = explore_choose(2);
    how.tso = explore_choose(2);
    how.delay = 2u << explore_choose(6);
    how.odds = 2u << explore_choose(5);
    how.slice_us = explore_choose(2) ? 50 : SLICE_FOR_EVER_US;
    for (unsigned i = 0; i < CHANGES; i++)
        change_at[i] = explore_choose(PCT_STEPS);
    for (unsigned i = 0; i < CORES_MAX; i++) {
        cores[i].deadline_ns = INT64_MAX;
        cores[i].priority = (int)explore_choose(1000) + 1;
        atomic_init(&page_reserve_full[i], true);
    }
    cores[0].up = true;
    ms[0].g0 = &boot_g0;
    boot_g0.m = &ms[0];
    host_g = &boot_g0;
    sched_init(n_cores);
    running = true;
    sched_start(how.scenario->run, NULL);
}

// The exit status of one seed's machine.
static int try_seed(unsigned seed, const struct scenario *all, unsigned n, bool silent)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (silent && !freopen("/dev/null", "w", stderr))
            _exit(3);
        alarm(20);
        run_seed(seed, all, n);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && !silent)
        fprintf(stderr, "seed=%u (%s): signal %d\n", seed, all[seed % n].name, WTERMSIG(status));
    return status;
}

// Arguments: seeds=N tries that many; seed=N replays one; mutant: the scheduler has a mistake in
// it, which one of the seeds must bring out.
int explore_main(int argc, char **argv, const struct scenario *all, unsigned n)
{
    unsigned seeds = 1000;
    bool mutant = false;
    for (int i = 1; i < argc; i++) {
        if (sscanf(argv[i], "seed=%u", &seeds) == 1)
            return try_seed(seeds, all, n, false) != 0;
        sscanf(argv[i], "seeds=%u", &seeds);
        mutant |= strcmp(argv[i], "mutant") == 0;
    }
    for (unsigned seed = 1; seed <= seeds; seed++) {
        if (try_seed(seed, all, n, mutant) == 0)
            continue;
        printf("seed=%u fails\n", seed);
        return !mutant;
    }
    printf("%u seeds, no failure\n", seeds);
    return mutant;
}
