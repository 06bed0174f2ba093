// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=sched/chan.c,sched/select.c,sched/timer.c,sched/time.c,kernel/spinlock.c
// test: cflags="-iquote tests/host/seam"
// test: variants="-fsanitize=thread|-fsanitize=address,undefined" timeout=120
// Channels under real concurrency: every element arrives exactly once and in order, whatever sends,
// receives, selects, deadlines and closes race; channels may be freed by whoever received the last
// element.

#include "threads.h"

#include <heddle/chan.h>

enum { SENDERS = 4, EACH = 1500 };

struct elem {
    uint32_t sender, n;
    char pad[40];
};

struct stream {
    struct chan *c;
    size_t size;
    unsigned how; // 0 plain, 1 select, 2 trying, 3 deadlines
    _Atomic(uint32_t) received;
    uint32_t last[SENDERS]; // one receiver only: the number seen last
};

static struct stream st;

static void send_one(struct stream *s, struct elem *e, uint32_t *rng)
{
    struct chan *never = NULL;
    struct chan_case k[3] = { { s->c, CHAN_SEND, e, false },
                              { never, CHAN_RECV, NULL, false },
                              { s->c, CHAN_SEND, e, false } };
    switch (s->how) {
    case 0:
        chan_send(s->c, e);
        break;
    case 1:
        check(chan_select(k, 3, true) != 1);
        break;
    case 2:
        while (!chan_try_send(s->c, e))
            sched_yield();
        break;
    default:
        while (!chan_send_deadline(s->c, e, clock_mono_ns() + rand_below(rng, 200000)))
            check(errno == ETIMEDOUT);
    }
}

static bool recv_one(struct stream *s, struct elem *e, uint32_t *rng)
{
    struct chan_case k[2] = { { s->c, CHAN_RECV, e, false }, { s->c, CHAN_RECV, e, false } };
    int r;
    // Without a buffer, one side must wait for two that try to meet.
    switch (s->how == 2 && chan_cap(s->c) == 0 ? 0 : s->how) {
    case 0:
        return chan_recv(s->c, e);
    case 1:
        return k[chan_select(k, 2, true)].ok;
    case 2:
        while ((r = chan_try_recv(s->c, e)) < 0)
            sched_yield();
        return r;
    default:
        while ((r = chan_recv_deadline(s->c, e, clock_mono_ns() + rand_below(rng, 200000))) < 0)
            check(errno == ETIMEDOUT);
        return r;
    }
}

static _Atomic(unsigned) senders_left;

static void sender(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg, rng = me + 1;
    struct elem e = { .sender = me };
    for (e.n = 1; e.n <= EACH; e.n++)
        send_one(&st, &e, &rng);
    if (atomic_fetch_sub(&senders_left, 1) == 1)
        chan_close(st.c);
}

static void check_elem(const struct elem *e, uint32_t *last)
{
    if (st.size < 8)
        return;
    check(e->sender < SENDERS && e->n > last[e->sender] && e->n <= EACH);
    last[e->sender] = e->n;
}

static void receiver(void *arg)
{
    uint32_t last[SENDERS] = { 0 }, rng = 77 + (uint32_t)(uintptr_t)arg;
    struct elem e;
    for (;;) {
        memset(&e, 0xff, sizeof(e));
        if (!recv_one(&st, &e, &rng))
            break;
        check_elem(&e, last);
        atomic_fetch_add(&st.received, 1);
    }
    for (size_t i = 0; i < st.size; i++)
        check(((char *)&e)[i] == 0);
}

static void run_stream(size_t size, size_t cap, unsigned how, unsigned receivers)
{
    memset(&st, 0, sizeof(st));
    st.size = size;
    st.how = how;
    st.c = chan_make(size, cap);
    atomic_store(&senders_left, SENDERS);
    for (uintptr_t i = 0; i < SENDERS; i++)
        check(go(sender, (void *)i) == 0);
    for (uintptr_t i = 0; i < receivers; i++)
        check(go(receiver, (void *)i) == 0);
    join_all();
    check(atomic_load(&st.received) == SENDERS * EACH);
    check(chan_len(st.c) == 0 && chan_cap(st.c) == cap);
    chan_free(st.c);
}

// Tokens go round between channels by selects that both send and receive; none is lost or made.
enum { RING = 4, MOVERS = 6, MOVES = 6000, TOKENS = 4 };
static struct chan *ring[RING], *quit;
static _Atomic(int) moves;

