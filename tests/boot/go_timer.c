// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=90 expect="go_timer: all as in Go"
// What Go's own tests ask of timers and tickers (docs/conformance.md says which is which) and what
// timer_semantics.c does not: order of sleepers and of channels, a function that sets its own timer
// again, huge and negative durations, timers made earlier, many of them moved about.

#include "check.h"

static struct waitgroup all;
static _Atomic(int) fired;

// ---- in the order of their times, whatever the order of their making ----

static struct mutex m;
static int order[8], ordered;
static int64_t base_ns, last_start_ns;

static void sleeps_in_turn(void *arg)
{
    int n = (int)(intptr_t)arg;
    int64_t due = base_ns + (n + 2) * 10 * TIME_MS;
    last_start_ns = time_mono();
    time_sleep(due - last_start_ns);
    check(time_mono() >= due);
    mutex_lock(&m);
    order[ordered++] = n;
    mutex_unlock(&m);
    waitgroup_done(&all);
}

static void sleepers_in_order(void)
{
    static const int made[8] = { 3, 0, 7, 2, 6, 1, 5, 4 };
    waitgroup_add(&all, 8);
    base_ns = time_mono();
    for (int i = 0; i < 8; i++)
        go(sleeps_in_turn, (void *)(intptr_t)made[i]);
    waitgroup_wait(&all);
    // On one core, if all were asleep before the first was due.
    bool in_time = last_start_ns < base_ns + 20 * TIME_MS && go_numcpu() == 1;
    for (int i = 0; in_time && i < 8; i++)
        check(order[i] == i);
}

static void afters_in_order(void)
{
    static const int ms[5] = { 5, 30, 1, 20, 10 };
    struct chan *c[5];
    int64_t at[5];
    for (int i = 0; i < 5; i++)
        c[i] = time_after(ms[i] * TIME_MS);
    for (int i = 0; i < 5; i++) {
        check(chan_recv(c[i], &at[i]));
        chan_free(c[i]);
    }
    // Made in this order, the later in time is never the earlier to arrive.
    check(at[1] > at[0] && at[3] > at[2]);
}

static void ticks_by_after(void)
{
    int64_t before = time_mono(), at = 0, last = before;
    for (int i = 0; i < 10; i++) {
        struct chan *c = time_after(2 * TIME_MS);
        check(chan_recv(c, &at) && at >= last + 2 * TIME_MS && chan_len(c) == 0);
        last = at;
        chan_free(c);
    }
    check(time_mono() - before >= 20 * TIME_MS);
}

// ---- a function that sets its timer again ----

static struct timer again;
static struct chan *end;
static int left;

static void counts_down(void *arg)
{
    if (--left > 0)
        timer_reset(&again, 0);
    else
        chan_send(end, NULL);
}

static void recursive(void)
{
    left = 10;
    timer_start(&again, 0, counts_down, NULL);
    chan_recv(end, NULL);
    check(left == 0 && !timer_stop(&again));
}

// ---- stopped in time, each one ----

static void fires(void *arg) { fired++; }

static void stopped(void)
{
    enum { N = 100 };
    static struct timer t[N];
    fired = 0;
    int stops = 0;
    for (int i = 0; i < N; i++) {
        timer_start(&t[i], TIME_MS, fires, NULL);
        if (i % 10 == 0)
            go_yield();
        stops += timer_stop(&t[i]);
    }
    check_soon(fired == N - stops);
    settle();
    check(fired == N - stops);

    // A long one first, a short one after it; the long one is stopped once and only once.
    timer_start(&t[0], 100 * TIME_S, fires, NULL);
    fired = 0;
    timer_start(&t[1], 5 * TIME_MS, fires, NULL);
    check_soon(fired == 1);
    check(!timer_stop(&t[1]) && timer_stop(&t[0]) && !timer_stop(&t[0]));
}

// ---- durations no clock will reach, and those that are over ----

static void sends(void *arg) { chan_send(end, NULL); }

