// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 exit=5 expect="this line has no newline END"
// What has been printed without a newline is written at the end, also after an fopen (which sets
// newlib's list of streams up once more), and the end waits for no goroutine that holds stdin.

#include <heddle.h>
#include <stdio.h>
#include <sys/lock.h>

static struct chan *holds;

static void holds_stdin(void *unused)
{
    (void)unused;
    __lock_acquire_recursive(stdin->_lock);
    chan_close(holds);
    time_sleep(3600 * TIME_S);
}

int main(void)
{
    printf("before\n");
    FILE *f = fopen("/nothing", "r");
    if (f)
        return 1;
    holds = chan_make(0, 0);
    go(holds_stdin, NULL);
    chan_recv(holds, NULL);
    printf("this line has no newline END");
    return 5;
}
