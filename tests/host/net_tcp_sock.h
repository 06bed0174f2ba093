// SPDX-License-Identifier: BSD-2-Clause
// What the tests of TCP sockets share: both ends of a connection, patterns sent and expected, and
// a table of cases that run in worlds of their own.
#ifndef TESTS_NET_TCP_SOCK_H
#define TESTS_NET_TCP_SOCK_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/host/net_tcp.h"

static inline struct listener *listen_on(const char *addr)
{
    struct listener *l = net_listen("tcp", addr);
    if (!l)
        sim_fail(__FILE__, __LINE__, "net_listen %s: errno %d", addr, errno);
    return l;
}

// A connection, both of its ends.
static inline void pair(struct listener *l, struct conn **client, struct conn **server)
{
    struct net_addr a;
    char addr[NET_ADDR_MAX];
    tcp_listener_addr(l, &a);
    a.addr_be = PEER_BE;
    net_addr_format(&a, addr, sizeof(addr));
    *client = net_dial("tcp", addr);
    CHECK(*client != NULL);
    *server = net_accept(l);
    CHECK(*server != NULL);
}

static inline void send_pattern(struct conn *c, uint32_t id, uint32_t n)
{
    uint8_t *buf = malloc(n);
    for (uint32_t i = 0; i < n; i++)
        buf[i] = pattern(id, i);
    CHECK_EQ(net_write(c, buf, n), n);
    free(buf);
}

static inline void expect_pattern(struct conn *c, uint32_t id, uint32_t n)
{
    uint8_t buf[5000];
    for (uint32_t at = 0; at < n;) {
        ssize_t r = net_read(c, buf, MIN(sizeof(buf), n - at));
        CHECK(r > 0);
        for (ssize_t i = 0; i < r; i++)
            CHECK_EQ(buf[i], pattern(id, at + (uint64_t)i));
        at += (uint32_t)r;
    }
}

static inline void expect_end(struct conn *c)
{
    char b;
    CHECK_EQ(net_read(c, &b, 1), 0);
}

#define CHECK_FAILS(call, error)    \
    do {                            \
        CHECK((call) < 0);          \
        CHECK_EQ(errno, error);     \
    } while (0)

struct test {
    const char *name;
    void (*fn)(void);
    unsigned seeds;
    const char *options;
    bool leaves; // something open at the end
};

static inline void world(void *arg)
{
    const struct test *t = arg;
    net_start((uint32_t)(sim_rand() & (NETDEV_TX_CSUM | NETDEV_RX_CSUM)));
    t->fn();
    if (!t->leaves)
        net_check_empty();
}

static inline void one_case(void *arg)
{
    const struct test *t = arg;
    char options[200];
    snprintf(options, sizeof(options), "ip=10.0.0.1/24 %s", t->options);
    struct sim_options opt = {.seed = sim_opt.seed, .cores = 1 + (unsigned)(sim_opt.seed % 3),
                              .limit_ns = 48ll * 3600 * TIME_S, .cmdline = options};
    sim_run(&opt, world, arg);
}

static inline int run_tests(const struct test *tests, unsigned n, const char *what, int argc,
                            char **argv)
{
    unsigned ran = 0, failed = 0;
    for (unsigned i = 0; i < n; i++) {
        if (argc > 1 && strcmp(argv[1], tests[i].name) != 0)
            continue;
        unsigned seeds = argc > 2 ? (unsigned)atoi(argv[2]) : tests[i].seeds;
        for (unsigned k = 0; k < seeds; k++, ran++)
            failed += !sim_case(tests[i].name, 1 + k, 120, one_case, (void *)&tests[i]);
    }
    printf("%s: %u of %u cases behave\n", what, ran - failed, ran);
    return failed != 0;
}

#endif
