// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=90 expect="time: all as it should be"
// Sleeping, timers and tickers: never too early, every one once, stop and reset say the truth, tens
// of thousands at once, and a core that computes does not hold the others' timers up.

#include "check.h"

#include <errno.h>

static _Atomic(int) fired;
static struct waitgroup all;

static void fire(void *arg)
{
    if (arg)
        *(int64_t *)arg = time_mono();
    fired++;
}

static void clocks(void)
{
    int64_t last = time_mono();
    for (int i = 0; i < 10000; i++) {
        int64_t now = time_mono();
        check(now >= last);
        last = now;
    }
    check(time_wall() > INT64_C(1577836800) * TIME_S);
    int64_t mono = time_mono(), wall = time_wall();
    time_sleep(20 * TIME_MS);
    int64_t differ = (time_wall() - wall) - (time_mono() - mono);
    check(differ < TIME_S && differ > -TIME_S);
    int64_t before = time_mono();
    time_sleep(0);
    time_sleep(-5);
    time_sleep(INT64_MIN);
    check(time_mono() - before < TIME_S);
}

static void sleeps(void *arg)
{
    uint32_t rng = (uint32_t)(uintptr_t)arg + 1;
    int64_t ns = rand_below(&rng, 200) * TIME_MS, before = time_mono();
    time_sleep(ns);
    check(time_mono() - before >= ns);
    waitgroup_done(&all);
}

static void sleepers(void)
{
    enum { N = 2000 };
    waitgroup_add(&all, N);
    for (intptr_t i = 0; i < N; i++)
        check(go(sleeps, (void *)i) == 0);
    waitgroup_wait(&all);
}

static void one_timer(void)
{
    struct timer t = { 0 };
    int64_t at = 0, before = time_mono();
    check(!timer_stop(&t));
    fired = 0;
    timer_start(&t, 5 * TIME_MS, fire, &at);
    check_soon(fired == 1);
    check(at - before >= 5 * TIME_MS && !timer_stop(&t));
    before = time_mono();
    check(!timer_reset(&t, 2 * TIME_MS));
    check_soon(fired == 2);
    check(at - before >= 2 * TIME_MS);
    timer_start(&t, 10 * TIME_S, fire, &at);
    check(timer_reset(&t, 20 * TIME_S) && timer_stop(&t) && !timer_stop(&t));
    // Set anew while set: fires once, at the later time.
    before = time_mono();
    timer_start(&t, 50 * TIME_MS, fire, &at);
    timer_start(&t, TIME_MS, fire, &at);
    check_soon(fired == 3);
    check(at - before < 50 * TIME_MS || time_mono() - before > 60 * TIME_MS);
    time_sleep(60 * TIME_MS);
    check(fired == 3);
    timer_start(&t, 0, fire, NULL);
    check_soon(fired == 4);
    timer_start(&t, -100, fire, NULL);
    check_soon(fired == 5);
    timer_start(&t, INT64_MAX, fire, NULL);
    settle();
    check(fired == 5 && timer_stop(&t));
}

static void resets_unset(void *arg)
{
    timer_reset(arg, 5);
}

static void starts_nil(void *arg)
{
    timer_start(arg, 5, NULL, NULL);
}

// Many, in all orders; half are stopped, of which half cannot have fired yet. A function may block:
// it has a goroutine.
static void blocks(void *arg)
{
    (void)arg;
    time_sleep(TIME_MS);
    fired++;
}

static void many_timers(void)
{
    enum { N = 20000 };
    static struct timer t[N];
    uint32_t rng = 1;
    int stopped = 0;
    fired = 0;
    for (int i = 0; i < N; i++) {
        int64_t ns = rand_below(&rng, 300) * TIME_MS;
        timer_start(&t[i], i % 4 ? ns : 3600 * TIME_S, fire, NULL);
    }
    for (int i = 0; i < N; i += 2)
        stopped += timer_stop(&t[i]);
    check(stopped >= N / 4);
    check_soon(fired == N - stopped);
    for (int i = 0; i < N; i++)
        check(!timer_stop(&t[i]));
    settle();
    check(fired == N - stopped);
    fired = 0;
    for (int i = 0; i < 200; i++)
        timer_start(&t[i], TIME_MS, blocks, NULL);
    check_soon(fired == 200);
}

