// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=90 expect="deadlock_not: nobody was fooled" reject="deadlock!"
// Each thing that may end a wait keeps the machine from the verdict while everything else sleeps:
// a sleeper, a blocking call, a timer with a channel, a ticker, a timer's function, a deadline, a
// packet that is on its way, a connection somebody outside might make. The last is watched with
// main blocked on a channel, for as long as a timer of the runtime's own takes.

#include <errno.h>

#include "check.h"
#include "kernel/clock.h"
#include "net/netif.h"
#include "sched/timer.h"

static struct chan *c;

static void send_later(void *unused)
{
    time_sleep(30 * TIME_MS);
    chan_send(c, NULL);
}

static void send_now(void *unused)
{
    chan_send(c, NULL);
}

static void block_and_send(void *unused)
{
    go_block_enter();
    for (int64_t until = time_mono() + 60 * TIME_MS; time_mono() < until;)
        arch_relax();
    go_block_exit();
    chan_send(c, NULL);
}

static void in_time(void)
{
    static struct timer t;
    check(go(send_later, NULL) == 0);
    chan_recv(c, NULL);

    check(go(block_and_send, NULL) == 0);
    chan_recv(c, NULL);

    struct chan *after = time_after(30 * TIME_MS);
    chan_recv(after, NULL);
    chan_free(after);

    struct ticker ticker = { 0 };
    check(ticker_start(&ticker, 10 * TIME_MS) == 0);
    for (int i = 0; i < 3; i++)
        chan_recv(ticker.c, NULL);
    ticker_free(&ticker);

    timer_start(&t, 30 * TIME_MS, send_now, NULL);
    chan_recv(c, NULL);
    timer_start(&t, 1000 * TIME_S, send_now, NULL);
    timer_reset(&t, 30 * TIME_MS);
    chan_recv(c, NULL);

    check(chan_recv_deadline(c, NULL, time_mono() + 30 * TIME_MS) < 0 && errno == ETIMEDOUT);
}

static void accept_for_ever(void *l)
{
    net_accept(l);
}

// A timer that counts for nothing, to watch by: the runtime's own.
static void watched(void *gp)
{
    goready_tail(gp);
}

static bool watch(struct g *gp, void *t)
{
    timer_arm(t, clock_mono_ns() + 200 * TIME_MS, watched, gp);
    return true;
}

static void from_outside(void)
{
    check_soon(!netif_configuring());
    // QEMU's user network refuses it, from outside.
    check(!net_dial("tcp", "10.0.2.2:1"));
    struct listener *l = net_listen("tcp", "0.0.0.0:80");
    check(l && go(accept_for_ever, l) == 0);
    static struct timer t;
    gopark(watch, &t, WAIT_CHAN_RECV);
}

int main(void)
{
    c = chan_make(0, 0);
    in_time();
    from_outside();
    printf("deadlock_not: nobody was fooled\n");
    return 0;
}
