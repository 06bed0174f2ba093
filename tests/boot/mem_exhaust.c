// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 machines=q35,microvm mem=24M timeout=90 expect="^memory runs out and comes back$"
//
// When memory runs out, malloc, calloc, realloc and go say so and nothing else changes; what is
// then freed can be had again, in other sizes.

#include <errno.h>
#include <heddle.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernel/heap.h"

static struct waitgroup waiting;
static struct chan *hold;

static void holder(void *unused)
{
    (void)unused;
    chan_recv(hold, NULL);
    waitgroup_done(&waiting);
}

static size_t use_up(size_t size)
{
    void *list = NULL, **p;
    size_t n = 0;
    errno = 0;
    while ((p = malloc(size)) != NULL) {
        memset(p, 0x5a, size);
        *p = list;
        list = p;
        n++;
    }
    check(errno == ENOMEM);
    errno = 0;
    check(!calloc(1000, size) && errno == ENOMEM);
    if (list) {
        errno = 0;
        check(!realloc(list, 20u << 20) && errno == ENOMEM);
        check(((unsigned char *)list)[size - 1] == 0x5a);
    }
    while (list) {
        p = list;
        list = *p;
        free(p);
    }
    return n * size;
}

static int spawn_all(void)
{
    int n = 0;
    waitgroup_add(&waiting, 1);
    errno = 0;
    while (go(holder, NULL) == 0) {
        waitgroup_add(&waiting, 1);
        n++;
    }
    check(errno == ENOMEM);
    chan_close(hold);
    waitgroup_done(&waiting);
    waitgroup_wait(&waiting);
    chan_free(hold);
    return n;
}

// A failure that was ordered; should another goroutine get it, it is ordered again.
static void fail_once(void)
{
    void *p;
    for (int i = 0; i < 100; i++) {
        heap_fail_after(1);
        errno = 0;
        p = malloc(10);
        if (!p)
            break;
        free(p);
    }
    check(!p && errno == ENOMEM);
    p = malloc(10);
    check(p && heap_fail_after(0) == 0);
    free(p);
}

int main(void)
{
    static const size_t sizes[] = { 100000, 64, 5000, 600, 2048, 30000, 16, 100000 };
    size_t got[8];
    for (int i = 0; i < 8; i++) {
        if (HOSTILE && sizes[i] < 500)
            continue;
        got[i] = use_up(sizes[i]);
        printf("%zu bytes in objects of %zu\n", got[i], sizes[i]);
        // The debug build's guards take their share. At the second time large objects find what
        // others needed when memory was scarce, packet buffers for instance, strewn over it.
        check(got[i] > (i < 7 && !DEBUG ? 12u : 4u) << 20);
        // The other cores give back what they hoard when they come by.
        time_sleep(2000000);
    }
    volatile size_t many = SIZE_MAX / 2;
    check(!calloc(many, 4) && errno == ENOMEM);

    fail_once();
    hold = chan_make(0, 0);
    int n = spawn_all();
    printf("%d goroutines\n", n);
    check(n > 500);
    puts("memory runs out and comes back");
    return 0;
}
