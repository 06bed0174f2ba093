// SPDX-License-Identifier: BSD-2-Clause
// Cores, goroutines, spinlocks, park and ready of the simulated world (sim.h).
//
// Each core has a g0 fiber running core_loop; goroutines are fibers that run on a core until they
// park, exit or are preempted. Only one fiber runs at a time; core_switch suspends whatever this
// core runs and resumes whatever some other core was running. A core that finds nothing to do
// marks itself idle; when all are, the clock jumps.
#include "tests/host/sim/sim.h"

#include <errno.h>
#include <heddle/go.h>
#include <heddle/time.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "kernel/panic.h"
#include "kernel/preempt.h"
#include "sched/netpoll.h"
#include "sched/park.h"
#include "tests/host/sim/sim_timer.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define __asan_unpoison_memory_region(p, n) ((void)(p), (void)(n))
#define __sanitizer_start_switch_fiber(fake, bottom, size) ((void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(fake, bottom, size) ((void)(bottom), (void)(size))
#endif

#define STACK_SIZE ((size_t)512 * 1024)
#define MAX_SIM_CORES 8
#define STEP_NS 300 // what one turn of a core's loop costs

struct fiber {
    struct g g; // first: a struct g * is a struct fiber *
    ucontext_t ctx; // how to start, while fresh
    void *jump[5];  // how to go on, afterwards: __builtin_setjmp makes no system call
    bool fresh;
    char *stack;
    void *fake_stack;
    int saved_errno;
    bool is_g0;
    struct fiber *next_all, *prev_all;
};

struct core {
    struct m m;
    struct p p;
    struct fiber g0;
    struct fiber *cur; // what it runs: its g0 or a goroutine
    bool idle;
    unsigned chan_locks;
    park_commit_fn *commit;
    void *commit_arg;
    struct fiber *dead;
};

struct sim_options sim_opt;
_Thread_local struct g *host_g;

static struct core cores[MAX_SIM_CORES];
static struct core *core; // the one that runs now
static unsigned ncores;
static int64_t now_ns;
static struct fiber **runnable;
static size_t runnable_n, runnable_cap;
static struct fiber *all;
static size_t goroutines;
static struct fiber *stack_pool;
static struct poller *pollers;
static void *outside[5];
static bool finished;
static uint64_t next_id = 1;
static unsigned held; // sim_hold: no switch now
static const void *outside_bottom; // of the stack sim_run was called on
static size_t outside_size;

int64_t sim_now(void) { return now_ns; }
size_t sim_goroutines(void) { return goroutines; }
bool sim_on_g0(void) { return ((struct fiber *)getg())->is_g0; }

// A jump to another stack leaves this one's frames alive, so the sanitizer has nothing to clear.
#define JUMPS __attribute__((noinline, no_sanitize_address))

static _Noreturn JUMPS void fiber_continue(struct fiber *f)
{
    if (f->fresh) {
        f->fresh = false;
        setcontext(&f->ctx);
        abort();
    }
    __builtin_longjmp(f->jump, 1);
}

// Leaves `from`, continues `to`. Returns when somebody switches back to from.
static JUMPS void fiber_switch(struct fiber *from, struct fiber *to)
{
    from->saved_errno = errno;
    setg(&to->g);
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, STACK_SIZE);
    if (__builtin_setjmp(from->jump) == 0)
        fiber_continue(to);
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
    errno = from->saved_errno;
}

static void core_switch(struct core *to)
{
    struct fiber *from = core->cur;
    if (to == core)
        return;
    core = to;
    fiber_switch(from, to->cur);
}

static struct core *random_other_core(void)
{
    unsigned n = sim_below(ncores - 1);
    if (&cores[n] == core)
        n = ncores - 1;
    return &cores[n];
}

static void push_runnable(struct fiber *f)
{
    if (runnable_n == runnable_cap) {
        runnable_cap = runnable_cap ? runnable_cap * 2 : 64;
        runnable = realloc(runnable, runnable_cap * sizeof(*runnable));
    }
    runnable[runnable_n++] = f;
}

static void back_to_g0(struct fiber *f)
{
    fiber_switch(f, &core->g0);
}

void preempt_yield(void)
{
    struct fiber *f = (struct fiber *)getg();
    atomic_store(&f->g.preempt_pending, false);
    if (f->is_g0 || f->g.preempt_off)
        return;
    atomic_store(&f->g.status, G_RUNNABLE);
    push_runnable(f);
    core->cur = &core->g0;
    back_to_g0(f);
}

