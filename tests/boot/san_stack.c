// SPDX-License-Identifier: BSD-2-Clause
// test: arch=host san=address smp=1,2 exit=66 expect="AddressSanitizer: stack-buffer-overflow"
//
// AddressSanitizer sees a write beyond a variable on a goroutine's stack, and none in functions
// that end by a panic, by go_exit or by being left for good on g0.

#include <heddle.h>
#include <stdio.h>
#include <string.h>

static struct waitgroup done;
static volatile size_t length = 64;

static __attribute__((noinline)) void fill(char *at, int depth)
{
    char more[100];
    memset(more, depth, sizeof more);
    if (depth > 0)
        fill(more, depth - 1);
    at[0] = more[1];
    if (depth == 0)
        go_panic("enough");
}

static void panics(void *unused)
{
    char byte;
    fill(&byte, 20);
}

static void leaves(void *unused)
{
    char bytes[300];
    memset(bytes, 1, sizeof bytes);
    go_defer((void (*)(void *))waitgroup_done, &done);
    go_try(panics, NULL, NULL);
    memset(bytes, 2, sizeof bytes);
    go_exit();
}

int main(void)
{
    for (int i = 0; i < 1000; i++) {
        waitgroup_add(&done, 1);
        go(leaves, NULL);
        if (i % 10 == 0)
            waitgroup_wait(&done);
    }
    waitgroup_wait(&done);
    puts("no false alarm");
    char array[64];
    for (size_t i = 0; i <= length; i++)
        ((volatile char *)array)[i] = 1;
    return 0;
}
