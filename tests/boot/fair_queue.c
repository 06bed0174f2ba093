// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=60 kopts="slice_us=500" expect="fair_queue: everybody had turns"
// On one P: two goroutines that keep waking each other, one that computes and so comes by the
// global queue, and some that give way and so stand in the ring. None of them may keep another from
// its turns.

#include <stdatomic.h>

#include "check.h"

enum { QUEUED = 4 };

static _Atomic(bool) stop;
static _Atomic(long) passed, computed, turns[QUEUED];

static void feed(void *c)
{
    while (!atomic_load(&stop))
        chan_send(c, NULL);
    chan_close(c);
}

static void eat(void *c)
{
    while (chan_recv(c, NULL))
        atomic_fetch_add(&passed, 1);
}

static void compute(void *unused)
{
    while (!atomic_load(&stop))
        atomic_fetch_add(&computed, 1);
}

static void give_way(void *n)
{
    while (!atomic_load(&stop)) {
        atomic_fetch_add(&turns[(long)n], 1);
        go_yield();
    }
}

int main(void)
{
    go_maxprocs(1);
    struct chan *c = chan_make(0, 0);
    check(go(eat, c) == 0 && go(feed, c) == 0 && go(compute, NULL) == 0);
    for (long n = 0; n < QUEUED; n++)
        check(go(give_way, (void *)n) == 0);
    for (int round = 0; round < 20; round++) {
        long p = atomic_load(&passed), k = atomic_load(&computed), t[QUEUED];
        for (int n = 0; n < QUEUED; n++)
            t[n] = atomic_load(&turns[n]);
        go_yield();
        while (atomic_load(&passed) == p || atomic_load(&computed) == k)
            go_yield();
        for (int n = 0; n < QUEUED; n++)
            while (atomic_load(&turns[n]) == t[n])
                go_yield();
    }
    atomic_store(&stop, true);
    printf("fair_queue: everybody had turns\n");
    return 0;
}