void sim_hold(void) { held++; }

void sim_release(void)
{
    require(held);
    held--;
}

void sim_point(void)
{
    now_ns += 20;
    if (held || !sim_chance(sim_opt.switch_ppm))
        return;
    if (ncores > 1 && (sim_rand() & 1))
        core_switch(random_other_core());
    else
        preempt_yield();
}

// Waiting for something only another core can bring about.
static void spin_turn(const char *what)
{
    require(!held);
    if (ncores == 1)
        throw("%s: waits for ever on a single core", what);
    now_ns += 20;
    core_switch(random_other_core());
}

void sim_spin_turn(const char *what) { spin_turn(what); }

// Spinlocks.

void spin_init(struct spinlock *l, enum lock_rank rank)
{
    atomic_store(&l->holder, 0);
    l->rank = (uint16_t)rank;
}

static void take(struct spinlock *l)
{
    require(l->rank < LOCK_RANKS);
    if (l->rank == LOCK_CHAN) {
        require(core->m.ranks_held >> (LOCK_CHAN + 1) == 0);
        core->chan_locks++;
    } else if (l->rank != LOCK_UNRANKED && core->m.ranks_held >> l->rank) {
        throw("spin_lock: rank %d taken with ranks %llx held", l->rank,
              (unsigned long long)core->m.ranks_held);
    }
    if (l->rank != LOCK_UNRANKED)
        core->m.ranks_held |= 1ull << l->rank;
    atomic_store(&l->holder, (uint16_t)(core - cores + 1));
}

static void drop(struct spinlock *l)
{
    require(atomic_load(&l->holder) == core - cores + 1);
    if (l->rank != LOCK_CHAN || --core->chan_locks == 0)
        core->m.ranks_held &= ~(1ull << l->rank);
    atomic_store(&l->holder, 0);
}

void spin_lock(struct spinlock *l)
{
    sim_point();
    getg()->preempt_off++;
    while (atomic_load(&l->holder)) {
        require(atomic_load(&l->holder) != core - cores + 1);
        spin_turn("spin_lock");
    }
    take(l);
}

bool spin_trylock(struct spinlock *l)
{
    sim_point();
    if (atomic_load(&l->holder))
        return false;
    getg()->preempt_off++;
    take(l);
    return true;
}

void spin_unlock(struct spinlock *l)
{
    drop(l);
    require(getg()->preempt_off > 0);
    getg()->preempt_off--;
    sim_point();
}

void spin_unlock_g(struct g *gp, struct spinlock *l)
{
    drop(l);
    require(gp->preempt_off > 0);
    gp->preempt_off--;
}

bool spin_held_by_me(const struct spinlock *l)
{
    return atomic_load(&((struct spinlock *)l)->holder) == core - cores + 1;
}

// Park and ready.

void gopark(park_commit_fn *commit, void *arg, enum wait_reason reason)
{
    struct fiber *f = (struct fiber *)getg();
    require(!f->is_g0);
    f->g.wait_reason = reason;
    f->g.wait_since_ns = now_ns;
    atomic_store(&f->g.status, G_WAITING);
    core->commit = commit;
    core->commit_arg = arg;
    core->cur = &core->g0;
    back_to_g0(f);
    require(f->g.preempt_off == 0);
}

static bool unlock_commit(struct g *gp, void *arg)
{
    spin_unlock_g(gp, arg);
    return true;
}

void goparkunlock(struct spinlock *l, enum wait_reason reason)
{
    require(spin_held_by_me(l));
    require(getg()->preempt_off == 1);
    gopark(unlock_commit, l, reason);
}

void goready(struct g *gp)
{
    require(atomic_load(&gp->status) == G_WAITING);
    atomic_store(&gp->status, G_RUNNABLE);
    push_runnable((struct fiber *)gp);
    sim_point();
}

void goready_tail(struct g *gp) { goready(gp); }

bool gqueue_remove(struct gqueue *q, struct g *gp)
{
    struct g *prev = NULL;
    for (struct g *g = q->head; g; prev = g, g = g->link) {
        if (g != gp)
            continue;
        if (prev)
            prev->link = g->link;
        else
            q->head = g->link;
        if (q->tail == g)
            q->tail = prev;
        g->link = NULL;
        return true;
    }
    return false;
}