static void mover(void *arg)
{
    uint32_t rng = 1 + (uint32_t)(uintptr_t)arg;
    uint64_t held = 0;
    for (;; atomic_fetch_add(&moves, 1)) {
        uint64_t in[RING] = { 0 };
        struct chan_case k[RING + 1];
        unsigned shift = rand_below(&rng, RING), n = 0;
        for (; n < RING; n++) {
            struct chan *c = ring[(n + shift) % RING];
            k[n] = held ? (struct chan_case){ c, CHAN_SEND, &held, false }
                        : (struct chan_case){ c, CHAN_RECV, &in[n], false };
        }
        k[n] = (struct chan_case){ held ? NULL : quit, CHAN_RECV, NULL, false };
        int ran = chan_select(k, (int)n + 1, true);
        if (ran == (int)n)
            return;
        check(ran >= 0 && k[ran].ok);
        if (!held)
            check(in[ran] != 0);
        held = held ? 0 : in[ran];
    }
}

static void run_ring(size_t cap)
{
    quit = chan_make(0, 0);
    atomic_store(&moves, 0);
    for (int i = 0; i < RING; i++)
        ring[i] = chan_make(8, cap);
    for (uintptr_t i = 0; i < MOVERS; i++)
        check(go(mover, (void *)i) == 0);
    for (uint64_t i = 1; i <= TOKENS; i++)
        chan_send(ring[i % RING], &i);
    while (atomic_load(&moves) < MOVES)
        usleep(1000);
    uint64_t sum = 0, got = 0, t;
    while (got < TOKENS) {
        struct chan_case k[RING];
        for (int i = 0; i < RING; i++)
            k[i] = (struct chan_case){ ring[i], CHAN_RECV, &t, false };
        if (chan_select_deadline(k, RING, clock_mono_ns() + 1000000) < 0) {
            check(errno == ETIMEDOUT);
            continue;
        }
        sum += t;
        got++;
    }
    check(got == TOKENS && sum == TOKENS * (TOKENS + 1) / 2);
    chan_close(quit);
    join_all();
    for (int i = 0; i < RING; i++) {
        check(chan_len(ring[i]) == 0);
        chan_free(ring[i]);
    }
    chan_free(quit);
}

// A close races with everything that waits; all are woken, senders by a panic.
static struct chan *closing, *other;
static _Atomic(int) woken;

static void waits_for_close(void *arg)
{
    uint64_t v = 1;
    struct chan_case k[2] = { { other, CHAN_RECV, &v, false }, { closing, CHAN_RECV, &v, false } };
    switch ((uintptr_t)arg % 5) {
    case 0:
        while (chan_recv(closing, &v))
            ;
        check(v == 0);
        break;
    case 1:
        while (chan_select(k, 2, true) == 1 && k[1].ok)
            ;
        check(!k[1].ok);
        break;
    case 2:
        check(panics_with("send on closed channel", for (;;) chan_send(closing, &v)));
        break;
    case 3:
        k[1].op = CHAN_SEND;
        check(panics_with("send on closed channel", for (;;) chan_select(k, 2, true)));
        break;
    default:
        while (chan_recv_deadline(closing, &v, clock_mono_ns() + 100000) != 0)
            ;
    }
    atomic_fetch_add(&woken, 1);
}

static void run_close(size_t cap)
{
    enum { N = 15 };
    for (int round = 0; round < 30; round++) {
        closing = chan_make(8, cap);
        other = chan_make(8, 0);
        atomic_store(&woken, 0);
        for (uintptr_t i = 0; i < N; i++)
            check(go(waits_for_close, (void *)i) == 0);
        usleep((unsigned)round * 40);
        chan_close(closing);
        join_all();
        check(atomic_load(&woken) == N);
        chan_free(closing);
        chan_free(other);
    }
}

// The answer's receiver frees the channel at once: the sender may not touch it any more.
static void answers(void *arg)
{
    uint64_t v = 42;
    chan_send(arg, &v);
}

static void run_free(void)
{
    for (int i = 0; i < 400; i++) {
        struct chan *c = chan_make(8, (size_t)i % 2);
        uint64_t v = 0;
        check(go(answers, c) == 0);
        check(chan_recv(c, &v) && v == 42);
        chan_free(c);
        struct chan *later = time_after(i % 3 * 30000);
        check(i % 2 || chan_recv(later, &v));
        chan_free(later);
    }
    join_all();
}

int main(void)
{
    static const size_t sizes[] = { 8, 16, 48, 0 }, caps[] = { 0, 1, 7, 0 };
    threads_begin();
    for (unsigned how = 0; how < 4; how++)
        for (unsigned i = 0; i < 4; i++)
            run_stream(sizes[i], caps[(i + how) % 4], how, how == 0 && i == 0 ? 1 : 3);
    run_ring(0);
    run_ring(2);
    run_close(0);
    run_close(1);
    run_free();
    threads_end();
    printf("chan: %d senders in 16 settings, selects in a ring, closes and frees raced\n", SENDERS);
    return 0;
}
