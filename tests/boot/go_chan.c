// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 kopts="slice_us=500" timeout=90 expect="go_chan: all as in Go"
// What Go's own tests ask of channels and select (docs/conformance.md says which is which): races
// of operations that must not block, selects that meet themselves, many consumers, networks of
// goroutines, queues from which a select has been withdrawn.

#include "check.h"

static struct waitgroup all;

static void start(void (*fn)(void *), void *arg)
{
    waitgroup_add(&all, 1);
    check(go(fn, arg) == 0);
}

// ---- what can be done at once is done, though others use the channel at the same moment ----

static void receives_at_once(void *c)
{
    check(chan_try_recv(c, NULL) == 1);
    waitgroup_done(&all);
}

static void try_recv_race(void)
{
    for (int i = 0; i < 500; i++) {
        struct chan *c = chan_make(sizeof(int), 1);
        chan_send(c, &i);
        start(receives_at_once, c);
        chan_close(c);
        waitgroup_wait(&all);
        chan_free(c);
    }
}

struct two {
    struct chan *c[2];
};

static void one_is_ready(void *arg)
{
    struct two *t = arg;
    struct chan_case k[2] = { { t->c[0], CHAN_RECV, NULL, false },
                              { t->c[1], CHAN_RECV, NULL, false } };
    check(chan_select(k, 2, false) >= 0);
    waitgroup_done(&all);
}

// From beginning to end one of the two channels has something, first the one, then the other.
static void select_race(bool close)
{
    for (int i = 0; i < 500; i++) {
        struct two t = { { chan_make(sizeof(int), 1), chan_make(sizeof(int), close ? 0 : 1) } };
        chan_send(t.c[0], &i);
        start(one_is_ready, &t);
        if (close)
            chan_close(t.c[1]);
        else
            chan_send(t.c[1], &i);
        chan_try_recv(t.c[0], NULL);
        waitgroup_wait(&all);
        chan_free(t.c[0]);
        chan_free(t.c[1]);
    }
}

// ---- two goroutines select between sending to and receiving from one channel ----

enum { SELF_ROUNDS = 300 };
struct self {
    struct chan *c;
    int id;
};

static void meets_itself(void *arg)
{
    struct self *s = arg;
    for (int i = 0; i < SELF_ROUNDS; i++) {
        int got = s->id, mine = s->id;
        struct chan_case k[2] = { { s->c, CHAN_RECV, &got, false },
                                  { s->c, CHAN_SEND, &mine, false } };
        if (i % 2) {
            struct chan_case swap = k[0];
            k[0] = k[1];
            k[1] = swap;
        }
        int ran = chan_select(k, 2, true);
        // With a buffer one may receive what it has sent itself.
        if (k[ran].op == CHAN_RECV)
            check(chan_cap(s->c) > 0 || got != s->id);
    }
    waitgroup_done(&all);
}

static void self_select(void)
{
    for (int cap = 0; cap <= 10; cap += 10) {
        struct chan *c = chan_make(sizeof(int), (size_t)cap);
        struct self s[2] = { { c, 0 }, { c, 1 } };
        start(meets_itself, &s[0]);
        start(meets_itself, &s[1]);
        waitgroup_wait(&all);
        check(cap > 0 || chan_len(c) == 0);
        chan_free(c);
    }
}

// ---- four channels, a sender and a receiver for each, and one of each that selects among all ----

enum { STRESS = 4, STRESS_EACH = 300 };
static struct chan *stress[STRESS];

static void stress_sends(void *arg)
{
    struct chan *c = arg;
    for (int i = 0; i < STRESS_EACH; i++)
        chan_send(c, &i);
    waitgroup_done(&all);
}

static void stress_receives(void *arg)
{
    struct chan *c = arg;
    for (int i = 0; i < STRESS_EACH; i++)
        check(chan_recv(c, NULL));
    waitgroup_done(&all);
}

static void stress_selects(void *arg)
{
    int v = 1, n[STRESS] = { 0 };
    struct chan_case k[STRESS];
    for (int i = 0; i < STRESS; i++)
        k[i] = (struct chan_case){ stress[i], arg ? CHAN_SEND : CHAN_RECV, &v, false };
    for (int left = STRESS * STRESS_EACH; left > 0; left--) {
        int ran = chan_select(k, STRESS, true);
        check(ran >= 0 && k[ran].ok);
        if (++n[ran] == STRESS_EACH)
            k[ran].c = NULL;
    }
    waitgroup_done(&all);
}

