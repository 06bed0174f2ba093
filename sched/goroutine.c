// SPDX-License-Identifier: BSD-2-Clause
// The life of a goroutine: go, its first instruction, its end.
//
// A G and its stack are never given back to the page level: a dead G keeps its stack warm on a
// per-P free list, from which go takes it without a lock. Lists longer than GFREE_MAX move half to
// a global list. Gs with a stack of another class than the default live on that class's global list
// only.

#include <heddle/go.h>

#include <errno.h>

#include "kernel/heap.h"
#include "kernel/panic.h"
#include "sched/defer.h"
#include "sched/schedule_inline.h"
#include "sched/trace.h"

enum { GFREE_MAX = HOSTILE ? 2 : 64, ID_BATCH = 16, STACK_CLASSES = 32 };

void (*sched_goroutine_exit_hook)(struct g *gp);

static struct {
    struct spinlock lock;
    _Atomic(struct g *) free[STACK_CLASSES]; // written under lock, looked at without
} gfree = { .lock = SPINLOCK_INIT(LOCK_GFREE) };

static _Atomic(struct g *) all_gs; // every G ever made; a G is published by release. pairs: ALL-GS
static _Atomic(uint64_t) last_id;

struct g *g_all(void)
{
    // pairs: ALL-GS
    return atomic_load_explicit(&all_gs, memory_order_acquire);
}

struct g *g_new(size_t stack_max)
{
    struct g *gp = heap_zalloc(sizeof(*gp));
    if (!gp)
        return NULL;
    if (!stack_alloc(gp, stack_max)) {
        heap_free(gp);
        return NULL;
    }
    atomic_store_explicit(&gp->status, G_DEAD, memory_order_relaxed);
    struct g *head = atomic_load_explicit(&all_gs, memory_order_relaxed);
    do {
        gp->all_next = head;
        // pairs: ALL-GS
    } while (!atomic_compare_exchange_weak_explicit(&all_gs, &head, gp, memory_order_release,
                                                    memory_order_relaxed));
    return gp;
}

static __attribute__((noinline)) struct g *take_global(unsigned class)
{
    spin_lock(&gfree.lock);
    struct g *gp = gfree.free[class];
    if (gp)
        gfree.free[class] = gp->link;
    spin_unlock(&gfree.lock);
    return gp;
}

// Context: not preemptible, p owned.
static inline __attribute__((always_inline)) struct g *gfree_get(struct p *p, unsigned class)
{
    if (unlikely(class != STACK_DEFAULT_CLASS))
        return take_global(class);
    struct g *gp = p->gfree;
    if (gp) {
        p->gfree = gp->link;
        p->gfree_n--;
        return gp;
    }
    bool any = atomic_load_explicit(&gfree.free[class], memory_order_relaxed) != NULL;
    return any ? take_global(class) : NULL;
}

// A list that has grown too long, or a stack of another class, goes to the global lists.
static __attribute__((noinline)) void gfree_put_global(struct p *p, struct g *gp)
{
    spin_lock(&gfree.lock);
    if (gp->stack_class != STACK_DEFAULT_CLASS) {
        gp->link = gfree.free[gp->stack_class];
        gfree.free[gp->stack_class] = gp;
    }
    while (p->gfree_n > GFREE_MAX / 2) {
        gp = p->gfree;
        p->gfree = gp->link;
        p->gfree_n--;
        gp->link = gfree.free[gp->stack_class];
        gfree.free[gp->stack_class] = gp;
    }
    spin_unlock(&gfree.lock);
}

void gfree_purge(struct p *p)
{
    spin_lock(&gfree.lock);
    for (struct g *gp; (gp = p->gfree) != NULL; p->gfree_n--) {
        p->gfree = gp->link;
        gp->link = gfree.free[STACK_DEFAULT_CLASS];
        gfree.free[STACK_DEFAULT_CLASS] = gp;
    }
    spin_unlock(&gfree.lock);
}

// Context: g0, p owned. gp is G_DEAD and off its stack.
static inline void gfree_put(struct p *p, struct g *gp)
{
    bool local = gp->stack_class == STACK_DEFAULT_CLASS;
    if (likely(local)) {
        gp->link = p->gfree;
        p->gfree = gp;
        p->gfree_n++;
    }
    if (unlikely(!local || p->gfree_n > GFREE_MAX))
        gfree_put_global(p, gp);
}

static uint64_t new_id(struct p *p)
{
    if (p->next_id == p->end_id) {
        p->next_id = atomic_fetch_add_explicit(&last_id, ID_BATCH, memory_order_relaxed) + 1;
        p->end_id = p->next_id + ID_BATCH;
    }
    return p->next_id++;
}

