// SPDX-License-Identifier: BSD-2-Clause
// How many connections a machine holds: a goroutine for each, which answers what it receives from a
// few bytes of its own stack and then waits again. Each second in which their number has changed it
// is printed, and how many were turned away for want of memory. For tools/netlab load --echo; give
// it KOPTS="tcp_keepalive=0", or the probes are most of what is measured. Argument: the address to
// listen on (":7").
#include <heddle.h>
#include <stdatomic.h>
#include <stdio.h>

static _Atomic(unsigned) held, refused;

static void serve(void *arg)
{
    struct conn *c = arg;
    char buf[64];
    ssize_t n;
    atomic_fetch_add(&held, 1);
    while ((n = net_read(c, buf, sizeof(buf))) > 0 && net_write(c, buf, (size_t)n) == n)
        ;
    net_close(c);
    atomic_fetch_sub(&held, 1);
}

static void report(void *arg)
{
    unsigned said = 0;
    for (;;) {
        time_sleep(1000000000);
        unsigned n = atomic_load(&held);
        if (n != said)
            printf("hold: %u connections, %u refused\n", n, atomic_load(&refused));
        said = n;
    }
}

int main(int argc, char **argv)
{
    struct listener *l = net_listen("tcp", argc > 1 ? argv[1] : ":7");
    if (!l || go(report, NULL) != 0)
        return 1;
    printf("hold: listening\n");
    for (;;) {
        struct conn *c = net_accept(l);
        if (c && go(serve, c) == 0)
            continue;
        atomic_fetch_add(&refused, 1);
        if (c)
            net_close(c);
        time_sleep(10000000);
    }
}
