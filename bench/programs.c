// SPDX-License-Identifier: BSD-2-Clause
// Whole programs and latencies, the other half of what docs/benchmarks.md compares;
// bench/go/main.go does the same. Prints a line each: name, best and median of the rounds, in
// milliseconds for programs, nanoseconds an operation for mutex_8, microseconds for what ends in
// p50 or p99. Argument: a factor for the amount of work (1).

#include <heddle.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 3 };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *name, double (*fn)(long), long n)
{
    double v[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        v[i] = fn(n);
    qsort(v, ROUNDS, sizeof(v[0]), compare);
    printf("%-24s %10.3f %10.3f\n", name, v[0], v[ROUNDS / 2]);
}

static double ms_since(int64_t t0)
{
    return (double)(time_mono() - t0) / 1e6;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    printf("programs: %s\n", what);
    exit(1);
}

// spawn100k_join: starts n that each end at once, and waits for all.

static struct waitgroup wg;

static void done_one(void *unused)
{
    waitgroup_done(&wg);
}

static double spawn_join(long n)
{
    int64_t t0 = time_mono();
    waitgroup_add(&wg, (int)n);
    for (long i = 0; i < n; i++)
        must(go(done_one, NULL) == 0, "no memory for a goroutine");
    waitgroup_wait(&wg);
    return ms_since(t0);
}

// mutex_8: 8 goroutines lock, add one and unlock, n times together.

static struct mutex mu;
static long shared;

static void locker(void *times)
{
    for (long i = (long)(intptr_t)times; i > 0; i--) {
        mutex_lock(&mu);
        shared++;
        mutex_unlock(&mu);
    }
    waitgroup_done(&wg);
}

static double mutex_8(long n)
{
    int64_t t0 = time_mono();
    waitgroup_add(&wg, 8);
    for (int i = 0; i < 8; i++)
        must(go(locker, (void *)(intptr_t)(n / 8)) == 0, "no memory for a goroutine");
    waitgroup_wait(&wg);
    return ms_since(t0) * 1e6 / (double)n;
}

// sieve1000: the n-th prime, by a chain of filters.

static _Atomic(long) sieve_left; // primes still wanted; at 0 the generator ends

static void generate(void *out)
{
    for (int i = 2; sieve_left > 0; i++)
        chan_send(out, &i);
    chan_close(out);
}

struct filter { struct chan *in, *out; int prime; };

static void filter(void *arg)
{
    struct filter f = *(struct filter *)arg;
    free(arg);
    for (int n; chan_recv(f.in, &n);)
        if (n % f.prime != 0)
            chan_send(f.out, &n);
    chan_close(f.out);
    chan_free(f.in);
}

static double sieve(long n)
{
    int64_t t0 = time_mono();
    struct chan *c = chan_make(sizeof(int), 0);
    sieve_left = n;
    go(generate, c);
    for (; sieve_left > 0; sieve_left--) {
        struct filter *f = malloc(sizeof(*f));
        must(f != NULL, "no memory for a filter");
        *f = (struct filter){ .in = c, .out = chan_make(sizeof(int), 0) };
        chan_recv(c, &f->prime);
        c = f->out;
        go(filter, f);
    }
    double ms = ms_since(t0);
    while (chan_recv(c, NULL))
        ;
    chan_free(c);
    return ms;
}

// fib36cut20_forkjoin: one goroutine for each call above 20.

struct fib { int n; long result; struct waitgroup *parent; };

static long fib(int n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void fib_task(void *arg)
{
    struct fib *f = arg;
    if (f->n <= 20) {
        f->result = fib(f->n);
    } else {
        struct waitgroup both = { 0 };
        struct fib left = { f->n - 1, 0, &both }, right = { f->n - 2, 0, NULL };
        waitgroup_add(&both, 1);
        must(go(fib_task, &left) == 0, "no memory for a goroutine");
        fib_task(&right);
        waitgroup_wait(&both);
        f->result = left.result + right.result;
    }
    if (f->parent)
        waitgroup_done(f->parent);
}

static double fork_join(long n)
{
    int64_t t0 = time_mono();
    struct fib f = { (int)n, 0, NULL };
    fib_task(&f);
    must(n != 36 || f.result == 14930352, "fib(36) is wrong");
    return ms_since(t0);
}

// threadring503_100k: n hops of a token round 503 goroutines.

enum { RING = 503 };
static struct chan *ring[RING], *ring_done;

static void hop(void *arg)
{
    long at = (long)(intptr_t)arg, token;
    while (chan_recv(ring[at], &token)) {
        if (token == 0)
            chan_send(ring_done, &at);
        else
            chan_send(ring[(at + 1) % RING], &(long){ token - 1 });
    }
}

static double threadring(long n)
{
    ring_done = chan_make(sizeof(long), 0);
    for (long i = 0; i < RING; i++)
        ring[i] = chan_make(sizeof(long), 0);
    for (long i = 0; i < RING; i++)
        go(hop, (void *)(intptr_t)i);
    int64_t t0 = time_mono();
    chan_send(ring[0], &n);
    chan_recv(ring_done, NULL);
    double ms = ms_since(t0);
    for (int i = 0; i < RING; i++)
        chan_close(ring[i]);
    return ms;
}

// skynet100k: a tree of goroutines, ten below each, adds up the numbers of its leaves.

struct node { long first, leaves; struct chan *up; };

static void skynet_node(void *arg)
{
    struct node *me = arg;
    long sum = me->first;
    if (me->leaves > 1) {
        struct chan *c = chan_make(sizeof(long), 10);
        struct node below[10];
        sum = 0;
        for (int i = 0; i < 10; i++) {
            below[i] = (struct node){ me->first + i * me->leaves / 10, me->leaves / 10, c };
            must(go(skynet_node, &below[i]) == 0, "no memory for a goroutine");
        }
        for (int i = 0; i < 10; i++) {
            long part;
            chan_recv(c, &part);
            sum += part;
        }
        chan_free(c);
    }
    chan_send(me->up, &sum);
}

static double skynet(long n)
{
    int64_t t0 = time_mono();
    struct chan *c = chan_make(sizeof(long), 1);
    struct node root = { 0, n, c };
    long sum;
    go(skynet_node, &root);
    chan_recv(c, &sum);
    must(sum == n * (n - 1) / 2, "the sum is wrong");
    chan_free(c);
    return ms_since(t0);
}

// sleep1ms_over and preempt4_over: how much longer than a millisecond sleeps take, alone and beside
// four loops that call nothing.

static volatile bool loops_end;

static void loop(void *unused)
{
    while (!loops_end)
        ;
    waitgroup_done(&wg);
}

static void sleeps(const char *name, int n)
{
    double over[200];
    for (int i = 0; i < n; i++) {
        int64_t t0 = time_mono();
        time_sleep(TIME_MS);
        over[i] = (double)(time_mono() - t0 - TIME_MS) / 1e3;
    }
    qsort(over, (size_t)n, sizeof(over[0]), compare);
    printf("%s_p50 %16.3f %10.3f\n", name, over[n / 2], over[n / 2]);
    printf("%s_p99 %16.3f %10.3f\n", name, over[n * 99 / 100],
           over[n * 99 / 100]);
}

int main(int argc, char **argv)
{
    double scale = argc > 1 ? atof(argv[1]) : 1;
    report("spawn100k_join", spawn_join, (long)(100000 * scale));
    report("mutex_8", mutex_8, (long)(400000 * scale));
    report("sieve1000", sieve, (long)(1000 * scale));
    report("fib36cut20_forkjoin", fork_join, scale < 1 ? 30 : 36);
    report("threadring503_100k", threadring, (long)(100000 * scale));
    report("skynet100k", skynet, scale < 1 ? 10000 : 100000);
    sleeps("sleep1ms_over", scale < 1 ? 50 : 200);
    waitgroup_add(&wg, 4);
    for (int i = 0; i < 4; i++)
        go(loop, NULL);
    sleeps("preempt4_over", scale < 1 ? 20 : 100);
    loops_end = true;
    waitgroup_wait(&wg);
    return 0;
}
