// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=net/*.c,tests/host/sim/*.c timeout=60
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
//
// "host:port" as people write it, and as nobody should.
#include <errno.h>
#include <heddle/net.h>
#include <stdlib.h>
#include <string.h>

#include "net/socket.h"
#include "net/wire.h"
#include "tests/host/sim/sim.h"

static const struct {
    const char *text;
    int err;
    uint32_t addr; // host order
    uint16_t port;
} table[] = {
    {"", 0, 0, 0},
    {":80", 0, 0, 80},
    {":", 0, 0, 0},
    {"1.2.3.4:80", 0, 0x01020304, 80},
    {"1.2.3.4:", 0, 0x01020304, 0},
    {"255.255.255.255:65535", 0, 0xffffffff, 65535},
    {"0.0.0.0:0", 0, 0, 0},
    {"localhost:8080", 0, 0x7f000001, 8080},
    {"1.2.3.4", -EINVAL, 0, 0},
    {"localhost", -EINVAL, 0, 0},
    {"1.2.3:80", -EINVAL, 0, 0},
    {"1.2.3.4.5:80", -EINVAL, 0, 0},
    {"1.2.3.256:80", -EINVAL, 0, 0},
    {"1.2.3.04:80", -EINVAL, 0, 0},
    {"1..3.4:80", -EINVAL, 0, 0},
    {"1.2.3.4:65536", -EINVAL, 0, 0},
    {"1.2.3.4:100000", -EINVAL, 0, 0},
    {"1.2.3.4:-1", -EINVAL, 0, 0},
    {"1.2.3.4:80x", -EINVAL, 0, 0},
    {"1.2.3.4: 80", -EINVAL, 0, 0},
    {"1.2.3.4:http", -EINVAL, 0, 0},
    {"::1:80", -EINVAL, 0, 0},
    {"[::1]:80", -EAFNOSUPPORT, 0, 0},
    {"[::1]", -EINVAL, 0, 0},
    {"[::1", -EINVAL, 0, 0},
    {"example.org:80", -EADDRNOTAVAIL, 0, 0},
    {"localhosts:80", -EADDRNOTAVAIL, 0, 0},
    {NULL, -EINVAL, 0, 0},
};

static void table_test(void)
{
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct net_addr a = {0x5a5a5a5a, 0x5a5a};
        int err = net_addr_parse(table[i].text, &a);
        if (err != table[i].err)
            sim_fail(__FILE__, __LINE__, "\"%s\" gives %d, not %d", table[i].text, err,
                     table[i].err);
        if (err) {
            CHECK(a.addr_be == 0x5a5a5a5a && a.port == 0x5a5a);
            continue;
        }
        CHECK_EQ(be32(a.addr_be), table[i].addr);
        CHECK_EQ(a.port, table[i].port);
        char text[NET_ADDR_MAX];
        struct net_addr b;
        CHECK_EQ(net_addr_format(&a, text, sizeof(text)), strlen(text));
        CHECK(net_addr_parse(text, &b) == 0 && b.addr_be == a.addr_be && b.port == a.port);
    }
}

// Whatever is accepted must be what it says.
static void garbage(void)
{
    static const char letters[] = "0123456789.:[]localhost-+ x\xff";
    unsigned accepted = 0;
    for (int i = 0; i < 300000; i++) {
        uint32_t n = sim_below(24);
        char *s = malloc(n + 1); // its own object, so that reading past it is noticed
        for (uint32_t k = 0; k < n; k++)
            s[k] = letters[sim_below(i & 1 ? 12 : sizeof(letters) - 1)];
        s[n] = 0;
        struct net_addr a, b;
        if (net_addr_parse(s, &a) == 0) {
            char text[NET_ADDR_MAX];
            net_addr_format(&a, text, sizeof(text));
            CHECK(net_addr_parse(text, &b) == 0 && b.addr_be == a.addr_be && b.port == a.port);
            accepted++;
        }
        free(s);
    }
    CHECK(accepted > 0);
}

static void errno_test(void)
{
    errno = 0;
    CHECK(!net_listen("tcp6", ":80") && errno == EAFNOSUPPORT);
    CHECK(!net_listen("udp", ":80") && errno == EINVAL);
    CHECK(!net_listen(NULL, ":80") && errno == EINVAL);
    CHECK(!net_listen("tcp", NULL) && errno == EINVAL);
    CHECK(!net_listen_packet("tcp", ":80") && errno == EINVAL);
    CHECK(!net_listen_packet("udp6", ":80") && errno == EAFNOSUPPORT);
    CHECK(!net_dial("tcp", "1.2.3.4:0") && errno == EINVAL);
    CHECK(!net_dial("tpc", "1.2.3.4:5") && errno == EINVAL);
    CHECK(!net_dial("udp", "example.org:5") && errno == EADDRNOTAVAIL);
    CHECK(net_read(NULL, NULL, 0) == -1 && errno == EBADF);
    CHECK(net_close(NULL) == -1 && errno == EBADF);
    CHECK(!net_accept(NULL) && errno == EBADF);
}

static void all_of_it(void *arg)
{
    (void)arg;
    table_test();
    garbage();
    errno_test();
    printf("addresses are parsed, printed and refused as documented\n");
}

int main(void)
{
    struct sim_options o = {.seed = 1};
    sim_run(&o, all_of_it, NULL);
    return 0;
}