// Stop and reset race with the firing, from several goroutines; the numbers must agree.
static struct timer raced;
static _Atomic(int) expected;
static struct mutex m;

static void races(void *arg)
{
    uint32_t rng = 7 + (uint32_t)(uintptr_t)arg;
    for (int i = 0; i < 300; i++) {
        mutex_lock(&m);
        bool was;
        switch (rand_below(&rng, 3)) {
        case 0:
            expected -= timer_stop(&raced);
            break;
        default:
            was = timer_reset(&raced, rand_below(&rng, 300) * TIME_US);
            expected += !was;
        }
        mutex_unlock(&m);
        if (i % 4 == 0)
            time_sleep(rand_below(&rng, 300) * TIME_US);
    }
    waitgroup_done(&all);
}

static void racing(void)
{
    fired = 0;
    expected = 1;
    timer_start(&raced, TIME_MS, fire, NULL);
    waitgroup_add(&all, 4);
    for (intptr_t i = 0; i < 4; i++)
        go(races, (void *)i);
    waitgroup_wait(&all);
    expected -= timer_stop(&raced);
    check_soon(fired == expected);
    settle();
    check(fired == expected);
}

static void tickers(void)
{
    struct ticker t = { 0 };
    int64_t at = 0, last = time_mono();
    check(ticker_start(&t, 0) == -1 && errno == EINVAL);
    check(ticker_reset(&t, TIME_MS) == -1 && errno == EINVAL);
    ticker_stop(&t);
    check(ticker_start(&t, 2 * TIME_MS) == 0 && ticker_start(&t, TIME_MS) == -1 && errno == EBUSY);
    for (int i = 0; i < 10; i++) {
        check(chan_recv(t.c, &at) && at > last && at <= time_mono());
        last = at;
    }
    // Dropped, not piled up: after a long while there is one, and the next comes in time.
    time_sleep(30 * TIME_MS);
    check(chan_len(t.c) == 1 && chan_recv(t.c, &at));
    check(chan_recv_deadline(t.c, &at, time_mono() + 5 * TIME_S) == 1);
    settle();
    ticker_stop(&t);
    check(chan_len(t.c) == 0);
    time_sleep(10 * TIME_MS);
    check(chan_try_recv(t.c, &at) == -1);
    check(ticker_reset(&t, TIME_MS) == 0 && chan_recv(t.c, &at));
    check(ticker_reset(&t, 10 * TIME_S) == 0);
    settle();
    check(chan_try_recv(t.c, &at) == -1);
    ticker_free(&t);
    ticker_free(&t);
    check(!t.c);
}

static _Atomic(bool) stop;

static void computes(void *arg)
{
    (void)arg;
    while (!stop)
        __asm__ volatile("");
}

// Every P is busy with a loop that never calls anything.
static void under_load(void)
{
    for (int i = 0; i < go_numcpu() + 1; i++)
        go(computes, NULL);
    int64_t before = time_mono();
    for (int i = 0; i < 10; i++)
        time_sleep(TIME_MS);
    check(time_mono() - before < 5 * TIME_S);
    stop = true;
}

int main(void)
{
    struct timer unset = { 0 };
    clocks();
    sleepers();
    one_timer();
    check(panics("time: Reset called on uninitialized Timer", resets_unset, &unset));
    check(panics("timer_start: nil function", starts_nil, &unset));
    many_timers();
    racing();
    tickers();
    under_load();
    printf("time: all as it should be\n");
    return 0;
}
