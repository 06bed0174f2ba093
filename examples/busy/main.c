// SPDX-License-Identifier: BSD-2-Clause
// Computes without end on every core and answers all the same: each line a client sends is answered
// with how many rounds the loops have made. What a cooperative scheduler cannot do. Argument: the
// address to listen on (":80").

#include <errno.h>
#include <heddle.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static _Atomic(unsigned long) rounds;

static void compute(void *unused)
{
    (void)unused;
    for (;;) {
        for (volatile int i = 0; i < 1000000; i++)
            ;
        atomic_fetch_add_explicit(&rounds, 1, memory_order_relaxed);
    }
}

static void serve(void *arg)
{
    struct conn *c = arg;
    char buf[512], answer[64];
    ssize_t n;
    while ((n = net_read(c, buf, sizeof(buf))) > 0) {
        for (char *nl = buf; (nl = memchr(nl, '\n', (size_t)(buf + n - nl))) != NULL; nl++) {
            int len = snprintf(answer, sizeof(answer), "%lu\n", atomic_load(&rounds));
            if (net_write(c, answer, (size_t)len) < 0)
                break;
        }
    }
    net_close(c);
}

int main(int argc, char **argv)
{
    const char *addr = argc > 1 ? argv[1] : ":80";
    struct listener *l = net_listen("tcp", addr);
    if (!l) {
        fprintf(stderr, "busy: cannot listen on %s: %s\n", addr, strerror(errno));
        return 1;
    }
    for (int i = 0; i < go_numcpu(); i++)
        go(compute, NULL);
    printf("busy: computing on %d cores, listening on %s\n", go_numcpu(), addr);
    for (;;) {
        struct conn *c = net_accept(l);
        if (!c) {
            time_sleep(10000000);
            continue;
        }
        if (go(serve, c) != 0)
            net_close(c);
    }
}
