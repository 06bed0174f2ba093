// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 kopts="slice_us=500" timeout=90 expect="go_sched: all as in Go"
// What Go's own tests ask of the scheduler (docs/conformance.md says which is which) and the other
// tests do not: yielding lets others through, a goroutine that computes is not kept out by a pair
// that keep waking each other nor the other way round, counts, GOMAXPROCS beyond the cores, the
// order of victims, channels that stay usable from preempted goroutines.

#include "check.h"

static struct waitgroup all, others;
static _Atomic(bool) stop, was_let;
static _Atomic(long) work, rounds;

static void lets_go(void *arg)
{
    was_let = true;
    waitgroup_done(&all);
}

// With one P only the yield can let it run, or the end of a slice.
static void yield_progress(void)
{
    int procs = go_maxprocs(1);
    for (int i = 0; i < 100; i++) {
        was_let = false;
        waitgroup_add(&all, 1);
        check(go(lets_go, NULL) == 0);
        while (!was_let)
            go_yield();
        waitgroup_wait(&all);
    }
    check(go_maxprocs(procs) == 1);
}

struct pair {
    struct chan *to, *from;
};

static void ping(void *arg)
{
    struct pair *p = arg;
    while (!stop) {
        chan_send(p->to, NULL);
        chan_recv(p->from, NULL);
        rounds++;
    }
    chan_close(p->to);
    waitgroup_done(&all);
}

static void pong(void *arg)
{
    struct pair *p = arg;
    while (chan_recv(p->to, NULL))
        chan_send(p->from, NULL);
    waitgroup_done(&all);
}

static void hog(void *arg)
{
    while (!stop) {
        for (volatile int i = 0; i < 1000; i++)
            ;
        work++;
    }
    waitgroup_done(&all);
}

// On one P: both get on, in every stretch of time long enough for each to have had its slice.
static void pingpong_and_hog(void)
{
    struct pair p = { chan_make(0, 0), chan_make(0, 0) };
    int procs = go_maxprocs(1);
    stop = false;
    waitgroup_add(&all, 3);
    go(ping, &p);
    go(pong, &p);
    go(hog, NULL);
    for (int i = 0; i < 5; i++) {
        long w = work, r = rounds;
        check_soon(work > w && rounds > r);
    }
    stop = true;
    waitgroup_wait(&all);
    go_maxprocs(procs);
    chan_free(p.to);
    chan_free(p.from);
}

static void ends(void *arg) { waitgroup_done(&all); }

static void counts(void)
{
    check_soon(go_count() == 1);
    for (int n = 0; n < 20; n++) {
        waitgroup_add(&all, 50);
        for (int i = 0; i < 50; i++)
            check(go(ends, NULL) == 0);
        waitgroup_wait(&all);
        check_soon(go_count() == 1);
    }
    struct chan *c = chan_make(0, 0);
    waitgroup_add(&all, 1);
    go(ping, &(struct pair){ c, c }); // waits in its send
    check_soon(parked(WAIT_CHAN_SEND) == 1);
    check(go_count() == 2);
    stop = true;
    chan_recv(c, NULL);
    chan_send(c, NULL);
    waitgroup_wait(&all);
    check_soon(go_count() == 1);
    chan_free(c);
}

static void maxprocs(void)
{
    int cores = go_numcpu(), was = go_maxprocs(0);
    check(was == cores && go_maxprocs(-5) == was && go_maxprocs(INT32_MIN) == was);
    check(go_maxprocs(1024) == was && go_maxprocs(0) == cores);
    check(go_maxprocs(INT32_MAX) == cores && go_maxprocs(1) == cores);
    check(go_maxprocs(cores) == 1);
}

// Every step width visits every P once.
static void victims(void)
{
    for (unsigned i = 0; i < sched.n_coprimes; i++) {
        uint64_t seen = 0;
        for (unsigned n = 0, at = 1 % sched.n_p; n < sched.n_p; n++) {
            check(!(seen >> at & 1));
            seen |= (uint64_t)1 << at;
            at = (at + sched.coprimes[i]) % sched.n_p;
        }
    }
}

// Preempted in the middle of everything it does, with others that hold every core.
static void allocates(void *arg)
{
    for (int i = 0; i < 300; i++) {
        struct chan *c = chan_make(8, 4);
        for (int64_t v = 0; v < 4; v++)
            chan_send(c, &v);
        for (int64_t v = 0, got; v < 4; v++)
            check(chan_recv(c, &got) && got == v);
        chan_free(c);
    }
    waitgroup_done(&others);
}

static void beside_hogs(void)
{
    stop = false;
    for (int i = 0; i < 4; i++) {
        waitgroup_add(&others, 1);
        check(go(allocates, NULL) == 0);
    }
    for (int i = 0; i < go_numcpu(); i++) {
        waitgroup_add(&all, 1);
        check(go(hog, NULL) == 0);
    }
    waitgroup_wait(&others);
    stop = true;
    waitgroup_wait(&all);
}

int main(void)
{
    counts();
    maxprocs();
    victims();
    yield_progress();
    pingpong_and_hog();
    beside_hogs();
    printf("go_sched: all as in Go\n");
    return 0;
}
