// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=net/*.c,tests/host/sim/*.c timeout=120
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
//
// Names: a scripted server answers, lies, fails, is slow or absent; dialling by name; a losing
// wire; and the parser on garbage. The mirror makes a server of ours one on the wire. Arguments:
// case and seed.
#include "net/dns.h"

#include <errno.h>
#include <heddle/go.h>
#include <heddle/net.h>
#include <heddle/time.h>
#include <stdlib.h>
#include <string.h>

#include "net/netif.h"
#include "tests/host/sim/lossy.h"
#include "tests/host/sim/sim.h"

static struct lossy *dev;
static struct packet_conn *server;
static unsigned asked;

// ---- the server ----

static uint8_t msg[600];
static uint32_t at;

static void put16(unsigned v)
{
    msg[at++] = (uint8_t)(v >> 8);
    msg[at++] = (uint8_t)v;
}

static void put_name(const char *s)
{
    while (*s) {
        uint32_t n = (uint32_t)strcspn(s, ".");
        msg[at++] = (uint8_t)n;
        memcpy(msg + at, s, n);
        at += n;
        s += n + (s[n] == '.');
    }
    msg[at++] = 0;
}

// A record whose owner is the asked name, or, if not NULL, that one.
static void record(const char *owner, unsigned type, unsigned len)
{
    if (owner)
        put_name(owner);
    else
        put16(0xc00c);
    put16(type);
    put16(1);
    put16(0);
    put16(60);
    put16(len);
    msg[7]++;
}

static void record_a(const char *owner, uint32_t addr)
{
    record(owner, 1, 4);
    put16(addr >> 16);
    put16(addr & 0xffff);
}

static void record_alias(const char *owner, const char *to)
{
    record(owner, 5, (unsigned)strlen(to) + 2);
    put_name(to);
}

// Keeps the question, n bytes of msg, and says so much.
static void begin_answer(uint32_t n, unsigned flags)
{
    at = 2;
    put16(flags);
    memset(msg + 6, 0, 6);
    at = n;
}

static void reply(const char *to) { CHECK_EQ(net_send_to(server, msg, at, to), at); }

static void answer(uint32_t n, const char *from)
{
    char name[DNS_NAME_MAX + 1] = "";
    for (uint32_t i = 12; msg[i]; i += 1u + msg[i]) {
        strncat(name, (const char *)msg + i + 1, msg[i]);
        if (msg[i + 1 + msg[i]])
            strcat(name, ".");
    }
    asked++;
    begin_answer(n, 0x8180);
    if (strcmp(name, "plain.test") == 0) {
        record_a(NULL, 0x0a000002);
    } else if (strcmp(name, "many.test") == 0) {
        record_a(NULL, 0x09090909); // no way there
        record_a(NULL, 0);
        for (int i = 0; i < 20; i++)
            record_a("MANY.test", 0x0a000002);
    } else if (strcmp(name, "alias.test") == 0) {
        record_a("end.test", 0x0a000007);
        record_alias("two.test", "end.test");
        record_alias(NULL, "two.test");
        record_a("other.test", 0x0a000009);
    } else if (strcmp(name, "circle.test") == 0) {
        record_alias(NULL, "round.test");
        record_alias("round.test", "circle.test");
    } else if (strcmp(name, "none.test") == 0) {
        begin_answer(n, 0x8183);
    } else if (strcmp(name, "empty.test") == 0) {
        record("empty.test", 28, 0);
    } else if (strcmp(name, "fails.test") == 0) {
        begin_answer(n, 0x8182);
    } else if (strcmp(name, "cut.test") == 0) {
        begin_answer(n, 0x8380);
        record_a(NULL, 0x0a000002);
        record_a(NULL, 0x0a000003);
        at -= 3;
    } else if (strcmp(name, "forged.test") == 0) {
        record_a(NULL, 0x0a0000bb);
        msg[0] ^= 1; // another number
        reply(from);
        msg[0] ^= 1;
        msg[2] &= 0x7f; // a question
        reply(from);
        msg[2] |= 0x80;
        msg[13] ^= 1; // another name
        reply(from);
        msg[13] ^= 1;
        uint32_t whole = at;
        for (at = 0; at < 20; at++)
            reply(from);
        at = whole;
        msg[at - 1] = 2;
    } else {
        return; // no answer
    }
    reply(from);
}

static void serve(void *arg)
{
    char from[NET_ADDR_MAX];
    ssize_t n;
    (void)arg;
    memset(msg, 0, sizeof(msg));
    while ((n = net_recv_from(server, msg, sizeof(msg), from, sizeof(from))) >= 0)
        answer((uint32_t)n, from);
}