static void select_stress(void)
{
    for (int i = 0; i < STRESS; i++) {
        stress[i] = chan_make(sizeof(int), i < 2 ? 0 : (size_t)i);
        start(stress_sends, stress[i]);
        start(stress_receives, stress[i]);
    }
    start(stress_selects, stress);
    start(stress_selects, NULL);
    waitgroup_wait(&all);
    for (int i = 0; i < STRESS; i++) {
        check(chan_len(stress[i]) == 0);
        chan_free(stress[i]);
    }
}

// ---- two sends on one channel are chosen alike ----

static void random_send(void)
{
    enum { N = 400 };
    struct chan *c = chan_make(sizeof(int), N);
    int zero = 0, one = 1, ones = 0, v = -1;
    struct chan_case k[2] = { { c, CHAN_SEND, &zero, false }, { c, CHAN_SEND, &one, false } };
    for (int i = 0; i < N; i++)
        chan_select(k, 2, true);
    for (int i = 0; i < N; i++) {
        check(chan_recv(c, &v) && (v == 0 || v == 1));
        ones += v;
    }
    check(ones > N / 10 && ones < N - N / 10);
    chan_free(c);
}

// ---- many consumers of one queue; each task done once, all results arrive ----

static struct chan *tasks, *results;

static void consumer(void *arg)
{
    for (int v; chan_recv(tasks, &v);) {
        if (v % 3 == 0)
            go_yield();
        v *= 2;
        chan_send(results, &v);
    }
    waitgroup_done(&all);
}

static void closes_results(void *arg)
{
    waitgroup_wait(&all);
    chan_close(results);
}

static void feeds(void *arg)
{
    for (int i = 1; i <= 2000; i++)
        chan_send(tasks, &i);
    chan_close(tasks);
}

static void many_consumers(void)
{
    tasks = chan_make(sizeof(int), 46);
    results = chan_make(sizeof(int), 46);
    for (int i = 0; i < 23; i++)
        start(consumer, NULL);
    go(feeds, NULL);
    go(closes_results, NULL);
    long sum = 0;
    int n = 0;
    for (int v; chan_recv(results, &v); n++)
        sum += v;
    check(n == 2000 && sum == 2000L * 2001);
    chan_free(tasks);
    chan_free(results);
}

// ---- one value goes into one of four channels, once ----

static struct chan *four[4], *merged;

static void sends_to_one(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        struct chan_case k[4];
        for (int n = 0; n < 4; n++)
            k[n] = (struct chan_case){ four[n], CHAN_SEND, &i, false };
        chan_select(k, 4, true);
    }
    for (int n = 0; n < 4; n++)
        chan_close(four[n]);
}

static void forwards(void *arg)
{
    for (int v; chan_recv(arg, &v);)
        chan_send(merged, &v);
    waitgroup_done(&all);
}

static void closes_merged(void *arg)
{
    waitgroup_wait(&all);
    chan_close(merged);
}

static void double_select(void)
{
    static bool seen[2000];
    int n = 0;
    merged = chan_make(sizeof(int), 0);
    for (int i = 0; i < 4; i++) {
        four[i] = chan_make(sizeof(int), 0);
        start(forwards, four[i]);
    }
    go(sends_to_one, NULL);
    go(closes_merged, NULL);
    for (int v; chan_recv(merged, &v); n++) {
        check(v >= 0 && v < 2000 && !seen[v]);
        seen[v] = true;
    }
    check(n == 2000);
}

// ---- a select that is last in a queue leaves the others in it ----

static struct chan *crowded, *other;
static _Atomic(int) got;

static void takes_one(void *arg)
{
    check(chan_recv(crowded, NULL));
    got++;
}

static void selects_and_leaves(void *arg)
{
    struct chan_case k[2] = { { crowded, CHAN_RECV, NULL, false },
                              { other, CHAN_RECV, NULL, false } };
    check(chan_select(k, 2, true) == 1);
    got += 100;
}

static void withdrawn(void)
{
    crowded = chan_make(sizeof(int), 0);
    other = chan_make(sizeof(int), 0);
    go(takes_one, NULL);
    check_soon(parked(WAIT_CHAN_RECV) == 1);
    go(selects_and_leaves, NULL);
    check_soon(parked(WAIT_SELECT) == 1);
    chan_send(other, &(int){ 1 });
    check_soon(got == 100);
    go(takes_one, NULL);
    check_soon(parked(WAIT_CHAN_RECV) == 2);
    chan_send(crowded, &(int){ 1 });
    chan_send(crowded, &(int){ 2 });
    check_soon(got == 102);
}

