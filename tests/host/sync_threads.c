// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=sched/sync_*.c,sched/timer.c,sched/time.c,sched/chan.c,sched/select.c,kernel/spin*.c
// test: cflags="-iquote tests/host/seam"
// test: variants="-fsanitize=thread|-fsanitize=address,undefined" timeout=120
// The objects of sync.h under real concurrency: exclusion and visibility (ThreadSanitizer sees the
// plain variables they guard), no lost wake-up, fairness, misuse, and objects whose memory goes as
// soon as that is legal.

#include "threads.h"

#include <heddle/sync.h>

enum { WORKERS = 6, ROUNDS = 3000 };

static void start(void (*fn)(void *), unsigned n)
{
    for (uintptr_t i = 0; i < n; i++)
        check(go(fn, (void *)i) == 0);
}

static struct mutex mu;
static long guarded;

static void locks(void *arg)
{
    uint32_t rng = 1 + (uint32_t)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (rand_below(&rng, 4) == 0)
            while (!mutex_trylock(&mu))
                sched_yield();
        else
            mutex_lock(&mu);
        guarded++;
        if (rand_below(&rng, 200) == 0)
            usleep(50);
        mutex_unlock(&mu);
    }
}

static void mutexes(void)
{
    start(locks, WORKERS);
    join_all();
    check(guarded == (long)WORKERS * ROUNDS);
    check(atomic_load(&mu.state) == 0 && !mu.queue.head);
    check(panics_with("sync: unlock of unlocked mutex", mutex_unlock(&mu)));
    check(mutex_trylock(&mu) && !mutex_trylock(&mu));
    mutex_unlock(&mu);
}

// One that hardly ever lets go cannot keep others out for long.
static _Atomic(bool) hog_stops;
static _Atomic(int) got_in;

static void hog(void *arg)
{
    (void)arg;
    while (!atomic_load(&hog_stops)) {
        mutex_lock(&mu);
        usleep(100);
        mutex_unlock(&mu);
    }
}

static void wants_in(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) {
        mutex_lock(&mu);
        atomic_fetch_add(&got_in, 1);
        mutex_unlock(&mu);
        usleep(100);
    }
}

static void starvation(void)
{
    start(hog, 1);
    start(wants_in, 3);
    for (int i = 0; atomic_load(&got_in) < 15; i++) {
        check(i < 20000);
        usleep(500);
    }
    atomic_store(&hog_stops, true);
    join_all();
    check(atomic_load(&mu.state) == 0);
}

// Unlocked by the last user, who frees it.
struct shared {
    struct mutex mutex;
    int users;
};

static void drops(void *arg)
{
    struct shared *s = arg;
    mutex_lock(&s->mutex);
    int left = --s->users;
    mutex_unlock(&s->mutex);
    if (left == 0)
        heap_free(s);
}

static void freed_mutexes(void)
{
    for (int i = 0; i < 300; i++) {
        struct shared *s = heap_zalloc(sizeof(*s));
        s->users = 4;
        for (int n = 0; n < 4; n++)
            while (go(drops, s) != 0)
                usleep(100);
    }
    join_all();
}

static struct rwmutex rw;
static long rw_a, rw_b;
static _Atomic(int) readers_now, readers_most;

static void reads_and_writes(void *arg)
{
    uint32_t rng = 1 + (uint32_t)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS / 2; i++) {
        unsigned what = rand_below(&rng, 10);
        if (what == 0 || (what == 1 && rwmutex_trylock(&rw))) {
            if (what == 0)
                rwmutex_lock(&rw);
            check(atomic_load(&readers_now) == 0);
            rw_a++;
            if (rand_below(&rng, 50) == 0)
                usleep(20);
            rw_b++;
            rwmutex_unlock(&rw);
        } else if (what != 2 || rwmutex_tryrlock(&rw)) {
            if (what != 2)
                rwmutex_rlock(&rw);
            int n = atomic_fetch_add(&readers_now, 1) + 1;
            if (n > atomic_load(&readers_most))
                atomic_store(&readers_most, n);
            check(rw_a == rw_b);
            if (rand_below(&rng, 50) == 0)
                usleep(20);
            atomic_fetch_sub(&readers_now, 1);
            rwmutex_runlock(&rw);
        }
    }
}

