// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=120 expect="idle_race: no wake-up was lost"
// Pairs of goroutines hand a token back and forth with pauses that leave every core about to sleep,
// halted, or just woken when the next hand-over comes. A lost wake-up leaves the machine asleep for
// ever: there are no other events.

#include <heddle.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

enum { ROUNDS = 4000 };

struct pair {
    struct chan *there, *back;
    uint32_t seed;
};

static _Atomic(int) running;

static void pause_a_little(uint32_t *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    uint32_t n = (*seed >> 16) % 600;
    for (uint32_t i = 0; i < n * 20; i++)
        __asm__ volatile("");
}

static void echo(void *arg)
{
    struct pair *p = arg;
    uint32_t v, seed = p->seed ^ 0x5555;
    while (chan_recv(p->there, &v)) {
        pause_a_little(&seed);
        chan_send(p->back, &v);
    }
    atomic_fetch_sub(&running, 1);
}

static void call(void *arg)
{
    struct pair *p = arg;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t v;
        chan_send(p->there, &i);
        chan_recv(p->back, &v);
        if (v != i)
            go_panic("idle_race: sent %u, got %u back", (unsigned)i, (unsigned)v);
        pause_a_little(&p->seed);
    }
    chan_close(p->there);
    atomic_fetch_sub(&running, 1);
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    static struct pair pairs[3];
    for (int n = 1; n <= 3; n++) {
        atomic_store(&running, 2 * n);
        for (int i = 0; i < n; i++) {
            pairs[i] = (struct pair){ chan_make(4, 0), chan_make(4, 0), 7u * (unsigned)i + 1 };
            go(echo, &pairs[i]);
            go(call, &pairs[i]);
        }
        while (atomic_load(&running) > 0)
            time_sleep(2000000);
    }
    printf("idle_race: no wake-up was lost\n");
    return 0;
}
