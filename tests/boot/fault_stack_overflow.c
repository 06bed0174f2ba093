// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 machines=q35,microvm exit=2
// test: expect="^fatal error: stack overflow[^$]*fault_stack_overflow.c:endless"
//
// A recursion without end stops at the guard page of its stack, in a goroutine with the stack
// size it asked for, and is reported as such.

#include <heddle.h>

static volatile int depth, size;

static __attribute__((noinline)) int endless(int n)
{
    volatile char frame[200];
    frame[n % 200] = (char)n;
    depth = n;
    return endless(n + 1) + frame[n % 100];
}

static void overflow(void *unused)
{
    (void)unused;
    size = endless(1);
}

int main(void)
{
    struct go_attr attr = { .name = "endless", .stack_max = 64 << 10 };
    go_with(&attr, overflow, NULL);
    time_sleep(20 * 1000000000ll);
    return 0;
}
