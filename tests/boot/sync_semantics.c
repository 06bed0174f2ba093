// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=90 expect="sync: all as it should be"
// The objects of sync.h on the real scheduler: exclusion under contention and preemption, hand-off
// to those that starve, writer preference, order of waiters, misuse, and how many goroutines get
// through.

#include "check.h"

enum { WORKERS = 8 };

static struct mutex m;
static struct waitgroup all;
static long counter;
static _Atomic(int) step;

static void start(void (*fn)(void *), int n)
{
    waitgroup_add(&all, n);
    for (intptr_t i = 0; i < n; i++)
        check(go(fn, (void *)i) == 0);
}

static void do_unlock(void *arg) { mutex_unlock(arg); }
static void do_done(void *arg) { waitgroup_done(arg); }
static void do_rw_unlock(void *arg) { rwmutex_unlock(arg); }
static void do_runlock(void *arg) { rwmutex_runlock(arg); }

static void counts(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++) {
        mutex_lock(&m);
        long was = counter;
        if (i % 100 == 0)
            go_yield();
        counter = was + 1;
        mutex_unlock(&m);
    }
    waitgroup_done(&all);
}

static void takes_and_steps(void *arg)
{
    (void)arg;
    mutex_lock(&m);
    step++;
    mutex_unlock(&m);
    waitgroup_done(&all);
}

static void mutexes(void)
{
    start(counts, WORKERS);
    waitgroup_wait(&all);
    check(counter == WORKERS * 3000);
    check(panics("sync: unlock of unlocked mutex", do_unlock, &m));
    check(mutex_trylock(&m) && !mutex_trylock(&m));
    step = 0;
    start(takes_and_steps, 5);
    settle();
    check(step == 0);
    // Another goroutine than the owner may unlock.
    go(do_unlock, &m);
    waitgroup_wait(&all);
    check(step == 5 && mutex_trylock(&m));
    mutex_unlock(&m);
}

// A goroutine that takes the mutex again at once each time, without ever blocking, and one that
// sleeps between.
static _Atomic(bool) stop;

static void keeps_taking(void *arg)
{
    (void)arg;
    while (!stop) {
        mutex_lock(&m);
        int64_t until = time_mono() + 100 * TIME_US;
        while (time_mono() < until)
            ;
        mutex_unlock(&m);
    }
    waitgroup_done(&all);
}

static void starvation(void)
{
    stop = false;
    start(keeps_taking, 2);
    for (int i = 0; i < 10; i++) {
        time_sleep(100 * TIME_US);
        int64_t before = time_mono();
        mutex_lock(&m);
        mutex_unlock(&m);
        check(time_mono() - before < 2 * TIME_S);
    }
    stop = true;
    waitgroup_wait(&all);
    check(mutex_trylock(&m));
    mutex_unlock(&m);
}

static struct rwmutex rw;
static _Atomic(int) readers, writers;

static void reads_writes(void *arg)
{
    uint32_t rng = 1 + (uint32_t)(uintptr_t)arg;
    for (int i = 0; i < 1500; i++) {
        if (rand_below(&rng, 8) == 0) {
            rwmutex_lock(&rw);
            check(++writers == 1 && readers == 0);
            if (i % 16 == 0)
                go_yield();
            writers--;
            rwmutex_unlock(&rw);
        } else {
            rwmutex_rlock(&rw);
            readers++;
            check(writers == 0);
            if (i % 16 == 0)
                go_yield();
            readers--;
            rwmutex_runlock(&rw);
        }
    }
    waitgroup_done(&all);
}

static void writes_once(void *arg)
{
    (void)arg;
    rwmutex_lock(&rw);
    step++;
    rwmutex_unlock(&rw);
    waitgroup_done(&all);
}

static void reads_once(void *arg)
{
    (void)arg;
    rwmutex_rlock(&rw);
    step += 10;
    rwmutex_runlock(&rw);
    waitgroup_done(&all);
}

static void rwmutexes(void)
{
    start(reads_writes, WORKERS);
    waitgroup_wait(&all);
    // Readers do not keep each other out.
    step = 0;
    rwmutex_rlock(&rw);
    waitgroup_add(&all, 1);
    go(reads_once, NULL);
    check_soon(step == 10);
    rwmutex_runlock(&rw);
    waitgroup_wait(&all);
    // A waiting writer keeps new readers out.
    step = 0;
    rwmutex_rlock(&rw);
    start(writes_once, 1);
    settle();
    check(!rwmutex_tryrlock(&rw));
    start(reads_once, 3);
    settle();
    check(step == 0);
    rwmutex_runlock(&rw);
    waitgroup_wait(&all);
    check(step == 31);
    check(panics("sync: RUnlock of unlocked RWMutex", do_runlock, &rw));
    check(panics("sync: Unlock of unlocked RWMutex", do_rw_unlock, &rw));
    check(rwmutex_trylock(&rw) && !rwmutex_trylock(&rw) && !rwmutex_tryrlock(&rw));
    rwmutex_unlock(&rw);
}

