// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 exit=2 expect="panic: a goroutine ends while it holds a lock of the C library"
// A goroutine that ends in the middle of flockfile and funlockfile is reported: nobody could ever
// write to that stream again.

#include <stdio.h>

#include <heddle.h>

static void leave(void *unused)
{
    flockfile(stdout);
    go_exit();
}

int main(void)
{
    go(leave, NULL);
    time_sleep(100 * TIME_MS);
    printf("not reported\n");
    return 0;
}
