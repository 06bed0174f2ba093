// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=60 expect="select: all as it should be"
// What a select promises: which cases may run, fairness, channels that stand in several cases or
// are NULL or closed, deadlines, many cases, selects that meet selects, and that nothing is left
// behind in the queues.

#include "check.h"

#include <errno.h>

static struct chan *a, *b;
static _Atomic(int) finished;

static int select1(struct chan *c, int op, void *elem, bool block)
{
    struct chan_case k = { c, op, elem, false };
    return chan_select(&k, 1, block);
}

static void simple(void)
{
    int64_t v = 1, w = 0;
    a = chan_make(8, 1);
    b = chan_make(8, 0);
    errno = 0;
    check(chan_select(NULL, 0, false) == -1 && errno == EAGAIN);
    check(chan_select(NULL, -1, true) == -1 && errno == EINVAL);
    check(chan_select(NULL, 65536, true) == -1 && errno == EINVAL);
    check(select1(a, CHAN_RECV, &v, false) == -1 && select1(b, CHAN_SEND, &v, false) == -1);
    check(select1(a, CHAN_SEND, &v, true) == 0 && chan_len(a) == 1);
    check(select1(a, CHAN_SEND, &v, false) == -1);
    struct chan_case k[3] = { { b, CHAN_RECV, &w, false }, { NULL, CHAN_SEND, &w, false },
                              { a, CHAN_RECV, &w, false } };
    check(chan_select(k, 3, true) == 2 && k[2].ok && w == 1);
    check(chan_select(k, 3, false) == -1);
    chan_close(b);
    w = 5;
    check(chan_select(k, 3, true) == 0 && !k[0].ok && w == 0);
    chan_free(a);
    chan_free(b);
}

// Of those that can run each is as likely, also when the same channel has several cases.
static void fairness(void)
{
    enum { N = 4, ROUNDS = 8000 };
    struct chan *c[N];
    int hits[N] = { 0 };
    for (int i = 0; i < N; i++) {
        c[i] = chan_make(0, 1);
        chan_close(c[i]);
    }
    c[3] = c[2];
    for (int r = 0; r < ROUNDS; r++) {
        struct chan_case k[N + 1];
        for (int i = 0; i < N; i++)
            k[i] = (struct chan_case){ c[i], CHAN_RECV, NULL, false };
        k[N] = (struct chan_case){ NULL, CHAN_RECV, NULL, false };
        hits[chan_select(k, N + 1, true)]++;
    }
    for (int i = 0; i < N; i++)
        check(hits[i] > ROUNDS / N * 8 / 10 && hits[i] < ROUNDS / N * 12 / 10);
    for (int i = 0; i < N - 1; i++)
        chan_free(c[i]);
}

static void selects_send(void *arg)
{
    (void)arg;
    int64_t v = 21, w = 22;
    struct chan_case k[3] = { { a, CHAN_SEND, &v, false }, { b, CHAN_SEND, &w, false },
                              { a, CHAN_SEND, &v, false } };
    int ran = chan_select(k, 3, true);
    check(ran >= 0 && k[ran].ok);
    finished++;
}

// A waiting select is served by sends, receives, other selects and closes; only one of its cases
// runs.
static void waiting(void)
{
    int64_t v = 0;
    a = chan_make(8, 0);
    b = chan_make(8, 0);
    finished = 0;
    go(selects_send, NULL);
    settle();
    check(finished == 0);
    check(chan_recv(b, &v) && v == 22);
    check_soon(finished == 1 && chan_try_recv(a, &v) == -1 && chan_try_recv(b, &v) == -1);
    go(selects_send, NULL);
    settle();
    struct chan_case k[2] = { { a, CHAN_RECV, &v, false }, { b, CHAN_RECV, &v, false } };
    check(chan_select(k, 2, true) >= 0 && (v == 21 || v == 22));
    check(chan_select(k, 2, false) == -1);
    check_soon(finished == 2);
    chan_free(a);
    chan_free(b);
}

static void select_send(void *arg)
{
    int64_t v = 1;
    struct chan_case k[2] = { { arg, CHAN_SEND, &v, false }, { NULL, CHAN_RECV, NULL, false } };
    chan_select(k, 2, true);
}

static void waits_and_panics(void *arg)
{
    struct go_panic_info info;
    check(!go_try(select_send, arg, &info));
    check(strcmp(info.message, "send on closed channel") == 0);
    finished++;
}

