// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=60 expect="chan: all as it should be"
// What a channel promises, one case at a time: blocking, order, hand-over, closing, panics, NULL
// channels, sizes, deadlines, freeing.

#include "check.h"

#include <errno.h>

static struct chan *c, *done;
static _Atomic(int) step;

static void sends_one(void *arg)
{
    int64_t v = (int64_t)(intptr_t)arg;
    chan_send(c, &v);
    step++;
}

static void receives_one(void *arg)
{
    int64_t v = -1;
    bool ok = chan_recv(c, &v);
    if (arg)
        __atomic_store_n((int64_t *)arg, ok ? v : -2, __ATOMIC_RELEASE);
    step++;
}

// What receives_one has written, while it may still be about to.
static int64_t now(int64_t *got) { return __atomic_load_n(got, __ATOMIC_ACQUIRE); }

static void do_send(void *arg) { chan_send(arg, &(int64_t){ 1 }); }
static void do_try_send(void *arg) { chan_try_send(arg, &(int64_t){ 1 }); }
static void do_send_deadline(void *arg) { chan_send_deadline(arg, &(int64_t){ 1 }, INT64_MAX); }
static void do_close(void *arg) { chan_close(arg); }
static void do_free(void *arg) { chan_free(arg); }
static void do_recv(void *arg) { chan_recv(arg, NULL); }

static void make(void)
{
    errno = 0;
    check(!chan_make(SIZE_MAX, 0) && errno == EINVAL);
    errno = 0;
    check(!chan_make(8, SIZE_MAX / 4) && errno == ENOMEM);
    check(!chan_make(1 << 20, (size_t)1 << 40) && errno == ENOMEM);
    c = chan_make(8, 5);
    check(c && chan_cap(c) == 5 && chan_len(c) == 0);
    chan_free(c);
    check(chan_len(NULL) == 0 && chan_cap(NULL) == 0);
    chan_free(NULL);
}

// An unbuffered send ends when it has been received, a receive when something has been sent.
static void unbuffered(void)
{
    c = chan_make(8, 0);
    step = 0;
    go(sends_one, (void *)7);
    settle();
    check(step == 0 && chan_len(c) == 0);
    int64_t v = 0;
    check(chan_recv(c, &v) && v == 7);
    check_soon(step == 1);

    int64_t got = 0;
    go(receives_one, &got);
    settle();
    check(step == 1 && got == 0);
    v = 8;
    chan_send(c, &v);
    check_soon(step == 2 && got == 8);

    check(!chan_try_send(c, &v));
    errno = 0;
    check(chan_try_recv(c, &v) == -1 && errno == EAGAIN);
    go(receives_one, &got);
    settle();
    v = 9;
    check(chan_try_send(c, &v));
    check_soon(now(&got) == 9);
    go(sends_one, (void *)10);
    settle();
    check(chan_try_recv(c, &v) == 1 && v == 10);
    check_soon(step == 4);
    chan_free(c);
}

static void buffered(void)
{
    c = chan_make(8, 3);
    step = 0;
    for (int64_t i = 0; i < 3; i++)
        check(chan_len(c) == (size_t)i && chan_try_send(c, &i));
    check(!chan_try_send(c, &(int64_t){ 9 }) && chan_len(c) == 3);
    for (intptr_t i = 3; i < 6; i++) {
        go(sends_one, (void *)i);
        check_soon(parked(WAIT_CHAN_SEND) == (unsigned)i - 2);
    }
    check(step == 0);
    int64_t v;
    for (int64_t i = 0; i < 6; i++)
        check(chan_recv(c, &v) && v == i);
    check_soon(step == 3 && chan_len(c) == 0);
    chan_free(c);
}

// Who waits longest is served first.
static void fifo(void)
{
    enum { N = 20 };
    step = 0;
    static int64_t got[N];
    for (int i = 0; i < N; i++)
        got[i] = -1;
    c = chan_make(8, 0);
    for (int i = 0; i < N; i++) {
        go(receives_one, &got[i]);
        check_soon(parked(WAIT_CHAN_RECV) == (unsigned)i + 1);
    }
    for (int64_t i = 0; i < N; i++)
        chan_send(c, &i);
    for (int i = 0; i < N; i++)
        check_soon(now(&got[i]) == i);
    for (intptr_t i = 0; i < N; i++) {
        go(sends_one, (void *)i);
        check_soon(parked(WAIT_CHAN_SEND) == (unsigned)i + 1);
    }
    int64_t v;
    for (int64_t i = 0; i < N; i++)
        check(chan_recv(c, &v) && v == i);
    check_soon(step == 2 * N);
    chan_free(c);
}

static struct go_panic_info sender_info;

static void sender_that_panics(void *arg)
{
    (void)arg;
    check(!go_try(do_send, c, &sender_info));
    step++;
}

