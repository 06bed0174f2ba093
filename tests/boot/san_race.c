// SPDX-License-Identifier: BSD-2-Clause
// test: arch=host san=thread smp=2 exit=66 expect="ThreadSanitizer: data race"
//
// ThreadSanitizer sees two goroutines on two cores write to a variable without order. Each goes on
// until it has seen the other make progress many times, so both run at once for a while.

#include <heddle.h>
#include <stdatomic.h>
#include <stdio.h>

enum { SEEN = 1000 };

static int shared;
static _Atomic(unsigned) turns[2]; // relaxed: they order nothing

static void writes(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg, seen = 0, last = 0;
    while (seen < SEEN) {
        shared++;
        atomic_fetch_add_explicit(&turns[me], 1, memory_order_relaxed);
        unsigned now = atomic_load_explicit(&turns[!me], memory_order_relaxed);
        seen += now != last;
        last = now;
    }
}

int main(void)
{
    go(writes, (void *)1);
    writes((void *)0);
    printf("%d\n", shared);
    return 0;
}