// The same channel in two cases of a waiting select: both leave the queue.
static void waits_twice(void *arg)
{
    struct chan_case k[3] = { { crowded, CHAN_RECV, NULL, false },
                              { crowded, CHAN_RECV, NULL, false },
                              { other, CHAN_RECV, NULL, false } };
    check(chan_select(k, 3, true) == 2);
    got++;
}

static void duplicates(void)
{
    got = 0;
    go(waits_twice, NULL);
    check_soon(parked(WAIT_SELECT) == 1);
    chan_send(other, NULL);
    check_soon(got == 1);
    check(!chan_try_send(crowded, &(int){ 1 }));
}

// ---- networks ----

static void generates(void *arg)
{
    for (int i = 2; i < 400; i++)
        chan_send(arg, &i);
    chan_close(arg);
}

struct sieve {
    struct chan *in, *out;
    int prime;
};

static void filters(void *arg)
{
    struct sieve *s = arg;
    for (int v; chan_recv(s->in, &v);)
        if (v % s->prime)
            chan_send(s->out, &v);
    chan_close(s->out);
    free(s);
}

static void primes(void)
{
    struct chan *c = chan_make(sizeof(int), 0);
    int n = 0, last = 0;
    go(generates, c);
    for (int p; chan_recv(c, &p); n++) {
        struct sieve *s = malloc(sizeof(*s));
        struct chan *out = chan_make(sizeof(int), 0);
        *s = (struct sieve){ c, out, last = p };
        go(filters, s); // and s is the filter's: it may be freed at once
        c = out;
    }
    check(n == 78 && last == 397);
}

// Streams on demand: a request, then an answer; a sum of two streams asks both at once by select.
struct stream {
    struct chan *ask, *answer;
    struct stream *of[2];
    int next;
};

static void counts_up(void *arg)
{
    struct stream *s = arg;
    while (chan_recv(s->ask, NULL)) {
        chan_send(s->answer, &s->next);
        s->next++;
    }
}

static void adds(void *arg)
{
    struct stream *s = arg;
    while (chan_recv(s->ask, NULL)) {
        int v[2], sum = 0;
        struct chan_case k[4] = { { s->of[0]->ask, CHAN_SEND, NULL, false },
                                  { s->of[1]->ask, CHAN_SEND, NULL, false },
                                  { s->of[0]->answer, CHAN_RECV, &v[0], false },
                                  { s->of[1]->answer, CHAN_RECV, &v[1], false } };
        for (int left = 4; left > 0; left--) {
            int ran = chan_select(k, 4, true);
            k[ran].c = NULL;
            if (ran >= 2)
                sum += v[ran - 2];
        }
        chan_send(s->answer, &sum);
    }
}

static struct stream *stream(void (*fn)(void *), struct stream *a, struct stream *b, int first)
{
    struct stream *s = malloc(sizeof(*s));
    *s = (struct stream){ chan_make(0, 0), chan_make(sizeof(int), 0), { a, b }, first };
    go(fn, s);
    return s;
}

static void streams(void)
{
    struct stream *level[8];
    for (int i = 0; i < 8; i++)
        level[i] = stream(counts_up, NULL, NULL, i);
    for (int n = 4; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            level[i] = stream(adds, level[2 * i], level[2 * i + 1], 0);
    for (int i = 0; i < 100; i++) {
        int v;
        chan_send(level[0]->ask, NULL);
        check(chan_recv(level[0]->answer, &v) && v == 28 + 8 * i);
    }
}

struct link {
    struct chan *left, *right;
};

static void passes_on(void *arg)
{
    struct link l = *(struct link *)arg;
    int v;
    free(arg);
    chan_recv(l.right, &v);
    v++;
    chan_send(l.left, &v);
}

static void chain(void)
{
    enum { N = 3000 };
    struct chan *first = chan_make(sizeof(int), 0), *left = first;
    for (int i = 0; i < N; i++) {
        struct link *l = malloc(sizeof(*l));
        *l = (struct link){ left, chan_make(sizeof(int), 0) };
        left = l->right;
        check(go(passes_on, l) == 0);
    }
    int v = 0;
    chan_send(left, &v);
    check(chan_recv(first, &v) && v == N);
}

int main(void)
{
    try_recv_race();
    select_race(false);
    select_race(true);
    self_select();
    select_stress();
    random_send();
    many_consumers();
    double_select();
    withdrawn();
    duplicates();
    primes();
    streams();
    chain();
    printf("go_chan: all as in Go\n");
    return 0;
}