static void done_later(void *arg)
{
    go_yield();
    waitgroup_done(arg);
}

static void waits_for(void *arg)
{
    waitgroup_wait(arg);
    step++;
    waitgroup_done(&all);
}

static void waitgroups(void)
{
    for (int i = 0; i < 500; i++) {
        struct waitgroup w = { 0 };
        waitgroup_wait(&w);
        waitgroup_add(&w, 3);
        for (int n = 0; n < 3; n++)
            go(done_later, &w);
        waitgroup_wait(&w);
        waitgroup_add(&w, 1);
        waitgroup_done(&w);
        waitgroup_wait(&w);
        memset(&w, 0xee, sizeof(w));
    }
    static struct waitgroup gate;
    check(panics("sync: negative WaitGroup counter", do_done, &gate));
    step = 0;
    waitgroup_add(&gate, 1);
    waitgroup_add(&all, 100);
    waitgroup_add(&all, -90);
    for (int i = 0; i < 10; i++)
        go(waits_for, &gate);
    settle();
    check(step == 0);
    waitgroup_done(&gate);
    waitgroup_wait(&all);
    check(step == 10);
}

static struct cond cond;
static int turn, order[10];

static void waits_its_turn(void *arg)
{
    mutex_lock(&m);
    step++;
    cond_wait(&cond, &m);
    order[turn++] = (int)(intptr_t)arg;
    mutex_unlock(&m);
    waitgroup_done(&all);
}

static void conds(void)
{
    cond_signal(&cond);
    cond_broadcast(&cond);
    step = 0;
    for (intptr_t i = 0; i < 10; i++) {
        waitgroup_add(&all, 1);
        go(waits_its_turn, (void *)i);
        check_soon(step == i + 1);
        // It holds the mutex until it has joined the queue.
        mutex_lock(&m);
        mutex_unlock(&m);
    }
    for (int i = 0; i < 5; i++) {
        cond_signal(&cond);
        check_soon(({ mutex_lock(&m); int t = turn; mutex_unlock(&m); t; }) == i + 1);
    }
    cond_broadcast(&cond);
    waitgroup_wait(&all);
    check(turn == 10);
    for (int i = 0; i < 5; i++)
        check(order[i] == i);
}

static struct sema sema;
static int64_t served[10];

static void acquires(void *arg)
{
    sema_acquire(&sema);
    served[step++] = (int64_t)(intptr_t)arg;
    waitgroup_done(&all);
}

static void semas(void)
{
    check(!sema_try_acquire(&sema));
    sema_release(&sema);
    sema_release(&sema);
    check(sema_try_acquire(&sema));
    sema_acquire(&sema);
    step = 0;
    for (int i = 0; i < 10; i++) {
        waitgroup_add(&all, 1);
        go(acquires, (void *)(intptr_t)i);
        check_soon(parked(WAIT_SEMA) == (unsigned)i + 1);
    }
    check(step == 0);
    for (int i = 0; i < 10; i++) {
        sema_release(&sema);
        check_soon(step == i + 1);
        check(served[i] == i);
    }
    waitgroup_wait(&all);
    struct sema three = SEMA_INIT(3);
    check(sema_try_acquire(&three) && sema_try_acquire(&three) && sema_try_acquire(&three));
    check(!sema_try_acquire(&three));
}

static struct once once;

static void init(void *arg)
{
    (void)arg;
    time_sleep(TIME_MS);
    step++;
}

static void inits(void *arg)
{
    once_do(&once, init, arg);
    check(step == 1);
    waitgroup_done(&all);
}

static struct pool pool;

static void cycles_objects(void *arg)
{
    (void)arg;
    for (int i = 0; i < 500; i++) {
        _Atomic(int) *obj = pool_get(&pool);
        if (!obj)
            obj = calloc(1, sizeof(*obj));
        check(obj && ++*obj == 1);
        if (i % 8 == 0)
            go_yield();
        check(--*obj == 0);
        check(pool_put(&pool, (void *)obj));
    }
    waitgroup_done(&all);
}

int main(void)
{
    mutexes();
    starvation();
    rwmutexes();
    waitgroups();
    conds();
    semas();
    step = 0;
    start(inits, 10);
    waitgroup_wait(&all);
    start(cycles_objects, WORKERS);
    waitgroup_wait(&all);
    pool_clear(&pool, free);
    printf("sync: all as it should be\n");
    return 0;
}