static void rwmutexes(void)
{
    start(reads_and_writes, WORKERS);
    join_all();
    check(rw_a == rw_b && rw_a > 0 && atomic_load(&readers_most) > 1);
    check(panics_with("sync: RUnlock of unlocked RWMutex", rwmutex_runlock(&rw)));
    check(panics_with("sync: Unlock of unlocked RWMutex", rwmutex_unlock(&rw)));
    rwmutex_rlock(&rw);
    check(!rwmutex_trylock(&rw) && rwmutex_tryrlock(&rw));
    rwmutex_runlock(&rw);
    rwmutex_runlock(&rw);
    check(rwmutex_trylock(&rw) && !rwmutex_tryrlock(&rw));
    check(panics_with("sync: RUnlock of unlocked RWMutex", rwmutex_runlock(&rw)));
    rwmutex_unlock(&rw);
    check(rwmutex_trylock(&rw));
    rwmutex_unlock(&rw);
}

// On the waiter's stack, and the work done is visible after the wait.
struct job {
    struct waitgroup *w;
    int done;
};

static void works(void *arg)
{
    struct job *j = arg;
    j->done = 1;
    waitgroup_done(j->w);
}

static void waits(void *arg)
{
    waitgroup_wait(arg);
}

static void waitgroups(void)
{
    for (int i = 0; i < 200; i++) {
        struct waitgroup w = { 0 };
        struct job jobs[4];
        for (int reuse = 0; reuse < 2; reuse++) {
            waitgroup_add(&w, 4);
            for (int n = 0; n < 4; n++) {
                jobs[n] = (struct job){ &w, 0 };
                check(go(works, &jobs[n]) == 0);
            }
            waitgroup_wait(&w);
            for (int n = 0; n < 4; n++)
                check(jobs[n].done);
        }
        memset(&w, 0xff, sizeof(w));
        while (actors_running() > 40)
            usleep(100);
    }
    join_all();
    struct waitgroup w = { 0 };
    waitgroup_wait(&w);
    check(panics_with("sync: negative WaitGroup counter", waitgroup_done(&w)));
    waitgroup_add(&w, 1);
    for (int n = 0; n < 10; n++)
        check(go(waits, &w) == 0);
    usleep(2000);
    waitgroup_done(&w);
    join_all();
    check(atomic_load(&w.state) == 0);
}

static struct once once;
static int once_calls;

static void init_once(void *arg)
{
    usleep(1000);
    once_calls++;
    *(int *)arg = 7;
}

static int once_value;

static void calls_once(void *arg)
{
    (void)arg;
    once_do(&once, init_once, &once_value);
    check(once_calls == 1 && once_value == 7);
}

static void onces(void)
{
    start(calls_once, 10);
    join_all();
    check(once_calls == 1);
}

// A bounded queue by two condition variables.
enum { ROOM = 3 };
static struct cond not_empty, not_full;
static int queued, passed;

static void puts_items(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        mutex_lock(&mu);
        while (queued == ROOM)
            cond_wait(&not_full, &mu);
        queued++;
        mutex_unlock(&mu);
        cond_signal(&not_empty);
    }
}

static void takes_items(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        mutex_lock(&mu);
        while (queued == 0)
            cond_wait(&not_empty, &mu);
        queued--;
        passed++;
        cond_signal(&not_full);
        mutex_unlock(&mu);
    }
}

static int generation;
static _Atomic(int) released;

static void awaits_generation(void *arg)
{
    (void)arg;
    mutex_lock(&mu);
    while (generation == 0)
        cond_wait(&not_empty, &mu);
    mutex_unlock(&mu);
    atomic_fetch_add(&released, 1);
}

