// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 machines=q35,microvm mem=128M kopts="slice_us=100" timeout=90
// test: expect="^stacks are well$"
//
// Stacks grow on demand, on every core at once, page by page and in strides, further than the
// reserve of a core goes, in goroutines that are preempted all the time; what was written stays.
// Another goroutine may be the first to write to a page of a stack.

#include <heddle.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static struct waitgroup growing;

static __attribute__((noinline)) uint64_t descend(unsigned depth, uint64_t seed)
{
    volatile uint64_t frame[60];
    for (int i = 0; i < 60; i++)
        frame[i] = seed * (uint64_t)(i + 1);
    uint64_t below = depth > 0 ? descend(depth - 1, seed + 1) : 0;
    for (int i = 0; i < 60; i++)
        check(frame[i] == seed * (uint64_t)(i + 1));
    return below + 1;
}

static void grow(void *arg)
{
    uintptr_t n = (uintptr_t)arg;
    for (int i = 0; i < 4; i++) {
        unsigned depth = (unsigned)((n * 37 + (uintptr_t)i * 101) % 380);
        check(descend(depth, n) == depth + 1);
        go_yield();
    }
    waitgroup_done(&growing);
}

// All of a large stack at once, from the far end.
static void stride(void *arg)
{
    enum { BYTES = 3 << 20 };
    volatile unsigned char array[BYTES];
    unsigned char byte = (unsigned char)(uintptr_t)arg;
    for (size_t i = 0; i < BYTES; i += 1000)
        array[i] = (unsigned char)(byte + i / 1000);
    for (size_t i = 0; i < BYTES; i += 1000)
        check(array[i] == (unsigned char)(byte + i / 1000));
    waitgroup_done(&growing);
}

static void write_for(void *arg)
{
    memset(arg, 0x77, 100000);
    waitgroup_done(&growing);
}

static void lend(void *unused)
{
    (void)unused;
    struct waitgroup *done = &growing;
    char array[100000];
    waitgroup_add(done, 1);
    check(go(write_for, array) == 0);
    while (*(volatile char *)&array[99999] != 0x77)
        go_yield();
    for (size_t i = 0; i < sizeof(array); i++)
        check(array[i] == 0x77);
    waitgroup_done(done);
}

int main(void)
{
    for (uintptr_t i = 0; i < 60; i++) {
        waitgroup_add(&growing, 1);
        check(go(grow, (void *)i) == 0);
    }
    struct go_attr attr = { .name = "stride", .stack_max = 4 << 20 };
    for (uintptr_t i = 0; i < 6; i++) {
        waitgroup_add(&growing, 1);
        check(go_with(&attr, stride, (void *)i) == 0);
    }
    for (int i = 0; i < 10; i++) {
        waitgroup_add(&growing, 1);
        check(go(lend, NULL) == 0);
    }
    waitgroup_wait(&growing);
    puts("stacks are well");
    return 0;
}