// Context: g0. The last of a goroutine.
static void exit_m(struct g *gp)
{
    struct m *m = getg()->m;
    struct p *p = m->p;
    trace_hot(TRACE_LEAVE, LEAVE_EXIT, gp);
    g_set_status(gp, G_RUNNING, G_DEAD);
    dropg(m, gp);
    atomic_store_explicit(&p->live, p->live - !gp->is_system, memory_order_relaxed);
    gp->name = NULL;
    gp->param = NULL;
    gfree_put(p, gp);
    schedule_inline(m);
}

_Noreturn void go_exit(void)
{
    struct g *gp = getg();
    defer_run_all(gp);
    if (gp->reent_ready && sched_goroutine_exit_hook)
        sched_goroutine_exit_hook(gp);
    gp->reent_ready = false;
    arch_mcall(exit_m);
    __builtin_unreachable();
}

// The first thing on a new goroutine's stack.
static void goroutine_start(void)
{
    struct g *gp = getg();
    gp->fn(gp->arg);
    if (unlikely(gp->defers || gp->reent_ready))
        go_exit();
    gp->panics = NULL;
    arch_mcall(exit_m);
    __builtin_unreachable();
}

static inline __attribute__((always_inline)) struct g *spawn(const char *name, size_t stack_max,
                                                              unsigned class, void (*fn)(void *),
                                                              void *arg, bool is_system,
                                                              bool urgent)
{
    preempt_disable();
    struct p *p = getg()->m->p;
    struct g *gp = gfree_get(p, class);
    // One goroutine more is to fail rather than those that are there: the last of memory is theirs,
    // for buffers and stacks that grow. A dead one's stack is no new memory.
    if (unlikely(!gp) && (page_scarce() || !(gp = g_new(stack_max)))) {
        preempt_enable();
        return NULL;
    }
    gp->id = new_id(p);
    gp->name = name;
    gp->fn = fn;
    gp->arg = arg;
    atomic_store_explicit(&gp->is_system, is_system, memory_order_relaxed);
    // Not a store: a loan to the goroutine that had this G may be on its way (sync_lend.c).
    uint8_t urgency = atomic_load_explicit(&gp->urgency, memory_order_relaxed);
    if (unlikely(((urgency & URGENT_OWN) != 0) != urgent))
        atomic_fetch_xor_explicit(&gp->urgency, URGENT_OWN, memory_order_relaxed);
    gp->preempt_off = 0;
    atomic_store_explicit(&gp->wait_reason, WAIT_NONE, memory_order_relaxed);
    arch_init_context(gp, goroutine_start);
    g_set_status(gp, G_DEAD, G_RUNNABLE);
    atomic_store_explicit(&p->live, p->live + !is_system, memory_order_relaxed);
    count(&p->n_spawn);
    trace_hot(TRACE_SPAWN, 0, gp);
    if (urgent) {
        ready_urgent(gp);
        return gp;
    }
    struct g *kicked = runq_put_next(p, gp);
    if (kicked)
        runq_put_ring(p, kicked);
    wakep();
    preempt_enable();
    return gp;
}

struct g *g_spawn(const char *name, size_t stack_max, void (*fn)(void *), void *arg, bool is_system)
{
    return spawn(name, stack_max, stack_class_of(stack_max), fn, arg, is_system, false);
}

int go_with(const struct go_attr *attr, void (*fn)(void *), void *arg)
{
    if (!attr)
        return go(fn, arg);
    if (!fn)
        go_panic("go of nil func value");
    size_t stack_max = attr->stack_max ? attr->stack_max : STACK_DEFAULT;
    if (stack_class_of(stack_max) >= STACK_CLASSES) {
        errno = EINVAL;
        return -1;
    }
    if (!spawn(attr->name, stack_max, stack_class_of(stack_max), fn, arg, false, attr->urgent)) {
        errno = ENOMEM;
        return -1;
    }
    return 0;
}

int go_system(const char *name, void (*fn)(void *), void *arg)
{
    if (g_spawn(name, STACK_DEFAULT, fn, arg, true))
        return 0;
    errno = ENOMEM;
    return -1;
}

int go(void (*fn)(void *), void *arg)
{
    if (unlikely(!fn))
        go_panic("go of nil func value");
    if (unlikely(!spawn(NULL, STACK_DEFAULT, STACK_DEFAULT_CLASS, fn, arg, false, false))) {
        errno = ENOMEM;
        return -1;
    }
    return 0;
}

uint64_t go_id(void)
{
    return getg()->id;
}

size_t go_count(void)
{
    int64_t n = 0;
    for (unsigned i = 0; i < sched.n_m; i++)
        n += atomic_load_explicit(&ps[i]->live, memory_order_relaxed);
    return n > 0 ? (size_t)n : 0;
}

int go_numcpu(void)
{
    return (int)sched.n_m;
}