static void conds(void)
{
    start(puts_items, 3);
    start(takes_items, 3);
    join_all();
    check(queued == 0 && passed == 3 * ROUNDS);
    start(awaits_generation, 20);
    usleep(1000);
    mutex_lock(&mu);
    generation = 1;
    mutex_unlock(&mu);
    cond_broadcast(&not_empty);
    join_all();
    check(atomic_load(&released) == 20);
}

static struct sema tickets = SEMA_INIT(3);
static _Atomic(int) inside;

static void enters(void *arg)
{
    uint32_t rng = 3 + (uint32_t)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (rand_below(&rng, 3) == 0)
            while (!sema_try_acquire(&tickets))
                sched_yield();
        else
            sema_acquire(&tickets);
        check(atomic_fetch_add(&inside, 1) < 3);
        atomic_fetch_sub(&inside, 1);
        sema_release(&tickets);
    }
}

struct done {
    struct sema sema;
    int value;
};

static void signals(void *arg)
{
    struct done *d = arg;
    d->value = 5;
    sema_release(&d->sema);
}

static void semas(void)
{
    start(enters, WORKERS);
    join_all();
    for (int i = 0; i < 3; i++)
        check(sema_try_acquire(&tickets));
    check(!sema_try_acquire(&tickets));
    for (int i = 0; i < 400; i++) {
        struct done *d = heap_zalloc(sizeof(*d));
        check(go(signals, d) == 0);
        if (i % 2)
            usleep(100);
        sema_acquire(&d->sema);
        check(d->value == 5);
        heap_free(d);
        while (actors_running() > 40)
            usleep(100);
    }
    join_all();
}

static struct pool pool;
static _Atomic(int) in_use[200];
static _Atomic(int) made, disposed;

static void *make_object(void)
{
    int n = atomic_fetch_add(&made, 1);
    check(n < 200);
    return (void *)&in_use[n];
}

static void uses_pool(void *arg)
{
    uint32_t rng = 1 + (uint32_t)(uintptr_t)arg;
    void *mine[10];
    for (int i = 0; i < ROUNDS; i++) {
        unsigned n = rand_below(&rng, 10);
        for (unsigned k = 0; k < n; k++) {
            mine[k] = pool_get(&pool);
            check(atomic_exchange((_Atomic(int) *)mine[k], 1) == 0);
        }
        for (unsigned k = 0; k < n; k++) {
            atomic_store((_Atomic(int) *)mine[k], 0);
            check(pool_put(&pool, mine[k]));
        }
    }
}

static void dispose(void *obj)
{
    check(atomic_load((_Atomic(int) *)obj) == 0);
    atomic_fetch_add(&disposed, 1);
}

static void pools(void)
{
    check(pool_get(&pool) == NULL && pool_put(&pool, NULL));
    pool_clear(&pool, dispose);
    pool.make = make_object;
    start(uses_pool, WORKERS);
    join_all();
    pool_clear(&pool, dispose);
    check(atomic_load(&disposed) == atomic_load(&made));
    pool.make = NULL;
    check(pool_get(&pool) == NULL);
    for (uintptr_t i = 1; i <= 500; i++)
        check(pool_put(&pool, (void *)i));
    uintptr_t sum = 0;
    for (int i = 0; i < 500; i++)
        sum += (uintptr_t)pool_get(&pool);
    check(sum == 500 * 501 / 2 && pool_get(&pool) == NULL);
    pool_clear(&pool, NULL);
}

int main(void)
{
    threads_begin();
    mutexes();
    starvation();
    freed_mutexes();
    rwmutexes();
    waitgroups();
    onces();
    conds();
    semas();
    pools();
    threads_end();
    printf("sync: mutex, rwmutex, waitgroup, once, cond, sema, pool with %d threads\n", WORKERS);
    return 0;
}
