// SPDX-License-Identifier: BSD-2-Clause
// Scheduler micro-benchmarks, named and defined as in the table of docs/benchmarks.md. Prints one
// line each: name, nanoseconds an operation (best and median of the rounds).

#include <heddle.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 7 };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *name, double ns[ROUNDS])
{
    qsort(ns, ROUNDS, sizeof(ns[0]), compare);
    printf("%-24s %10.1f %10.1f\n", name, ns[0], ns[ROUNDS / 2]);
}

// chan_unbuf_pingpong: one round trip between two goroutines over unbuffered channels.

struct pair { struct chan *a, *b; long n; };

static void ponger(void *arg)
{
    struct pair *p = arg;
    int v;
    while (chan_recv(p->a, &v))
        chan_send(p->b, &v);
    chan_close(p->b);
}

static double pingpong(long n)
{
    struct pair p = { chan_make(sizeof(int), 0), chan_make(sizeof(int), 0), n };
    int v = 0;
    go(ponger, &p);
    int64_t t0 = time_mono();
    for (long i = 0; i < n; i++) {
        chan_send(p.a, &v);
        chan_recv(p.b, &v);
    }
    int64_t t1 = time_mono();
    chan_close(p.a);
    chan_recv(p.b, &v);
    chan_free(p.a);
    chan_free(p.b);
    return (double)(t1 - t0) / (double)n;
}

// chan_buf100_item: producer and consumer over capacity 100, an item.

static void producer(void *arg)
{
    struct pair *p = arg;
    for (int i = 0; i < p->n; i++)
        chan_send(p->a, &i);
    chan_close(p->a);
}

static double buffered(long n)
{
    struct pair p = { chan_make(sizeof(int), 100), NULL, n };
    int v;
    int64_t t0 = time_mono();
    go(producer, &p);
    while (chan_recv(p.a, &v))
        ;
    int64_t t1 = time_mono();
    chan_free(p.a);
    return (double)(t1 - t0) / (double)n;
}

// spawn_join: start one, it sends on an unbuffered channel, receive.

static void send_one(void *arg)
{
    int v = 1;
    chan_send(arg, &v);
}

static double spawn_join(long n)
{
    struct chan *c = chan_make(sizeof(int), 0);
    int64_t t0 = time_mono();
    for (long i = 0; i < n; i++) {
        int v;
        go(send_one, c);
        chan_recv(c, &v);
    }
    int64_t t1 = time_mono();
    chan_free(c);
    return (double)(t1 - t0) / (double)n;
}

// gosched_2g, gosched_100g: a yield, with that many goroutines yielding.

static struct waitgroup wg;
static long yields;

static void yielder(void *unused)
{
    (void)unused;
    for (long i = 0; i < yields; i++)
        go_yield();
    waitgroup_done(&wg);
}

static double gosched(int goroutines, long n)
{
    yields = n / goroutines;
    waitgroup_add(&wg, goroutines);
    int64_t t0 = time_mono();
    for (int i = 0; i < goroutines; i++)
        go(yielder, NULL);
    waitgroup_wait(&wg);
    return (double)(time_mono() - t0) / (double)(yields * goroutines);
}

// select4: receive with 4 cases from a feeder rotating over them.

static struct chan *four[4];

static void feeder(void *arg)
{
    long n = (long)(intptr_t)arg;
    int v = 0;
    for (long i = 0; i < n; i++)
        chan_send(four[i & 3], &v);
}

static double select4(long n)
{
    int v;
    for (int i = 0; i < 4; i++)
        four[i] = chan_make(sizeof(int), 0);
    go(feeder, (void *)(intptr_t)n);
    int64_t t0 = time_mono();
    for (long i = 0; i < n; i++) {
        struct chan_case cases[4];
        for (int k = 0; k < 4; k++)
            cases[k] = (struct chan_case){ .c = four[k], .op = CHAN_RECV, .elem = &v };
        chan_select(cases, 4, true);
    }
    int64_t t1 = time_mono();
    for (int i = 0; i < 4; i++)
        chan_free(four[i]);
    return (double)(t1 - t0) / (double)n;
}

// spawn100k_join: start so many that each adds one, wait for all; milliseconds for 100,000.

static void done_one(void *unused)
{
    (void)unused;
    waitgroup_done(&wg);
}

static double spawn_many(long n)
{
    int64_t t0 = time_mono();
    for (long i = 0; i < n; i++) {
        waitgroup_add(&wg, 1);
        if (go(done_one, NULL) != 0) {
            waitgroup_done(&wg);
            go_yield();
        }
    }
    waitgroup_wait(&wg);
    return (double)(time_mono() - t0) / (double)n;
}

static double mutex_uncontended(long n)
{
    static struct mutex m;
    int64_t t0 = time_mono();
    for (long i = 0; i < n; i++) {
        mutex_lock(&m);
        mutex_unlock(&m);
    }
    return (double)(time_mono() - t0) / (double)n;
}

static double gosched_2(long n) { return gosched(2, n); }
static double gosched_100(long n) { return gosched(100, n); }

static const struct bench {
    const char *name;
    double (*fn)(long n);
    long n;
} benches[] = {
    { "chan_unbuf_pingpong", pingpong, 20000 },
    { "chan_buf100_item", buffered, 100000 },
    { "spawn_join", spawn_join, 20000 },
    { "gosched_2g", gosched_2, 100000 },
    { "gosched_100g", gosched_100, 100000 },
    { "select4", select4, 20000 },
    { "mutex_uncontended", mutex_uncontended, 200000 },
    { "spawn_many", spawn_many, 5000 },
};

int main(int argc, char **argv)
{
    double scale = argc > 1 ? atof(argv[1]) : 1;
    printf("%d cores; ns an operation: best, median of %d\n", go_numcpu(), ROUNDS);
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
        double ns[ROUNDS];
        if (argc > 2 && strcmp(argv[2], benches[i].name) != 0)
            continue;
        for (int r = 0; r < ROUNDS; r++)
            ns[r] = benches[i].fn((long)((double)benches[i].n * scale));
        report(benches[i].name, ns);
    }
    return 0;
}
