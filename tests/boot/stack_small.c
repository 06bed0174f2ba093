// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1 machines=q35 kopts="slice_us=200"
//
// A goroutine with the smallest stack uses most of what it asked for when it is preempted: what
// that saves there must not be counted against it.

#include <heddle.h>
#include <stdatomic.h>

#include "check.h"

static _Atomic(int) turns;
static _Atomic(bool) done;

// Gets a turn only when the other is stopped.
static void counts(void *unused)
{
    (void)unused;
    while (!done) {
        turns++;
        go_yield();
    }
}

static void fills_its_stack(void *unused)
{
    (void)unused;
    volatile char frame[3500];
    double x = 1;
    for (int i = 0; turns < 20; i++) {
        frame[i % 3500] = (char)i;
        x = x * 1.0000001 + frame[i % 3500];
    }
    check(x > 0 || x <= 0 || x != x);
    done = true;
}

int main(void)
{
    struct go_attr attr = { .name = "small", .stack_max = 4096 };
    check(go_with(&attr, fills_its_stack, NULL) == 0);
    check(go(counts, NULL) == 0);
    while (!done)
        time_sleep(1000000);
    return 0;
}
