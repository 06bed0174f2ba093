// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 exit=2 reject="never"
// test: expect="error: all goroutines are asleep - deadlock!(.|\n)*\[mutex(.|\n)*\[chan receive"
// After some time with work on all cores everybody waits for somebody else: a channel, a mutex, a
// wait group. The card is there and has its address, whose lease has timers; none of that counts.

#include "check.h"
#include "net/netif.h"

static struct mutex m;
static struct waitgroup done, never;

static void work(void *arg)
{
    long n = (long)arg;
    for (int i = 0; i < 30; i++) {
        time_sleep(100 * TIME_US * (n % 3));
        for (volatile int k = 0; k < 2000 * n; k++)
            ;
        go_yield();
    }
    waitgroup_done(&done);
    if (n % 2)
        waitgroup_wait(&never);
}

static void locker(void *c)
{
    mutex_lock(&m);
    mutex_lock(&m);
    chan_send(c, NULL);
    printf("never\n");
}

int main(void)
{
    struct chan *c = chan_make(0, 0);
    check_soon(!netif_configuring());
    waitgroup_add(&done, 8);
    waitgroup_add(&never, 1);
    for (long i = 0; i < 8; i++)
        check(go(work, (void *)i) == 0);
    waitgroup_wait(&done);
    struct go_attr attr = { .name = "locker" };
    check(go_with(&attr, locker, c) == 0);
    chan_recv(c, NULL);
    printf("never\n");
    return 0;
}
