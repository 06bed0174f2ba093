// SPDX-License-Identifier: BSD-2-Clause
// Two goroutines hand a number back and forth over unbuffered channels.
// Argument: how many round trips (100000).

#include <heddle.h>
#include <stdio.h>
#include <stdlib.h>

struct table {
    struct chan *ping, *pong;
};

static void ponger(void *arg)
{
    struct table *t = arg;
    long n;
    while (chan_recv(t->ping, &n)) {
        n++;
        chan_send(t->pong, &n);
    }
    chan_close(t->pong);
}

int main(int argc, char **argv)
{
    long trips = argc > 1 ? atol(argv[1]) : 100000, n = 0;
    struct table t = { chan_make(sizeof(long), 0), chan_make(sizeof(long), 0) };
    if (trips < 1 || !t.ping || !t.pong || go(ponger, &t) != 0) {
        fprintf(stderr, "pingpong: wants a positive number of round trips, and memory\n");
        return 1;
    }
    int64_t start = time_mono();
    for (long i = 0; i < trips; i++) {
        chan_send(t.ping, &n);
        chan_recv(t.pong, &n);
    }
    int64_t ns = time_mono() - start;
    chan_close(t.ping);
    while (chan_recv(t.pong, &n))
        ;
    printf("%ld round trips, %ld ns each\n", trips, (long)(ns / trips));
    return 0;
}
