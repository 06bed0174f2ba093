// SPDX-License-Identifier: BSD-2-Clause
// Threads that play goroutines, each with a core and a P of its own, for tests of what is built on
// park and ready (channels, sync, timers) under real concurrency and ThreadSanitizer. There is no
// scheduler: a parked goroutine is a sleeping thread. One more thread runs the timers of all Ps, as
// an idle core would. Included by one file, the test itself.
#ifndef TESTS_HOST_THREADS_H
#define TESTS_HOST_THREADS_H

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "kernel/clock.h"
#include "kernel/heap.h"
#include "kernel/panic.h"
#include "kernel/preempt.h"
#include "kernel/print.h"
#include "sched/defer.h"
#include "sched/park.h"
#include "sched/sched.h"
#include "sched/timer.h"
#include "sched/world.h"

#include <heddle/go.h>

_Thread_local struct g *host_g;
struct sched sched = { .n_p = MAX_CORES }; // no P ever goes away here
struct m ms[MAX_CORES];
struct p *ps[MAX_CORES];

// One for each thread; slot 0 is the main thread's, the last the timer thread's.
struct actor {
    struct g g, g0;
    struct p p;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool ready;
    bool used;
    void (*fn)(void *);
    void *arg;
};

static struct actor actors[MAX_CORES];
static pthread_mutex_t actors_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(bool) timers_stop;
static _Thread_local sigjmp_buf *panic_to;
static _Thread_local char panic_text[256];

void go_panic(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(panic_text, sizeof(panic_text), fmt, ap);
    va_end(ap);
    check(getg()->preempt_off == 0);
    if (panic_to)
        siglongjmp(*panic_to, 1);
    throw("panic: %s", panic_text);
}

// True if the statement panicked with that text.
#define panics_with(text, statement)                                  \
    ({                                                                \
        sigjmp_buf here_;                                             \
        volatile bool did_ = false;                                     \
        panic_to = &here_;                                            \
        if (sigsetjmp(here_, 0) == 0) {                               \
            statement;                                                \
        } else {                                                      \
            did_ = strcmp(panic_text, text) == 0;                     \
            if (!did_)                                                \
                fprintf(stderr, "panicked with: %s\n", panic_text);   \
        }                                                             \
        panic_to = NULL;                                              \
        did_;                                                         \
    })

static inline uint32_t rand_below(uint32_t *s, uint32_t n)
{
    return (uint32_t)(((uint64_t)rand_next(s) * n) >> 32);
}

void preempt_yield(void)
{
    atomic_store_explicit(&getg()->preempt_pending, false, memory_order_relaxed);
    sched_yield();
}

void go_yield(void) { sched_yield(); }
bool ready_urgent(struct g *gp) { goready(gp); return true; }
void urgent_expedite(struct g *gp) { check(gp != NULL); }
bool world_mutex_is(const struct mutex *m) { return m == NULL; }
bool runq_empty(struct p *p) { return p != NULL; }
void sched_timer_earlier(struct p *p, int64_t when_ns) { check(p && when_ns < INT64_MAX); }

int64_t clock_mono_ns(void) { return (int64_t)arch_counter(); }
int64_t clock_wall_ns(void) { return clock_mono_ns(); }

void *heap_alloc(size_t n)
{
    return n > (size_t)1 << 40 ? NULL : aligned_alloc(64, (n + 64) & ~(size_t)63);
}

void heap_free(void *p) { free(p); }

void *heap_zalloc(size_t n)
{
    void *p = heap_alloc(n);
    return p ? memset(p, 0, n) : NULL;
}

void defer_push(struct defer *d, void (*fn)(void *), void *arg)
{
    d->fn = fn;
    d->arg = arg;
}

void defer_pop(struct defer *d) { check(d->fn != NULL); }

static void wake(struct actor *a)
{
    pthread_mutex_lock(&a->mutex);
    check(!a->ready);
    a->ready = true;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->mutex);
}

void goready(struct g *gp)
{
    check(atomic_exchange_explicit(&gp->status, G_RUNNABLE, memory_order_relaxed) == G_WAITING);
    wake(container_of(gp, struct actor, g));
}

void goready_tail(struct g *gp) { goready(gp); }

