// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=sched/timer.c,sched/time.c,sched/ticker.c,sched/chan.c,sched/select.c,kernel/spin*.c
// test: cflags="-iquote tests/host/seam"
// test: variants="-fsanitize=thread|-fsanitize=address,undefined" timeout=120
// Timers armed, reset, stopped and run by several cores at once: each arming fires once or is
// stopped, never both and never twice; after timer_disarm_sync the timer's memory may go; sleepers
// sleep long enough.

#include "threads.h"

#include <heddle/chan.h>

enum { SHARED = 16, ROUNDS = 3000, USERS = 4 };

static struct timer shared[SHARED];
static _Atomic(int) armings, firings, stops;

static void fire(void *arg)
{
    (void)arg;
    atomic_fetch_add(&firings, 1);
}

// One user at a time has a timer, so that each arming can be accounted for; the firing races with
// it freely.
static pthread_mutex_t slot[SHARED];

static void user(void *arg)
{
    uint32_t rng = 1 + (uint32_t)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned n = rand_below(&rng, SHARED);
        pthread_mutex_lock(&slot[n]);
        // Counted before, since it may fire before timer_arm returns.
        if (timer_disarm(&shared[n]))
            atomic_fetch_add(&stops, 1);
        if (rand_below(&rng, 3)) {
            atomic_fetch_add(&armings, 1);
            timer_arm(&shared[n], clock_mono_ns() + rand_below(&rng, 100000), fire, NULL);
        }
        pthread_mutex_unlock(&slot[n]);
        if (rand_below(&rng, 8) == 0)
            usleep(rand_below(&rng, 300));
    }
}

static void accounted(void)
{
    for (int i = 0; i < SHARED; i++)
        pthread_mutex_init(&slot[i], NULL);
    for (uintptr_t i = 0; i < USERS; i++)
        check(go(user, (void *)i) == 0);
    join_all();
    for (int i = 0; i < SHARED; i++) {
        if (timer_disarm_sync(&shared[i]))
            atomic_fetch_add(&stops, 1);
    }
    check(atomic_load(&armings) == atomic_load(&firings) + atomic_load(&stops));
}

// A timer that arms itself again, in memory that goes as soon as it is disarmed.
struct object {
    struct timer t;
    int n;
};

static void again(void *arg)
{
    struct object *o = arg;
    o->n++;
    timer_arm(&o->t, clock_mono_ns() + 1000, again, o);
}

static void goes_away(void *arg)
{
    uint32_t rng = 9 + (uint32_t)(uintptr_t)arg;
    for (int i = 0; i < 300; i++) {
        struct object *o = heap_zalloc(sizeof(*o));
        timer_arm(&o->t, clock_mono_ns() + rand_below(&rng, 50000), again, o);
        usleep(rand_below(&rng, 150));
        timer_disarm_sync(&o->t);
        memset(o, 0x5a, sizeof(*o));
        heap_free(o);
    }
}

static void sleeps(void *arg)
{
    uint32_t rng = 5 + (uint32_t)(uintptr_t)arg;
    for (int i = 0; i < 200; i++) {
        int64_t ns = rand_below(&rng, 200000), before = time_mono();
        time_sleep(ns);
        check(time_mono() - before >= ns);
    }
}

static _Atomic(int) spawned;

static void in_goroutine(void *arg)
{
    check(getg() != NULL && arg == &spawned);
    atomic_fetch_add(&spawned, 1);
}

// The application's timers: stop and reset say truly whether the function will run.
static void public_timers(void *arg)
{
    uint32_t rng = 31 + (uint32_t)(uintptr_t)arg;
    struct timer t = { 0 };
    int expect = 0;
    atomic_store(&spawned, 0);
    for (int i = 0; i < 300; i++) {
        timer_start(&t, rand_below(&rng, 100000), in_goroutine, &spawned);
        expect++;
        usleep(rand_below(&rng, 150));
        if (rand_below(&rng, 2)) {
            if (timer_reset(&t, rand_below(&rng, 100000)))
                expect--;
            expect++;
            usleep(rand_below(&rng, 100));
        }
        if (timer_stop(&t))
            expect--;
        check(!timer_stop(&t));
    }
    while (actors_running() > 1)
        usleep(100);
    check(atomic_load(&spawned) == expect);
}

static void tickers(void)
{
    struct ticker t = { 0 };
    int64_t at, last = time_mono();
    check(ticker_start(&t, 0) == -1 && errno == EINVAL);
    check(ticker_reset(&t, 5) == -1 && errno == EINVAL);
    ticker_stop(&t);
    check(ticker_start(&t, 200000) == 0);
    check(ticker_start(&t, 200000) == -1 && errno == EBUSY);
    for (int i = 0; i < 20; i++) {
        check(chan_recv(t.c, &at) && at > last && at <= time_mono());
        last = at;
    }
    usleep(5000);
    check(chan_len(t.c) <= 1);
    ticker_stop(&t);
    check(chan_len(t.c) == 0);
    usleep(2000);
    check(chan_len(t.c) == 0);
    for (int i = 1; i < 200; i++) {
        check(ticker_reset(&t, 1000 * i) == 0);
        usleep(20);
    }
    struct chan *c = t.c;
    chan_close(c);
    usleep(2000);
    ticker_free(&t);
    check(!t.c && ticker_start(&t, 1000) == 0);
    check(chan_recv(t.c, NULL));
    ticker_free(&t);
}

int main(void)
{
    threads_begin();
    accounted();
    for (uintptr_t i = 0; i < USERS; i++)
        check(go(goes_away, (void *)i) == 0);
    join_all();
    for (uintptr_t i = 0; i < USERS; i++)
        check(go(sleeps, (void *)i) == 0);
    join_all();
    check(go(public_timers, NULL) == 0);
    join_all();
    tickers();
    threads_end();
    printf("timers: %d armings, %d fired, %d stopped\n", armings, firings, stops);
    return 0;
}
