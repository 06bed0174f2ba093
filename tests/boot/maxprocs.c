// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=120 kopts="slice_us=500" expect="maxprocs: nothing was lost"
// GOMAXPROCS goes up and down while channels, timers, hogs, short-lived goroutines and a pool are
// in use on all Ps. Nothing may be lost when a P vanishes: not a goroutine in its queue, not a
// timer in its heap, not an object in its pool. With the world stopped nothing moves.

#include <stdatomic.h>

#include "check.h"
#include "sched/world.h"

enum { CHANGES = 60, SLEEPERS = 8, HOGS = 3, PAIRS = 3 };

static _Atomic(bool) done;
static _Atomic(long) ticks, hogged, passed, born, died;
static _Atomic(int) left;

static void sleeper(void *arg)
{
    while (!atomic_load(&done)) {
        time_sleep(200 * TIME_US * (1 + (long)arg % 3));
        atomic_fetch_add(&ticks, 1);
    }
    atomic_fetch_sub(&left, 1);
}

static void hog(void *unused)
{
    while (!atomic_load(&done)) {
        for (volatile int i = 0; i < 5000; i++)
            ;
        atomic_fetch_add(&hogged, 1);
    }
    atomic_fetch_sub(&left, 1);
}

static void bounce(void *arg)
{
    struct chan *c = arg;
    long v;
    while (chan_recv(c, &v))
        atomic_fetch_add(&passed, 1);
    atomic_fetch_sub(&left, 1);
}

static void feed(void *arg)
{
    struct chan *c = arg;
    for (long v = 0; !atomic_load(&done); v++)
        chan_send(c, &v);
    chan_close(c);
    atomic_fetch_sub(&left, 1);
}

static void child(void *unused)
{
    atomic_fetch_add(&died, 1);
}

static void parent(void *unused)
{
    while (!atomic_load(&done)) {
        for (int i = 0; i < 20; i++)
            atomic_fetch_add(&born, go(child, NULL) == 0);
        go_yield();
    }
    atomic_fetch_sub(&left, 1);
}

static void start(void (*fn)(void *), void *arg)
{
    atomic_fetch_add(&left, 1);
    check(go(fn, arg) == 0);
}

static uint64_t switches(void)
{
    uint64_t n = 0;
    for (int i = 0; i < go_numcpu(); i++)
        n += atomic_load(&ps[i]->n_switch);
    return n;
}

static void stop_and_look(unsigned n)
{
    world_stop();
    uint64_t before = switches();
    long h = atomic_load(&hogged), t = atomic_load(&ticks), p = atomic_load(&passed);
    for (volatile int i = 0; i < 20000; i++)
        ;
    check(switches() == before);
    check(atomic_load(&hogged) == h && atomic_load(&ticks) == t && atomic_load(&passed) == p);
    for (int i = 0; i < go_numcpu(); i++) {
        enum p_status status = atomic_load(&ps[i]->status);
        if (ps[i] == getg()->m->p)
            check(status == P_RUNNING);
        else
            check(status == ((unsigned)i < n ? P_STOPPED : P_DEAD));
        if ((unsigned)i >= n)
            check(runq_empty(ps[i]) && ps[i]->timers.len == 0 && !ps[i]->gfree);
    }
    world_start();
}

// As many come out of the pool as went in, although the Ps they lay with come and go.
static void pools(int n_cpu)
{
    static struct pool pool;
    enum { OBJECTS = 40 };
    static int objects[OBJECTS];
    go_maxprocs(n_cpu);
    for (int i = 0; i < OBJECTS; i++) {
        check(pool_put(&pool, &objects[i]));
        time_sleep(50 * TIME_US); // goes on wherever its timer finds it
    }
    go_maxprocs(1);
    for (int i = 0; i < OBJECTS; i++)
        check(pool_get(&pool));
    check(!pool_get(&pool));
    go_maxprocs(n_cpu);
}

static void arguments(int n_cpu)
{
    check(go_maxprocs(0) == n_cpu && go_maxprocs(-5) == n_cpu);
    check(go_maxprocs(1000000) == n_cpu && go_maxprocs(0) == n_cpu);
    check(go_maxprocs(1) == n_cpu && go_maxprocs(n_cpu) == 1);
}

int main(void)
{
    uint32_t seed = 12345;
    int n_cpu = go_numcpu();
    arguments(n_cpu);
    pools(n_cpu);
    for (long i = 0; i < SLEEPERS; i++)
        start(sleeper, (void *)i);
    for (int i = 0; i < HOGS; i++)
        start(hog, NULL);
    for (int i = 0; i < PAIRS; i++) {
        struct chan *c = chan_make(sizeof(long), (size_t)i * 4);
        start(bounce, c);
        start(feed, c);
    }
    start(parent, NULL);
    int was = n_cpu;
    for (int i = 0; i < CHANGES; i++) {
        int n = 1 + (int)rand_below(&seed, (uint32_t)n_cpu);
        check(go_maxprocs(n) == was);
        check(go_maxprocs(0) == n);
        was = n;
        if (i % 4 == 0)
            stop_and_look((unsigned)n);
        if (i % 3 == 0)
            time_sleep(TIME_MS);
    }
    long t = atomic_load(&ticks), h = atomic_load(&hogged), p = atomic_load(&passed);
    check_soon(atomic_load(&ticks) > t + SLEEPERS && atomic_load(&hogged) > h &&
               atomic_load(&passed) > p);
    atomic_store(&done, true);
    check_soon(atomic_load(&left) == 0);
    check_soon(atomic_load(&died) == atomic_load(&born));
    check_soon(go_count() == 1);
    printf("maxprocs: nothing was lost\n");
    return 0;
}
