// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 kopts="slice_us=100" timeout=120 expect="chan stress: nothing lost"
// Hundreds of goroutines on a handful of channels with preemption every 100 microseconds: sends,
// receives, selects, tries and deadlines mixed; at the end every number has arrived exactly once.

#include "check.h"

enum { CHANNELS = 5, PRODUCERS = 60, CONSUMERS = 40, EACH = 120 };

static struct chan *c[CHANNELS];
static _Atomic(uint8_t) seen[PRODUCERS * EACH];
static struct waitgroup producers, consumers;

static void put(uint32_t *rng, int64_t v)
{
    struct chan *to = c[rand_below(rng, CHANNELS)];
    struct chan_case k[CHANNELS];
    switch (rand_below(rng, 4)) {
    case 0:
        chan_send(to, &v);
        return;
    case 1:
        for (int i = 0; i < CHANNELS; i++)
            k[i] = (struct chan_case){ c[i], CHAN_SEND, &v, false };
        check(chan_select(k, CHANNELS, true) >= 0);
        return;
    case 2:
        while (!chan_try_send(to, &v))
            go_yield();
        return;
    default:
        while (!chan_send_deadline(to, &v, time_mono() + rand_below(rng, 200) * TIME_US))
            ;
    }
}

static void produces(void *arg)
{
    int64_t first = (int64_t)(intptr_t)arg * EACH;
    uint32_t rng = (uint32_t)first + 1;
    for (int64_t i = 0; i < EACH; i++)
        put(&rng, first + i);
    waitgroup_done(&producers);
}

// Takes one from anywhere; false when all channels are closed and drained.
static bool get(uint32_t *rng, int64_t *v)
{
    struct chan_case k[CHANNELS];
    int open = 0;
    for (int i = 0; i < CHANNELS; i++)
        k[open++] = (struct chan_case){ c[i], CHAN_RECV, v, false };
    while (open > 0) {
        int64_t when = time_mono() + rand_below(rng, 300) * TIME_US;
        int ran = rand_below(rng, 2) ? chan_select(k, open, true)
                                     : chan_select_deadline(k, open, when);
        if (ran < 0)
            continue;
        if (k[ran].ok)
            return true;
        k[ran] = k[--open];
    }
    return false;
}

static void consumes(void *arg)
{
    uint32_t rng = 1000 + (uint32_t)(uintptr_t)arg;
    int64_t v;
    while (get(&rng, &v)) {
        check(v >= 0 && v < PRODUCERS * EACH);
        check(seen[v]++ == 0);
    }
    waitgroup_done(&consumers);
}

int main(void)
{
    for (size_t i = 0; i < CHANNELS; i++)
        c[i] = chan_make(8, i % 3 == 2 ? 10 : i % 3);
    waitgroup_add(&producers, PRODUCERS);
    waitgroup_add(&consumers, CONSUMERS);
    for (intptr_t i = 0; i < PRODUCERS; i++)
        check(go(produces, (void *)i) == 0);
    for (intptr_t i = 0; i < CONSUMERS; i++)
        check(go(consumes, (void *)i) == 0);
    waitgroup_wait(&producers);
    for (int i = 0; i < CHANNELS; i++)
        chan_close(c[i]);
    waitgroup_wait(&consumers);
    for (int i = 0; i < PRODUCERS * EACH; i++)
        check(seen[i] == 1);
    for (int i = 0; i < CHANNELS; i++)
        chan_free(c[i]);
    printf("chan stress: nothing lost\n");
    return 0;
}