void gopark(park_commit_fn *commit, void *arg, enum wait_reason reason)
{
    struct g *gp = getg();
    struct actor *a = container_of(gp, struct actor, g);
    check(gp == &a->g && reason != WAIT_NONE);
    atomic_store_explicit(&gp->status, G_WAITING, memory_order_relaxed);
    setg(&a->g0);
    check(commit(gp, arg));
    check(a->g0.preempt_off == 0);
    setg(gp);
    pthread_mutex_lock(&a->mutex);
    while (!a->ready)
        pthread_cond_wait(&a->cond, &a->mutex);
    a->ready = false;
    pthread_mutex_unlock(&a->mutex);
    check(gp->preempt_off == 0);
    check(atomic_exchange_explicit(&gp->status, G_RUNNING, memory_order_relaxed) == G_RUNNABLE);
}

static bool commit_unlock(struct g *gp, void *lock)
{
    spin_unlock_g(gp, lock);
    return true;
}

void goparkunlock(struct spinlock *l, enum wait_reason reason) { gopark(commit_unlock, l, reason); }

// Makes slot n a goroutine and its core.
static void make_actor(unsigned n)
{
    struct actor *a = &actors[n];
    pthread_mutex_init(&a->mutex, NULL);
    pthread_cond_init(&a->cond, NULL);
    a->used = true;
    a->p.id = n;
    a->g.id = n + 1;
    a->g.m = a->g0.m = &ms[n];
    ms[n].id = n;
    ms[n].g0 = &a->g0;
    ms[n].p = &a->p;
    ms[n].rand_state = n + 12345;
    if (!ps[n])
        timers_init(&a->p);
    ps[n] = &a->p;
    atomic_store_explicit(&a->g.status, G_RUNNING, memory_order_relaxed);
}

static void *actor_main(void *arg)
{
    struct actor *a = arg;
    setg(&a->g);
    a->fn(a->arg);
    check(a->g.preempt_off == 0);
    pthread_mutex_lock(&actors_mutex);
    a->used = false;
    pthread_mutex_unlock(&actors_mutex);
    return NULL;
}

// A slot is used again when its thread has ended, with its P and what timers it holds.
int go(void (*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&actors_mutex);
    unsigned n = 1;
    while (n < MAX_CORES - 1 && actors[n].used)
        n++;
    if (n == MAX_CORES - 1) {
        pthread_mutex_unlock(&actors_mutex);
        return -1;
    }
    make_actor(n);
    struct actor *a = &actors[n];
    a->fn = fn;
    a->arg = arg;
    check(pthread_create(&a->thread, &attr, actor_main, a) == 0);
    pthread_mutex_unlock(&actors_mutex);
    return 0;
}

static inline unsigned actors_running(void)
{
    unsigned n = 0;
    pthread_mutex_lock(&actors_mutex);
    for (unsigned i = 1; i < MAX_CORES - 1; i++)
        n += actors[i].used;
    pthread_mutex_unlock(&actors_mutex);
    return n;
}

// Waits until every goroutine but the caller has ended.
static inline void join_all(void)
{
    while (actors_running() > 0)
        usleep(200);
}

static void *timer_main(void *arg)
{
    struct actor *a = arg;
    setg(&a->g0);
    while (!atomic_load(&timers_stop)) {
        for (unsigned i = 0; i < MAX_CORES; i++) {
            pthread_mutex_lock(&actors_mutex);
            struct p *p = ps[i];
            pthread_mutex_unlock(&actors_mutex);
            if (p && timers_next(p) <= clock_mono_ns())
                timers_run(p, clock_mono_ns());
        }
        usleep(20);
    }
    return NULL;
}

// The calling thread becomes the main goroutine.
static inline void threads_begin(void)
{
    make_actor(0);
    setg(&actors[0].g);
    make_actor(MAX_CORES - 1);
    struct actor *a = &actors[MAX_CORES - 1];
    check(pthread_create(&a->thread, NULL, timer_main, a) == 0);
}

static inline void threads_end(void)
{
    join_all();
    atomic_store(&timers_stop, true);
    pthread_join(actors[MAX_CORES - 1].thread, NULL);
}

#endif