static void start_server(void)
{
    net_init();
    dev = lossy_create("eth0", 1500, 0);
    CHECK((server = net_listen_packet("udp", ":53")) != NULL);
    go(serve, NULL);
    asked = 0;
}

// ---- cases ----

#define FAILS(call, error)      \
    do {                        \
        CHECK((call) < 0);      \
        CHECK_EQ(errno, error); \
    } while (0)

static void is(const char *name, const char *addr)
{
    char b[NET_ADDR_MAX];
    CHECK_EQ(net_lookup(name, 0, b, sizeof(b)), (int)strlen(addr));
    CHECK_EQ(strcmp(b, addr), 0);
}

static void answers(void)
{
    char b[NET_ADDR_MAX], *longest = calloc(1, 300);
    start_server();
    is("plain.test", "10.0.0.2");
    is("PLAIN.Test.", "10.0.0.2");
    is("alias.test", "10.0.0.7");
    is("cut.test", "10.0.0.2");
    is("many.test", "9.9.9.9");
    is("1.2.3.4", "1.2.3.4");
    is("localhost", "127.0.0.1");
    CHECK_EQ(asked, 5);
    FAILS(net_lookup("none.test", 0, b, sizeof(b)), ENOENT);
    FAILS(net_lookup("empty.test", 0, b, sizeof(b)), ENOENT);
    FAILS(net_lookup("circle.test", 0, b, sizeof(b)), ENOENT);
    CHECK_EQ(asked, 8);
    FAILS(net_lookup("fails.test", 0, b, sizeof(b)), EIO);
    CHECK_EQ(asked, 12);
    is("forged.test", "10.0.0.2");
    static const char *const bad[] = {"", ".", "a..b", ".a", "a b", "a/b", "a\n", "caf\xc3\xa9"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        FAILS(net_lookup(bad[i], 0, b, sizeof(b)), EINVAL);
    memset(longest, 'a', 64);
    FAILS(net_lookup(longest, 0, b, sizeof(b)), EINVAL);
    for (int i = 0; i < 254; i++)
        longest[i] = i % 2 ? '.' : 'a';
    longest[254] = 'a';
    FAILS(net_lookup(longest, 0, b, sizeof(b)), EINVAL);
    free(longest);
    CHECK_EQ(asked, 13);
    // Nobody answers: 11 seconds in all, or the caller's time.
    int64_t t0 = time_mono();
    FAILS(net_lookup("silent.test", 0, b, sizeof(b)), ETIMEDOUT);
    CHECK(time_mono() - t0 > 10 * TIME_S && time_mono() - t0 < 12 * TIME_S);
    t0 = time_mono();
    FAILS(net_lookup("silent.test", t0 + 300 * TIME_MS, b, sizeof(b)), ETIMEDOUT);
    CHECK(time_mono() - t0 < 310 * TIME_MS);
    net_close_packet(server);
    FAILS(net_lookup("plain.test", 0, b, sizeof(b)), EIO); // the port is closed: said at once
    CHECK(time_mono() - t0 < 320 * TIME_MS);
}

static void dials(void)
{
    start_server();
    char b[NET_ADDR_MAX];
    struct listener *l = net_listen("tcp", ":80");
    struct conn *c = net_dial("tcp", "plain.test:80"), *s = net_accept(l);
    CHECK(c && s);
    CHECK(net_remote_addr(c, b, sizeof(b)) > 0 && strcmp(b, "10.0.0.2:80") == 0);
    net_close(c);
    net_close(s);
    c = net_dial_deadline("tcp", "many.test:80", time_mono() + TIME_S); // the second address
    CHECK(c && (s = net_accept(l)) != NULL);
    net_close(c);
    net_close(s);
    CHECK(net_dial("tcp", "none.test:80") == NULL);
    CHECK_EQ(errno, ENOENT);
    CHECK(net_dial("tcp", "plain.test:81") == NULL);
    CHECK_EQ(errno, ECONNREFUSED);
    CHECK(net_dial("tcp", "plain.test:0") == NULL);
    CHECK_EQ(errno, EINVAL);
    CHECK(net_listen("tcp", "plain.test:80") == NULL);
    CHECK_EQ(errno, EADDRNOTAVAIL);
    struct packet_conn *p = net_listen_packet("udp", ":9");
    CHECK_EQ(net_send_to(p, "xyz", 3, "plain.test:9"), 3); // the mirror sends it back
    CHECK_EQ(net_recv_from(p, b, sizeof(b), NULL, 0), 3);
    net_close_packet(p);
    net_close_listener(l);
    net_close_packet(server);
}

static void lossy_wire(void)
{
    char b[NET_ADDR_MAX];
    unsigned known = 0;
    start_server();
    dev->par.loss_ppm = 200000;
    dev->par.dup_ppm = 200000;
    dev->par.jitter_ns = 20 * TIME_MS;
    size_t before = sim_heap_objects();
    for (int i = 0; i < 200; i++)
        known += net_lookup(i % 2 ? "plain.test" : "alias.test", 0, b, sizeof(b)) > 0;
    CHECK(known > 180); // four tries of which each gets through with 0.64
    dev->par = (struct lossy_params){0};
    sim_settle(700 * TIME_S);
    CHECK(sim_heap_objects() <= before + 1); // nothing, but for the neighbour's entry
    net_close_packet(server);
}

static void two_servers(void)
{
    start_server();
    struct lossy *other = lossy_create("eth1", 1500, 0);
    dev->unplugged = true; // the first server does not answer
    int64_t t0 = time_mono();
    is("plain.test", "10.0.0.2");
    CHECK(time_mono() - t0 < 2 * TIME_S && other->frames > 0);
    net_close_packet(server);
}

static void no_server(void)
{
    char b[NET_ADDR_MAX];
    net_init();
    dev = lossy_create("eth0", 1500, 0);
    FAILS(net_lookup("plain.test", 0, b, sizeof(b)), EADDRNOTAVAIL);
    CHECK(net_dial("tcp", "plain.test:80") == NULL);
    CHECK_EQ(errno, EADDRNOTAVAIL);
}

static void garbage(void)
{
    unsigned parsed = 0;
    for (int i = 0; i < 300000; i++) {
        at = dns_build(msg, 7, "some.host.test");
        begin_answer(at, sim_chance(900000) ? 0x8180 : (unsigned)sim_rand() & 0xffff);
        for (uint32_t k = sim_below(6); k; k--) {
            if (sim_chance(500000))
                record_a(sim_chance(500000) ? NULL : "x.test", (uint32_t)sim_rand());
            else
                record_alias(sim_chance(500000) ? NULL : "x.test", "x.test");
        }
        uint32_t n = sim_chance(200000) ? sim_below(at) : at;
        uint8_t *m = malloc(n + !n); // its own object, so that reading past it is noticed
        memcpy(m, msg, n);
        for (uint32_t k = sim_below(4); k && n > 12; k--) {
            uint32_t where = sim_chance(800000) ? 12 + sim_below(n - 12) : sim_below(n);
            m[where] = (uint8_t)(sim_chance(500000) ? 0xc0 | sim_below(2) : sim_rand());
        }
        uint32_t addr_be[DNS_ADDRS_MAX];
        int found = dns_parse(m, n, 7, "some.host.test", addr_be);
        CHECK(found > 0 ? found <= DNS_ADDRS_MAX : found == -ENOENT || found == -EIO ||
                                                   found == -EBADMSG);
        parsed += found > 0;
        free(m);
    }
    CHECK(parsed > 10000);
}

static const struct {
    const char *name, *cmdline;
    void (*fn)(void);
} cases[] = {
    {"answers", "ip=10.0.0.1/24 dns=10.0.0.2", answers},
    {"dials", "ip=10.0.0.1/24 dns=10.0.0.2", dials},
    {"lossy_wire", "ip=10.0.0.1/24 dns=10.0.0.2", lossy_wire},
    {"two_servers", "ip=10.0.0.1/24 dns=10.0.0.2 ip=eth1:10.0.1.1/24 dns=eth1:10.0.1.2",
     two_servers},
    {"no_server", "ip=10.0.0.1/24", no_server},
    {"garbage", "", garbage},
};

static void run_fn(void *arg) { cases[(uintptr_t)arg].fn(); }

static void run_case(void *arg)
{
    struct sim_options o = {.seed = sim_opt.seed, .cores = 1 + sim_opt.seed % 3};
    o.cmdline = cases[(uintptr_t)arg].cmdline;
    o.limit_ns = 100000 * TIME_S;
    sim_run(&o, run_fn, arg);
}

int main(int argc, char **argv)
{
    unsigned ran = 0, failed = 0;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
            continue;
        for (unsigned s = 1; s <= 3; s++, ran++) {
            uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : s;
            failed += !sim_case(cases[i].name, seed, 60, run_case, (void *)(uintptr_t)i);
        }
    }
    printf("%u runs of the resolver against a scripted server, %u failed\n", ran, failed);
    return failed != 0;
}