static void huge(void)
{
    struct chan *far = time_after(INT64_MAX), *near = time_after(TIME_MS);
    struct chan_case k[2] = { { far, CHAN_RECV, NULL, false }, { near, CHAN_RECV, NULL, false } };
    check(chan_select(k, 2, true) == 1);
    check(chan_select_deadline(k, 2, time_mono() + 2 * TIME_MS) == -1);
    chan_free(far);
    chan_free(near);
    struct chan *past = time_after(INT64_MIN), *negative = time_after(-1);
    check(chan_recv(past, NULL) && chan_recv(negative, NULL));
    chan_free(past);
    chan_free(negative);

    static struct timer t;
    timer_start(&t, INT64_MAX - 5, fires, NULL);
    fired = 0;
    struct ticker slow = { 0 };
    int64_t at;
    check(ticker_start(&slow, INT64_MAX) == 0);
    check(ticker_reset(&slow, TIME_MS) == 0 && chan_recv(slow.c, &at));
    check(ticker_reset(&slow, INT64_MAX) == 0);
    settle();
    check(chan_try_recv(slow.c, &at) == -1 && fired == 0);
    ticker_free(&slow);
    check(timer_reset(&t, -5));
    check_soon(fired == 1);
    time_sleep(0);
}

// ---- made earlier, made later ----

static void modified(void)
{
    static struct timer past, t;
    timer_start(&past, 10 * TIME_S, fires, NULL);
    for (int i = 0; i < 20; i++) {
        timer_start(&t, 1000 * TIME_S, sends, NULL);
        check(timer_reset(&t, TIME_MS));
        chan_recv(end, NULL);
    }
    check(timer_stop(&past));
    // Put off before it is due, again and again: it has not fired, however long that takes.
    int64_t before = time_mono();
    fired = 0;
    timer_start(&t, 20 * TIME_MS, fires, NULL);
    for (int i = 0; i < 10; i++) {
        time_sleep(2 * TIME_MS);
        if (!timer_reset(&t, 20 * TIME_MS)) {
            check(time_mono() - before >= 20 * TIME_MS);
            break;
        }
    }
    check_soon(fired >= 1);
    check(time_mono() - before >= 20 * TIME_MS);
}

static struct timer moved[200];

static void moves(void *arg)
{
    uint32_t rng = 77 + (uint32_t)(uintptr_t)arg;
    for (int i = 0; i < 300; i++) {
        unsigned n = rand_below(&rng, 50) + 50 * (unsigned)(uintptr_t)arg;
        timer_start(&moved[n], rand_below(&rng, 10) == 0 ? TIME_S : rand_below(&rng, 5) * TIME_MS,
                    fires, NULL);
        if (i % 50 == 0)
            time_sleep(TIME_MS);
    }
    for (unsigned i = 0; i < 50; i++)
        timer_stop(&moved[50 * (unsigned)(uintptr_t)arg + i]);
    waitgroup_done(&all);
}

static void adjusted(void)
{
    waitgroup_add(&all, 4);
    for (intptr_t i = 0; i < 4; i++)
        go(moves, (void *)i);
    waitgroup_wait(&all);
    for (unsigned i = 0; i < 200; i++)
        check(!timer_stop(&moved[i]));
}

// ---- tickers ----

static void tickers(void)
{
    struct ticker never = { 0 };
    ticker_stop(&never); // nothing to stop, no harm
    struct ticker t = { 0 };
    int64_t at, first = 0;
    check(ticker_start(&t, 4 * TIME_MS) == 0);
    int64_t before = time_mono();
    for (int i = 0; i < 5; i++) {
        check(chan_recv(t.c, &at));
        first = first ? first : at;
    }
    // The phase is kept: a tick that was late does not make the next ones late.
    check((at - first) % TIME_MS < 4 * TIME_MS && at - before >= 16 * TIME_MS);
    check(ticker_reset(&t, 8 * TIME_MS) == 0);
    before = time_mono();
    for (int i = 0; i < 3; i++)
        check(chan_recv(t.c, &at));
    check(at - before >= 15 * TIME_MS);
    ticker_stop(&t);
    time_sleep(20 * TIME_MS);
    check(chan_try_recv(t.c, &at) == -1);
    ticker_free(&t);
    // Coming and going, a tick received or not.
    for (int i = 0; i < 30; i++) {
        check(ticker_start(&t, 500 * TIME_US) == 0);
        if (i % 2)
            chan_recv(t.c, &at);
        ticker_free(&t);
    }
}

int main(void)
{
    end = chan_make(0, 0);
    sleepers_in_order();
    afters_in_order();
    ticks_by_after();
    recursive();
    stopped();
    huge();
    modified();
    adjusted();
    tickers();
    printf("go_timer: all as in Go\n");
    return 0;
}