static void closed_sends(void)
{
    a = chan_make(8, 0);
    finished = 0;
    go(waits_and_panics, a);
    go(waits_and_panics, a);
    settle();
    check(finished == 0);
    chan_close(a);
    check_soon(finished == 2);
    check(panics("send on closed channel", select_send, a));
    chan_free(a);
}

static void deadlines(void)
{
    int64_t v, when;
    a = chan_make(8, 0);
    b = chan_make(8, 0);
    struct chan_case k[3] = { { a, CHAN_RECV, &v, false }, { b, CHAN_SEND, &v, false },
                              { a, CHAN_RECV, &v, false } };
    for (int i = 0; i < 5; i++) {
        when = time_mono() + TIME_MS;
        errno = 0;
        check(chan_select_deadline(k, 3, when) == -1 && errno == ETIMEDOUT && time_mono() >= when);
        check(!chan_try_send(a, &v) && chan_try_recv(b, &v) == -1);
    }
    when = time_mono() + TIME_MS;
    check(chan_select_deadline(NULL, 0, when) == -1 && errno == ETIMEDOUT && time_mono() >= when);
    check(chan_select_deadline(k, 3, 0) == -1);
    chan_close(a);
    check(chan_select_deadline(k, 3, 0) != 1);
    chan_free(a);
    chan_free(b);
}

static void sends_late(void *arg)
{
    struct chan **c = arg;
    settle();
    chan_send(c[777], &(int64_t){ 777 });
}

static void many(void)
{
    enum { N = 1000 };
    static struct chan *c[N];
    static struct chan_case k[2 * N];
    int64_t v = 0;
    for (int i = 0; i < N; i++) {
        c[i] = chan_make(8, 0);
        k[i] = (struct chan_case){ c[i], CHAN_RECV, &v, false };
        k[N + i] = (struct chan_case){ c[N - 1 - i], CHAN_RECV, &v, false };
    }
    check(chan_select(k, 2 * N, false) == -1);
    go(sends_late, c);
    int ran = chan_select(k, 2 * N, true);
    check((ran == 777 || ran == N + N - 1 - 777) && k[ran].ok && v == 777);
    check(chan_select_deadline(k, 2 * N, time_mono() + TIME_MS) == -1);
    chan_close(c[3]);
    ran = chan_select(k, 2 * N, true);
    check((ran == 3 || ran == N + N - 1 - 3) && !k[ran].ok);
    for (int i = 0; i < N; i++)
        chan_free(c[i]);
}

// Selects that both send and receive on the same two channels pass each other everything exactly
// once.
enum { PEERS = 6, EXCHANGES = 2000 };
static _Atomic(int64_t) sent_sum, received_sum;
static _Atomic(int) sent_n, received_n;
static struct chan *stop;

static void exchanges(void *arg)
{
    uint32_t rng = 1 + (uint32_t)(uintptr_t)arg;
    for (;;) {
        int64_t out = rand_below(&rng, 1000), in1 = 0, in2 = 0;
        struct chan_case k[4] = { { a, CHAN_SEND, &out, false }, { b, CHAN_RECV, &in1, false },
                                  { a, CHAN_RECV, &in2, false }, { stop, CHAN_RECV, NULL, false } };
        if (rand_below(&rng, 2))
            k[0].c = b;
        int ran = chan_select(k, 4, true);
        if (ran == 3)
            break;
        if (ran == 0) {
            sent_sum += out;
            sent_n++;
        } else {
            received_sum += in1 + in2;
            received_n++;
        }
    }
    finished++;
}

static void exchange(void)
{
    a = chan_make(8, 0);
    b = chan_make(8, 1);
    stop = chan_make(0, 0);
    finished = 0;
    for (intptr_t i = 0; i < PEERS; i++)
        go(exchanges, (void *)i);
    while (received_n < EXCHANGES)
        time_sleep(TIME_MS);
    chan_close(stop);
    while (finished < PEERS)
        time_sleep(TIME_MS);
    int64_t v;
    while (chan_try_recv(b, &v) == 1) {
        received_n++;
        received_sum += v;
    }
    check(sent_n == received_n && sent_sum == received_sum);
    check(chan_try_recv(a, &v) == -1);
    chan_free(a);
    chan_free(b);
    chan_free(stop);
}

int main(void)
{
    simple();
    fairness();
    waiting();
    closed_sends();
    deadlines();
    many();
    exchange();
    printf("select: all as it should be\n");
    return 0;
}