static void closing(void)
{
    int64_t v = 5, got[3] = { 0, 0, 0 };
    c = chan_make(8, 2);
    chan_send(c, &v);
    chan_close(c);
    check(chan_recv(c, &v) && v == 5);
    check(!chan_recv(c, &v) && v == 0);
    v = 6;
    check(chan_try_recv(c, &v) == 0 && v == 0);
    check(chan_recv_deadline(c, &v, 0) == 0);
    check(!chan_recv(c, NULL));
    check(panics("send on closed channel", do_send, c));
    check(panics("send on closed channel", do_try_send, c));
    check(panics("send on closed channel", do_send_deadline, c));
    check(panics("close of closed channel", do_close, c));
    check(panics("close of nil channel", do_close, NULL));
    chan_free(c);

    // Everyone who waits is woken.
    c = chan_make(8, 0);
    step = 0;
    for (int i = 0; i < 3; i++)
        go(receives_one, &got[i]);
    settle();
    chan_close(c);
    check_soon(step == 3 && got[0] == -2 && got[1] == -2 && got[2] == -2);
    chan_free(c);

    c = chan_make(8, 1);
    step = 0;
    chan_send(c, &v);
    go(sender_that_panics, NULL);
    go(sender_that_panics, NULL);
    settle();
    check(step == 0);
    chan_close(c);
    check_soon(step == 2 && strcmp(sender_info.message, "send on closed channel") == 0);
    // What had been buffered is still there, what waited to be is not.
    check(chan_try_recv(c, &v) == 1 && chan_try_recv(c, &v) == 0);
    chan_free(c);
}

static void waits_for_ever(void *arg)
{
    switch ((intptr_t)arg) {
    case 0:
        chan_send(NULL, &step);
        break;
    case 1:
        chan_recv(NULL, NULL);
        break;
    case 2:
        chan_select(NULL, 0, true);
        break;
    default:
        chan_select(&(struct chan_case){ NULL, CHAN_RECV, NULL, false }, 1, true);
    }
    step = 100;
}

static void nil_channels(void)
{
    step = 0;
    for (intptr_t i = 0; i < 4; i++)
        go(waits_for_ever, (void *)i);
    settle();
    check(step == 0);
    check(!chan_try_send(NULL, &step));
    errno = 0;
    check(chan_try_recv(NULL, NULL) == -1 && errno == EAGAIN);
    errno = 0;
    int64_t when = time_mono() + TIME_MS;
    check(chan_recv_deadline(NULL, NULL, when) == -1 && errno == ETIMEDOUT && time_mono() >= when);
    errno = 0;
    check(!chan_send_deadline(NULL, &step, time_mono() + TIME_MS) && errno == ETIMEDOUT);
}

static void sizes(void)
{
    static const size_t all[] = { 0, 1, 2, 3, 4, 7, 8, 12, 16, 24, 100, 1000, 70000 };
    static unsigned char out[70000 + 16], in[70000 + 16];
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        size_t size = all[i];
        struct chan *s = chan_make(size, 3);
        check(s != NULL);
        for (int round = 0; round < 5; round++) {
            for (size_t k = 0; k < sizeof(out); k++)
                out[k] = (unsigned char)(k * 7 + (size_t)round);
            memset(in, 0xee, sizeof(in));
            // Odd addresses too.
            chan_send(s, out + 1);
            chan_send(s, out + 2);
            check(chan_recv(s, NULL) && chan_recv(s, in + 1));
            check(in[0] == 0xee && in[size + 1] == 0xee && memcmp(in + 1, out + 2, size) == 0);
        }
        chan_close(s);
        check(!chan_recv(s, in + 1));
        for (size_t k = 0; k < size; k++)
            check(in[k + 1] == 0);
        check(in[0] == 0xee && in[size + 1] == 0xee);
        chan_free(s);
    }
    struct chan *events = chan_make(0, 1000000);
    for (int i = 0; i < 5000; i++)
        check(chan_try_send(events, NULL));
    check(chan_len(events) == 5000);
    chan_free(events);
}

static void deadlines(void)
{
    c = chan_make(8, 0);
    int64_t v = 3, got = 0, when = time_mono() + 2 * TIME_MS;
    errno = 0;
    check(!chan_send_deadline(c, &v, when) && errno == ETIMEDOUT && time_mono() >= when);
    errno = 0;
    when = time_mono() + 2 * TIME_MS;
    check(chan_recv_deadline(c, &v, when) == -1 && errno == ETIMEDOUT && time_mono() >= when);
    check(chan_recv_deadline(c, &v, 0) == -1 && chan_recv_deadline(c, &v, INT64_MIN) == -1);
    // Those who gave up are not in the queues any more.
    check(!chan_try_send(c, &v) && chan_try_recv(c, &v) == -1);
    go(receives_one, &got);
    check(chan_send_deadline(c, &v, time_mono() + 5 * TIME_S));
    go(sends_one, (void *)11);
    check(chan_recv_deadline(c, &v, INT64_MAX) == 1 && v == 11);
    check_soon(now(&got) == 3);
    chan_free(c);
}

static void freeing(void)
{
    c = chan_make(8, 0);
    go(receives_one, NULL);
    settle();
    check(panics("free of channel in use", do_free, c));
    chan_close(c);
    settle();
    chan_free(c);

    // Noticed until the memory is used again; the debug build's heap overwrites it at once.
    c = chan_make(8, 0);
    chan_free(c);
    if (!DEBUG) {
        check(panics("free of freed channel", do_free, c));
        check(panics("use of freed channel", do_send, c));
        check(panics("use of freed channel", do_recv, c));
        check(panics("use of freed channel", do_close, c));
    }
    chan_free(time_after(50 * TIME_MS));
    struct chan *after = time_after(0);
    settle();
    int64_t at = 0;
    check(chan_recv(after, &at) && at > 0 && at <= time_mono());
    chan_free(after);
}

int main(void)
{
    done = chan_make(0, 0);
    make();
    unbuffered();
    buffered();
    fifo();
    closing();
    nil_channels();
    sizes();
    deadlines();
    freeing();
    time_sleep(60 * TIME_MS);
    chan_free(done);
    printf("chan: all as it should be\n");
    return 0;
}