const char *wait_reason_name(enum wait_reason r)
{
    static char buf[32];
    snprintf(buf, sizeof(buf), "reason %d", (int)r);
    return buf;
}

// Goroutines.

static void fiber_exit(void)
{
    struct fiber *f = (struct fiber *)getg();
    require(f->g.preempt_off == 0);
    atomic_store(&f->g.status, G_DEAD);
    core->dead = f;
    core->cur = &core->g0;
    setg(&core->g0.g);
    __sanitizer_start_switch_fiber(NULL, core->g0.stack, STACK_SIZE);
    fiber_continue(&core->g0);
}

static void fiber_entry(void)
{
    struct fiber *f = (struct fiber *)getg();
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
    errno = 0;
    f->g.fn(f->g.arg);
    fiber_exit();
}

void go_exit(void)
{
    fiber_exit();
    abort();
}

static void fiber_stack(struct fiber *f, void (*entry)(void))
{
    if (!f->stack) {
        f->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (f->stack == MAP_FAILED)
            throw("fiber_stack: no memory");
        mprotect(f->stack, 4096, PROT_NONE);
    }
    __asan_unpoison_memory_region(f->stack, STACK_SIZE);
    getcontext(&f->ctx);
    f->ctx.uc_stack.ss_sp = f->stack;
    f->ctx.uc_stack.ss_size = STACK_SIZE;
    f->ctx.uc_link = NULL;
    makecontext(&f->ctx, entry, 0);
    f->fresh = true;
}

int go(void (*fn)(void *), void *arg)
{
    struct fiber *f = stack_pool;
    if (f) {
        char *stack = f->stack;
        stack_pool = f->next_all;
        memset(f, 0, sizeof(*f));
        f->stack = stack;
    } else {
        f = aligned_alloc(64, ROUND_UP(sizeof(*f), (size_t)64));
        memset(f, 0, sizeof(*f));
    }
    f->g.id = next_id++;
    f->g.fn = fn;
    f->g.arg = arg;
    fiber_stack(f, fiber_entry);
    atomic_store(&f->g.status, G_RUNNABLE);
    f->next_all = all;
    if (all)
        all->prev_all = f;
    all = f;
    goroutines++;
    push_runnable(f);
    return 0;
}

int go_system(const char *name, void (*fn)(void *), void *arg)
{
    (void)name;
    return go(fn, arg);
}

void go_yield(void)
{
    preempt_yield();
}

static void bury(struct fiber *f)
{
    if (f->next_all)
        f->next_all->prev_all = f->prev_all;
    if (f->prev_all)
        f->prev_all->next_all = f->next_all;
    else
        all = f->next_all;
    goroutines--;
    f->next_all = stack_pool;
    stack_pool = f;
}

// The network poller.

void netpoll_register(struct poller *pl)
{
    pl->next = pollers;
    pollers = pl;
}

void netpoll_mark(struct poller *pl) { atomic_store(&pl->pending, 1); }
void netpoll_mark_wake(struct poller *pl) { netpoll_mark(pl); }

bool netpoll_pending(void)
{
    for (struct poller *pl = pollers; pl; pl = pl->next)
        if (atomic_load(&pl->pending) && !atomic_load(&pl->busy))
            return true;
    return false;
}

bool netpoll(void)
{
    bool any = false;
    for (struct poller *pl = pollers; pl; pl = pl->next) {
        if (!atomic_load(&pl->pending) || atomic_load(&pl->busy) || (sim_rand() & 1))
            continue;
        atomic_store(&pl->busy, 1);
        atomic_store(&pl->pending, 0);
        if (pl->poll(pl))
            atomic_store(&pl->pending, 1);
        atomic_store(&pl->busy, 0);
        any = true;
    }
    return any;
}

// The cores.

static void run_goroutine(struct fiber *f)
{
    core->cur = f;
    f->g.m = &core->m;
    core->m.curg = &f->g;
    atomic_store(&f->g.status, G_RUNNING);
    fiber_switch(&core->g0, f);
    core->cur = &core->g0;
    core->m.curg = NULL;
    f->g.m = NULL;
    if (core->dead) {
        bury(core->dead);
        core->dead = NULL;
        return;
    }
    if (atomic_load(&f->g.status) == G_WAITING && core->commit) {
        park_commit_fn *commit = core->commit;
        core->commit = NULL;
        if (!commit(&f->g, core->commit_arg)) {
            atomic_store(&f->g.status, G_RUNNABLE);
            push_runnable(f);
        }
    }
    require(core->m.ranks_held == 0);
}

