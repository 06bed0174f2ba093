// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 machines=q35,microvm mem=64M kopts="slice_us=200" timeout=90
// test: expect="^memory is well$"
//
// malloc and its family from many goroutines on all cores, which are preempted often: objects keep
// their contents, travel to other goroutines through channels and are freed there, and in the end
// as much memory is free as in the beginning.

#include <heddle.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernel/heap.h"
#include "kernel/page.h"

enum { WORKERS = 16, ROUNDS = 1500, KEPT = 40 };

struct parcel {
    size_t n;
    unsigned char byte;
    unsigned char *data;
};

static struct chan *post;
static struct waitgroup workers;

static void fill(struct parcel *p)
{
    memset(p->data, p->byte, p->n);
}

static void check_and_free(struct parcel *p)
{
    for (size_t i = 0; i < p->n; i++)
        check(p->data[i] == p->byte);
    free(p->data);
    p->data = NULL;
}

static uint32_t next(uint32_t *seed)
{
    return *seed = *seed * 1664525u + 1013904223u, *seed >> 8;
}

static void make(struct parcel *p, uint32_t *seed)
{
    p->n = next(seed) % (next(seed) % 16 ? 600 : 60000);
    p->byte = (unsigned char)next(seed);
    switch (next(seed) % 4) {
    case 0:
        p->data = calloc(p->n, 1);
        for (size_t i = 0; i < p->n; i++)
            check(p->data[i] == 0);
        break;
    case 1:
        p->data = memalign(256, p->n);
        check((uintptr_t)p->data % 256 == 0);
        break;
    default:
        p->data = malloc(p->n);
    }
    check(p->data && malloc_usable_size(p->data) >= p->n);
    fill(p);
}

static void worker(void *arg)
{
    uint32_t seed = (uint32_t)(uintptr_t)arg;
    struct parcel kept[KEPT] = { 0 };
    for (int i = 0; i < ROUNDS; i++) {
        struct parcel *p = &kept[next(&seed) % KEPT];
        switch (next(&seed) % 4) {
        case 0:
            if (p->data && chan_try_send(post, p))
                p->data = NULL;
            break;
        case 1:
            if (p->data)
                check_and_free(p);
            if (chan_try_recv(post, p) != 1)
                p->data = NULL;
            break;
        case 2:
            if (p->data) {
                size_t n = next(&seed) % 3000, both = n < p->n ? n : p->n;
                p->data = realloc(p->data, n ? n : 1);
                check(p->data);
                for (size_t k = 0; k < both; k++)
                    check(p->data[k] == p->byte);
                p->n = n;
                fill(p);
            }
            break;
        default:
            if (p->data)
                check_and_free(p);
            make(p, &seed);
        }
    }
    for (int i = 0; i < KEPT; i++)
        if (kept[i].data)
            check_and_free(&kept[i]);
    waitgroup_done(&workers);
}

static void round_trip(void)
{
    struct parcel p;
    waitgroup_add(&workers, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        check(go(worker, (void *)(uintptr_t)(i * 7919 + 1)) == 0);
    waitgroup_wait(&workers);
    while (chan_try_recv(post, &p) == 1)
        check_and_free(&p);
}

int main(void)
{
    struct heap_stats before, after;
    post = chan_make(sizeof(struct parcel), 100);
    round_trip(); // stacks of the goroutines, lists of the cores come to be
    heap_stats(&before);
    size_t pages = page_free_count();
    for (int i = 0; i < 3; i++)
        round_trip();
    heap_stats(&after);
    printf("%zu objects and %zu bytes in use, %zu before; %zu pages free, %zu before; %zu allocs\n",
           after.allocs - after.frees, after.live_bytes, before.live_bytes, page_free_count(),
           pages, after.allocs);
    // What may be added are goroutines, which Ps keep for the next time, and their stacks.
    check(after.allocs - after.frees <= before.allocs - before.frees + 200);
    check(after.live_bytes <= before.live_bytes + 200000);
    check(page_free_count() + 1500 >= pages);
    check(page_total() * PAGE_SIZE > 60u << 20);
    puts("memory is well");
    return 0;
}
