// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 kopts="slice_us=500" timeout=90 expect="go_sync: all as in Go"
// What Go's own tests ask of package sync (docs/conformance.md says which is which) and what
// sync_semantics.c does not: a semaphore and trylock as locks, readers all inside at once, how many
// a signal wakes, that a late waiter does not take a signal from an earlier one, conditions with
// three parties, wait groups used again at once.

#include "check.h"

static struct waitgroup all;
static struct mutex m;
static _Atomic(int) inside, awake;

static void start(void (*fn)(void *), int n)
{
    waitgroup_add(&all, n);
    for (intptr_t i = 0; i < n; i++)
        check(go(fn, (void *)i) == 0);
}

static struct sema sema = SEMA_INIT(1);

static void hammers_sema(void *arg)
{
    for (int i = 0; i < 500; i++) {
        sema_acquire(&sema);
        check(inside++ == 0);
        inside--;
        sema_release(&sema);
    }
    waitgroup_done(&all);
}

static void hammers_mutex(void *arg)
{
    for (int i = 0; i < 500; i++) {
        if (i % 3 == 0) {
            if (mutex_trylock(&m))
                mutex_unlock(&m);
            continue;
        }
        mutex_lock(&m);
        check(inside++ == 0);
        inside--;
        mutex_unlock(&m);
    }
    waitgroup_done(&all);
}

static void trylocks(void)
{
    check(mutex_trylock(&m) && !mutex_trylock(&m));
    mutex_unlock(&m);
    check(mutex_trylock(&m));
    mutex_unlock(&m);
}

// ---- readers ----

static struct rwmutex rw;
static struct chan *in, *out;

static void reads(void *arg)
{
    rwmutex_rlock(&rw);
    chan_send(in, NULL);
    chan_recv(out, NULL);
    rwmutex_runlock(&rw);
    waitgroup_done(&all);
}

// None leaves before all have come.
static void parallel_readers(int n)
{
    start(reads, n);
    for (int i = 0; i < n; i++)
        chan_recv(in, NULL);
    check(!rwmutex_trylock(&rw) && rwmutex_tryrlock(&rw));
    rwmutex_runlock(&rw);
    for (int i = 0; i < n; i++)
        chan_send(out, NULL);
    waitgroup_wait(&all);
    check(rwmutex_trylock(&rw) && !rwmutex_tryrlock(&rw));
    rwmutex_unlock(&rw);
}

// ---- conditions ----

static struct cond cond;

static void waits_once(void *arg)
{
    mutex_lock(&m);
    inside++;
    cond_wait(&cond, &m);
    awake++;
    mutex_unlock(&m);
    waitgroup_done(&all);
}

static int locked_value(_Atomic(int) *v)
{
    mutex_lock(&m);
    int n = *v;
    mutex_unlock(&m);
    return n;
}

static void signals(void)
{
    inside = awake = 0;
    start(waits_once, 4);
    check_soon(locked_value(&inside) == 4 && awake == 0);
    for (int i = 1; i <= 3; i++) {
        mutex_lock(&m);
        cond_signal(&cond);
        mutex_unlock(&m);
        check_soon(locked_value(&awake) == i);
        settle();
        check(awake == i);
    }
    cond_signal(&cond);
    waitgroup_wait(&all);
    cond_signal(&cond);
    inside = 0;
}

// The waiter that came first gets the signal, though another comes to wait before it has run.
static _Atomic(int) first_done;

static void waits_first(void *arg)
{
    mutex_lock(&m);
    inside++;
    cond_wait(&cond, &m);
    mutex_unlock(&m);
    first_done++;
}

static void waits_second(void *arg)
{
    bool *go_on = arg;
    mutex_lock(&m);
    inside++;
    while (!*go_on)
        cond_wait(&cond, &m);
    mutex_unlock(&m);
    waitgroup_done(&all);
}

static void stealing(void)
{
    for (int i = 0; i < 50; i++) {
        bool go_on = false;
        inside = first_done = 0;
        go(waits_first, NULL);
        check_soon(locked_value(&inside) == 1);
        mutex_lock(&m);
        waitgroup_add(&all, 1);
        go(waits_second, &go_on);
        cond_signal(&cond);
        mutex_unlock(&m);
        check_soon(first_done == 1);
        mutex_lock(&m);
        go_on = true;
        cond_broadcast(&cond);
        mutex_unlock(&m);
        waitgroup_wait(&all);
    }
    inside = 0;
}

// Three parties that hand a number on: 0 to 1 to 2, each waiting for its own.
static int stage;

static void stage_one(void *arg)
{
    mutex_lock(&m);
    stage = 1;
    cond_wait(&cond, &m);
    check(stage == 2);
    stage = 3;
    cond_signal(&cond);
    mutex_unlock(&m);
    waitgroup_done(&all);
}

static void stage_two(void *arg)
{
    mutex_lock(&m);
    while (stage != 1) {
        mutex_unlock(&m);
        go_yield();
        mutex_lock(&m);
    }
    stage = 2;
    cond_signal(&cond);
    mutex_unlock(&m);
    mutex_lock(&m);
    while (stage == 2) {
        cond_wait(&cond, &m);
        check(stage == 3);
    }
    mutex_unlock(&m);
    waitgroup_done(&all);
}

// ---- wait groups ----

static struct waitgroup group;
static _Atomic(int) added;

static void adds_one(void *w)
{
    added++;
    waitgroup_done(w);
}

static void waitgroups(void)
{
    for (int i = 0; i < 500; i++) {
        struct waitgroup w = { 0 };
        added = 0;
        waitgroup_add(&w, 1);
        go(adds_one, &w);
        waitgroup_add(&w, 1);
        go(adds_one, &w);
        waitgroup_wait(&w);
        check(added == 2);
    }
    waitgroup_add(&group, 1);
    waitgroup_done(&group);
}

static void too_many(void *arg) { waitgroup_done(arg); }
static void far_too_many(void *arg) { waitgroup_add(arg, -5); }

// ---- a pool makes what it has not got ----

static int made;

static void *makes(void)
{
    made++;
    return malloc(16);
}

static void pools(void)
{
    static struct pool empty, full = { .make = makes };
    check(pool_get(&empty) == NULL && pool_put(&empty, NULL) && pool_get(&empty) == NULL);
    void *a = pool_get(&full);
    check(a && made == 1);
    preempt_disable(); // the same P gets back what it has put
    check(pool_put(&full, a) && pool_get(&full) == a && made == 1);
    preempt_enable();
    free(a);
    pool_clear(&full, free);
}

int main(void)
{
    in = chan_make(0, 0);
    out = chan_make(0, 0);
    start(hammers_sema, 10);
    waitgroup_wait(&all);
    trylocks();
    start(hammers_mutex, 10);
    waitgroup_wait(&all);
    for (int n = 1; n <= 4; n++)
        parallel_readers(n);
    signals();
    stealing();
    for (int i = 0; i < 50; i++) {
        stage = 0;
        start(stage_one, 1);
        start(stage_two, 1);
        waitgroup_wait(&all);
    }
    waitgroups();
    check(panics("sync: negative WaitGroup counter", too_many, &group));
    check(panics("sync: negative WaitGroup counter", far_too_many, &group));
    waitgroup_wait(&group);
    pools();
    printf("go_sync: all as in Go\n");
    return 0;
}
