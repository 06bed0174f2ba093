// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 exit=255 expect="goodbye"
//
// exit from a goroutine that is not main, while others print and compute: what was written, an
// unfinished line too, comes out, the status arrives with its low 8 bits, and nobody keeps the
// machine from ending.

#include <stdio.h>
#include <stdlib.h>

#include <heddle.h>

static void spin(void *unused)
{
    for (;;)
        __asm__ volatile("");
}

static void chatter(void *unused)
{
    for (;;) {
        printf("chatter\n");
        go_yield();
    }
}

static void leave(void *unused)
{
    time_sleep(30 * TIME_MS);
    printf("goodbye");
    exit(-1);
}

int main(void)
{
    go(spin, NULL);
    go(chatter, NULL);
    go(chatter, NULL);
    go(leave, NULL);
    struct chan *never = chan_make(1, 0);
    chan_recv(never, NULL);
    return 1;
}