static void report_stuck(const char *why)
{
    fprintf(stderr, "%s at %lld ns\n", why, (long long)now_ns);
    for (struct fiber *f = all; f; f = f->next_all)
        fprintf(stderr, "  goroutine %llu: status %u, wait reason %d, since %lld ns\n",
                (unsigned long long)f->g.id, atomic_load(&f->g.status), (int)f->g.wait_reason,
                (long long)f->g.wait_since_ns);
    sim_fail(__FILE__, __LINE__, "%s", why);
}

static bool core_work(void)
{
    for (unsigned i = 0, first = sim_below(3); i < 3; i++) {
        switch ((first + i) % 3) {
        case 0:
            if (runnable_n) {
                size_t n = sim_below((uint32_t)runnable_n);
                struct fiber *f = runnable[n];
                runnable[n] = runnable[--runnable_n];
                run_goroutine(f);
                return true;
            }
            break;
        case 1:
            if (sim_timers_due(now_ns)) {
                sim_timer_fire(now_ns);
                return true;
            }
            break;
        default:
            while (netpoll_pending())
                if (netpoll())
                    return true;
        }
    }
    return false;
}

static void core_idle(void)
{
    core->idle = true;
    for (unsigned i = 0; i < ncores; i++) {
        if (!cores[i].idle) {
            core_switch(&cores[i]);
            return;
        }
    }
    int64_t next = sim_timer_next();
    if (next == INT64_MAX)
        report_stuck("all goroutines are asleep - deadlock");
    if (next > now_ns)
        now_ns = next;
    if (now_ns > sim_opt.limit_ns)
        report_stuck("virtual time limit passed");
}

static _Noreturn JUMPS void leave_world(void)
{
    __builtin_longjmp(outside, 1);
}

static void core_loop(void)
{
    const void *bottom = NULL;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &size);
    if (!outside_bottom) {
        outside_bottom = bottom;
        outside_size = size;
    }
    for (;;) {
        if (finished) {
            __sanitizer_start_switch_fiber(NULL, outside_bottom, outside_size);
            leave_world();
        }
        now_ns += STEP_NS;
        core->idle = false;
        if (core_work()) {
            if (ncores > 1 && sim_chance(sim_opt.switch_ppm * 4))
                core_switch(random_other_core());
        } else {
            core_idle();
        }
    }
}

struct main_call {
    void (*fn)(void *);
    void *arg;
};

static void main_goroutine(void *arg)
{
    struct main_call *mc = arg;
    mc->fn(mc->arg);
    finished = true;
}

void sim_run(const struct sim_options *opt, void (*fn)(void *), void *arg)
{
    struct main_call mc = {fn, arg};
    sim_opt = *opt;
    sim_opt.cores = sim_opt.cores ? MIN(sim_opt.cores, (unsigned)MAX_SIM_CORES) : 2;
    sim_opt.switch_ppm = sim_opt.switch_ppm ? sim_opt.switch_ppm : 50000;
    sim_opt.limit_ns = sim_opt.limit_ns ? sim_opt.limit_ns : 3600ll * 1000000000;
    sim_env_init();
    ncores = sim_opt.cores;
    now_ns = 1000000000;
    for (unsigned i = 0; i < ncores; i++) {
        struct core *c = &cores[i];
        c->m.id = i;
        c->m.g0 = &c->g0.g;
        c->m.p = &c->p;
        c->p.id = i;
        c->p.m = &c->m;
        c->g0.is_g0 = true;
        c->g0.g.m = &c->m;
        c->cur = &c->g0;
        fiber_stack(&c->g0, core_loop);
    }
    core = &cores[0];
    setg(&core->g0.g);
    go(main_goroutine, &mc);
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, core->g0.stack, STACK_SIZE);
    if (__builtin_setjmp(outside) == 0)
        fiber_continue(&core->g0);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
}

// The core that woke us may still be about to return from the timer's function.
void sim_settle(int64_t ns)
{
    time_sleep(ns);
    while (sim_timers_running())
        go_yield();
}
