// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 exit=2 expect="(?s)panic: send on closed channel\n.*^goroutine 1 .*^core 0,"
// test: expect+="its last events:\n(\t-\d+\.\d{6} s  [^\n]+\n)+"
// test: reject="deferred too late"
// A panic nobody recovers, in a goroutine that was waiting: deferred calls run, then the report,
// what the cores did last included, exit status 2.

#include "check.h"

static void says(void *arg) { printf("%s\n", (const char *)arg); }

static void sends(void *arg)
{
    go_defer(says, "deferred");
    chan_send(arg, &(int64_t){ 1 });
    go_defer(says, "deferred too late");
}

int main(void)
{
    struct chan *c = chan_make(8, 0);
    go(sends, c);
    settle();
    chan_close(c);
    time_sleep(10 * TIME_S);
    return 1;
}
