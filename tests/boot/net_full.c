// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 mem=24M timeout=60 kopts="tcp_keepalive=0" expect="full, and well"
//
// More connections than there is memory for: those beyond are closed, the others go on being
// served, and when some have ended there is room for new ones.

#include <heddle.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/boot/check.h"

enum { MANY = 20000 };

static struct conn *conns[MANY];
static _Atomic(unsigned) refused;

static void serve(void *arg)
{
    struct conn *c = arg;
    char buf[64];
    ssize_t n;
    while ((n = net_read(c, buf, sizeof(buf))) > 0 && net_write(c, buf, (size_t)n) == n)
        ;
    net_close(c);
}

static void server(void *l)
{
    for (;;) {
        struct conn *c = net_accept(l);
        if (c && go(serve, c) != 0) {
            atomic_fetch_add(&refused, 1);
            net_close(c);
        }
    }
}

static bool echoes(struct conn *c)
{
    char out[64], in[64];
    memset(out, 'e', sizeof(out));
    net_set_deadline(c, time_mono() + 10 * TIME_S);
    if (net_write(c, out, sizeof(out)) != sizeof(out))
        return false;
    for (size_t got = 0; got < sizeof(in);) {
        ssize_t n = net_read(c, in + got, sizeof(in) - got);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return memcmp(in, out, sizeof(in)) == 0;
}

// Opens connections until one is not served; how many there are then.
static unsigned fill(unsigned n)
{
    for (; n < MANY; n++) {
        conns[n] = net_dial_deadline("tcp", "127.0.0.1:7000", time_mono() + 10 * TIME_S);
        // Each answer's buffer waits for an acknowledgement that is delayed: not too many at once.
        if (n % 16 == 0)
            time_sleep(5 * TIME_MS);
        if (conns[n] && echoes(conns[n]))
            continue;
        if (conns[n])
            net_close(conns[n]);
        break;
    }
    return n;
}

int main(void)
{
    struct listener *l = net_listen("tcp", ":7000");
    check(l && go(server, l) == 0);
    unsigned n = fill(0);
    check(n > 1000 && n < MANY && atomic_load(&refused) == 1);
    for (unsigned i = 0; i < n; i += 7)
        check(echoes(conns[i]));
    unsigned kept = n / 2;
    size_t goroutines = go_count() - (n - kept);
    for (unsigned i = kept; i < n; i++)
        check(net_close(conns[i]) == 0);
    while (go_count() > goroutines)
        time_sleep(10 * TIME_MS);
    unsigned again = fill(kept);
    printf("%u connections, then %u; %u refused\n", n, again, atomic_load(&refused));
    check(again + 100 > n && atomic_load(&refused) == 2);
    for (unsigned i = 0; i < again; i += 7)
        check(echoes(conns[i]));
    puts("full, and well");
    return 0;
}
