// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=net/*.c,tests/host/sim/*.c timeout=180
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
//
// UDP sockets over the mirror device and over loopback: every size up to the largest, through
// fragments; who gets which datagram; deadlines, closing, refusal; loss, reordering, doubling and
// corruption; failing memory; and nothing left behind at the end. Arguments: case and seed.
#include <errno.h>
#include <heddle/go.h>
#include <heddle/net.h>
#include <heddle/time.h>
#include <stdlib.h>
#include <string.h>

#include "net/netif.h"
#include "net/socket.h"
#include "tests/host/sim/lossy.h"
#include "tests/host/sim/sim.h"

#define PEER "10.0.0.2"
static struct lossy *dev;
static size_t objects_before;

static void begin(const char *cmdline, void (*fn)(void *))
{
    struct sim_options o = {.seed = sim_opt.seed, .cores = 1 + sim_opt.seed % 4};
    o.cmdline = cmdline;
    sim_run(&o, fn, NULL);
}

static void set_up(void)
{
    net_init();
    dev = lossy_create("eth0", 1500, sim_chance(500000) ? NETDEV_TX_CSUM | NETDEV_RX_CSUM : 0);
    sim_settle(TIME_MS);
    objects_before = sim_heap_objects();
}

// Everything that was only remembered is forgotten after a while; then nothing may be left.
static void tear_down(void)
{
    sim_settle(700 * TIME_S);
    CHECK_EQ(dev->in_flight, 0);
    CHECK_EQ(ipv4_frag_held(), 0);
    CHECK_EQ(sim_heap_objects(), objects_before);
    CHECK_EQ(sim_goroutines(), 1);
    CHECK_EQ(sim_timers(), 0);
}

static void fill(uint8_t *b, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)((seed + i) * 2654435761u >> 24);
}

static void same(const uint8_t *b, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(b[i], (uint8_t)((seed + i) * 2654435761u >> 24));
}

// Sends sizes there and back between a dialled socket and a listening one.
static void echo_sizes(const char *there)
{
    static uint8_t out[65536], in[65536];
    struct packet_conn *s = net_listen_packet("udp", ":7");
    struct conn *c = net_dial("udp4", there);
    CHECK(s && c);
    for (int i = 0; i < 300; i++) {
        static const uint32_t edges[] = {0, 1, 1471, 1472, 1473, 1480, 2952, 2953, 8192, 65507};
        uint32_t n = i < 10 ? edges[i] : sim_below(sim_chance(100000) ? 65508 : 4000);
        char from[NET_ADDR_MAX];
        fill(out, n, (uint32_t)i);
        CHECK_EQ(net_write(c, out, n), n);
        CHECK_EQ(net_recv_from(s, in, sizeof(in), from, sizeof(from)), n);
        same(in, n, (uint32_t)i);
        CHECK_EQ(net_send_to(s, in, n, from), n);
        memset(in, 0, n);
        CHECK_EQ(net_read(c, in, sizeof(in)), n);
        same(in, n, (uint32_t)i);
    }
    CHECK(net_write(c, out, 65508) == -1 && errno == EMSGSIZE);
    // A short buffer takes the beginning and the rest is lost.
    CHECK_EQ(net_write(c, out, 100), 100);
    CHECK_EQ(net_write(c, out, 7), 7);
    CHECK_EQ(net_recv_from(s, in, 10, NULL, 0), 10);
    CHECK_EQ(net_recv_from(s, in, 10, NULL, 0), 7);
    CHECK_EQ(net_close(c), 0);
    CHECK_EQ(net_close_packet(s), 0);
}

static void sizes(void *arg)
{
    (void)arg;
    set_up();
    dev->par.delay_ns = sim_below(2000000);
    dev->par.lend_ns = sim_below(1000000);
    echo_sizes(PEER ":7");
    echo_sizes("127.0.0.1:7");
    echo_sizes("10.0.0.1:7");
    echo_sizes(":7");
    tear_down();
}

static void matching(void *arg)
{
    (void)arg;
    char buf[64], from[NET_ADDR_MAX], addr[NET_ADDR_MAX];
    set_up();
    struct packet_conn *any = net_listen_packet("udp", ":7");
    CHECK(!net_listen_packet("udp", "10.0.0.1:7") && errno == EADDRINUSE);
    CHECK(!net_listen_packet("udp", "10.0.0.9:8") && errno == EADDRNOTAVAIL);
    struct packet_conn *a = net_listen_packet("udp", "10.0.0.1:8");
    struct packet_conn *b = net_listen_packet("udp", "127.0.0.1:8");
    struct packet_conn *auto_port = net_listen_packet("udp", "");
    CHECK(any && a && b && auto_port);
    struct conn *c = net_dial("udp", PEER ":8");
    CHECK_EQ(net_write(c, "wire", 4), 4);
    CHECK_EQ(net_recv_from(a, buf, sizeof(buf), from, sizeof(from)), 4);
    CHECK(memcmp(buf, "wire", 4) == 0 && strncmp(from, PEER ":", 9) == 0);
    // Only its peer's port reaches a dialled socket.
    net_local_addr(c, addr, sizeof(addr));
    char to[NET_ADDR_MAX];
    snprintf(to, sizeof(to), "%s:%s", PEER, strrchr(addr, ':') + 1);
    CHECK_EQ(net_send_to(any, "no", 2, to), 2);
    CHECK_EQ(net_send_to(a, "yes", 3, to), 3);
    CHECK_EQ(net_read(c, buf, sizeof(buf)), 3);
    CHECK(memcmp(buf, "yes", 3) == 0);
    net_remote_addr(c, addr, sizeof(addr));
    CHECK(strcmp(addr, PEER ":8") == 0);
    CHECK_EQ(net_send_to(auto_port, "lo", 2, "localhost:8"), 2);
    CHECK_EQ(net_recv_from(b, buf, sizeof(buf), from, sizeof(from)), 2);
    CHECK(strncmp(from, "127.0.0.1:", 10) == 0);
    CHECK(net_close_write(c) == -1 && errno == ENOTSUP);
    net_close(c);
    net_close_packet(any);
    net_close_packet(a);
    net_close_packet(b);
    net_close_packet(auto_port);
    // A port that was closed can be had again; all of the automatic ones can be had once.
    any = net_listen_packet("udp", ":7");
    CHECK(any);
    net_close_packet(any);
    static struct packet_conn *many[40000];
    unsigned n = 0;
    while ((many[n] = net_listen_packet("udp", ":0")))
        n++;
    CHECK_EQ(errno, EADDRNOTAVAIL);
    CHECK_EQ(n, 60999 - 32768 + 1);
    while (n)
        net_close_packet(many[--n]);
    tear_down();
}

static int waiting, ended;

struct blocked {
    struct packet_conn *pc;
    int err;
};

static void blocked_reader(void *arg)
{
    struct blocked *b = arg;
    char buf[8];
    waiting++;
    CHECK_EQ(net_recv_from(b->pc, buf, sizeof(buf), NULL, 0), -1);
    CHECK_EQ(errno, b->err);
    ended++;
}

static void deadlines(void *arg)
{
    (void)arg;
    char buf[8];
    set_up();
    struct packet_conn *s = net_listen_packet("udp", ":7");
    struct conn *c = net_dial("udp", PEER ":7");
    int64_t t = time_mono();
    net_set_deadline(c, t + 50 * TIME_MS);
    CHECK(net_read(c, buf, 8) == -1 && errno == ETIMEDOUT);
    CHECK(time_mono() >= t + 50 * TIME_MS && time_mono() < t + 51 * TIME_MS);
    CHECK(net_read(c, buf, 8) == -1 && errno == ETIMEDOUT);
    CHECK(net_write(c, buf, 8) == -1 && errno == ETIMEDOUT);
    net_set_read_deadline(c, 0);
    CHECK(net_write(c, buf, 8) == -1 && errno == ETIMEDOUT);
    net_set_deadline(c, 0);
    CHECK_EQ(net_write(c, "x", 1), 1);
    CHECK_EQ(net_recv_from(s, buf, 8, NULL, 0), 1);
    // One that is moved while somebody waits: later, then into the past.
    static struct blocked b;
    b = (struct blocked){s, ETIMEDOUT};
    net_set_packet_deadline(s, time_mono() + 10 * TIME_MS);
    for (int i = 0; i < 5; i++)
        go(blocked_reader, &b);
    sim_settle(5 * TIME_MS);
    CHECK_EQ(waiting, 5);
    net_set_packet_deadline(s, time_mono() + 100 * TIME_MS);
    sim_settle(50 * TIME_MS);
    CHECK_EQ(ended, 0);
    net_set_packet_deadline(s, 1);
    sim_settle(TIME_MS);
    CHECK_EQ(ended, 5);
    net_set_packet_deadline(s, 0);
    b.err = EBADF;
    for (int i = 0; i < 5; i++)
        go(blocked_reader, &b);
    sim_settle(5 * TIME_MS);
    CHECK_EQ(net_close_packet(s), 0);
    sim_settle(5 * TIME_MS);
    CHECK_EQ(ended, 10);
    net_close(c);
    tear_down();
}

static bool silent_arp(struct lossy *l, struct pbuf *p)
{
    (void)l;
    if (((struct eth_hdr *)p->data)->type_be != BE16(ETH_TYPE_ARP))
        return false;
    pbuf_free(p);
    return true;
}

static void refusals(void *arg)
{
    (void)arg;
    char buf[8];
    set_up();
    struct conn *c = net_dial("udp", PEER ":9");
    CHECK_EQ(net_write(c, "x", 1), 1);
    CHECK(net_read(c, buf, 8) == -1 && errno == ECONNREFUSED);
    net_close(c);
    dev->hook = silent_arp;
    c = net_dial("udp", "10.0.0.3:9");
    int64_t t = time_mono();
    CHECK_EQ(net_write(c, "x", 1), 1);
    CHECK(net_read(c, buf, 8) == -1 && errno == EHOSTUNREACH);
    CHECK(time_mono() - t < 4 * TIME_S);
    CHECK(net_write(c, "x", 1) == -1 && errno == EHOSTUNREACH);
    sim_settle(4 * TIME_S);
    CHECK_EQ(net_write(c, "x", 1), 1); // it is asked for again
    net_close(c);
    CHECK(!net_dial("udp", "192.168.1.1:9") && errno == ENETUNREACH);
    tear_down();
}

static void flood(void *arg)
{
    (void)arg;
    char buf[8];
    set_up();
    struct packet_conn *s = net_listen_packet("udp", ":7");
    struct conn *c = net_dial("udp", PEER ":7");
    size_t most = 0;
    for (int i = 0; i < 3000; i++) {
        CHECK_EQ(net_write(c, "x", 1), 1);
        most = sim_heap_objects() > most ? sim_heap_objects() : most;
        if (i % 100 == 0)
            sim_settle(TIME_MS);
    }
    CHECK(most < 1000);
    sim_settle(TIME_S);
    net_set_packet_deadline(s, time_mono() + TIME_S);
    int got = 0;
    while (net_recv_from(s, buf, 8, NULL, 0) == 1)
        got++;
    CHECK_EQ(got, 512);
    CHECK_EQ(net_write(c, "x", 1), 1);
    net_close(c);
    net_close_packet(s);
    tear_down();
}

enum { CLIENTS = 8, ROUNDS = 150 };
static uint64_t echoed, sent;
static int clients_done;

static void echo_server(void *arg)
{
    static uint8_t buf[2][8192];
    static int next;
    uint8_t *b = buf[next++];
    char from[NET_ADDR_MAX];
    struct packet_conn *s = arg;
    for (;;) {
        ssize_t n = net_recv_from(s, b, sizeof(buf[0]), from, sizeof(from));
        if (n < 0 && errno == EBADF)
            break;
        if (n >= 0)
            net_send_to(s, b, (size_t)n, from);
    }
    ended++;
}

// Each answer must be one of the datagrams sent, whole; the first four bytes say which.
static void echo_client(void *arg)
{
    uint32_t base = (uint32_t)(uintptr_t)arg * 100000;
    uint8_t *b = malloc(8192);
    struct conn *c = net_dial("udp", PEER ":7");
    while (!c) {
        time_sleep(TIME_MS);
        c = net_dial("udp", PEER ":7");
    }
    for (uint32_t i = 0; i < ROUNDS; i++) {
        // Two flipped bits in two fragments may cancel out in the checksum; one is always noticed.
        uint32_t n = 8 + sim_below(dev->par.corrupt_ppm ? 1400 : 4000), seq = base + i;
        fill(b, n, seq);
        memcpy(b, &seq, 4);
        memcpy(b + 4, &n, 4);
        if (net_write(c, b, n) >= 0)
            sent++;
        net_set_read_deadline(c, time_mono() + 20 * TIME_MS);
        ssize_t got = net_read(c, b, 8192);
        if (got < 0)
            continue;
        uint32_t len;
        memcpy(&seq, b, 4);
        memcpy(&len, b + 4, 4);
        CHECK(seq >= base && seq <= base + i && len == (uint32_t)got);
        fill(b, 0, seq);
        for (ssize_t k = 8; k < got; k++)
            CHECK_EQ(b[k], (uint8_t)((seq + (uint64_t)k) * 2654435761u >> 24));
        echoed++;
    }
    net_close(c);
    free(b);
    clients_done++;
}

static void storm(unsigned heap_fail_ppm)
{
    static const unsigned rates[] = {0, 1000, 10000, 50000};
    struct lossy_params *par = &dev->par;
    par->loss_ppm = rates[sim_below(4)];
    par->dup_ppm = rates[sim_below(4)];
    par->reorder_ppm = rates[sim_below(4)];
    par->corrupt_ppm = rates[sim_below(4)];
    par->delay_ns = sim_below(1000000);
    par->jitter_ns = sim_below(1000000);
    par->lend_ns = sim_below(100000);
    par->full_ppm = rates[sim_below(2)];
    struct packet_conn *s = net_listen_packet("udp", ":7");
    ended = clients_done = 0;
    go(echo_server, s);
    go(echo_server, s);
    sim_opt.heap_fail_ppm = heap_fail_ppm;
    for (uintptr_t i = 0; i < CLIENTS; i++)
        go(echo_client, (void *)(i + 1));
    while (clients_done < CLIENTS)
        sim_settle(10 * TIME_MS);
    sim_opt.heap_fail_ppm = 0;
    net_close_packet(s);
    sim_settle(10 * TIME_MS);
    CHECK_EQ(ended, 2);
    CHECK(echoed > 0);
    tear_down();
}

static void lossy(void *arg)
{
    (void)arg;
    set_up();
    storm(0);
}

static void starving(void *arg)
{
    (void)arg;
    set_up();
    storm(20000);
}

static const struct {
    const char *name;
    void (*fn)(void *);
    unsigned seeds;
} cases[] = {
    {"sizes", sizes, 4},       {"matching", matching, 2}, {"deadlines", deadlines, 6},
    {"refusals", refusals, 4}, {"flood", flood, 2},       {"lossy", lossy, 12},
    {"starving", starving, 6},
};

static void run_case(void *arg)
{
    begin("ip=10.0.0.1/24", arg);
}

int main(int argc, char **argv)
{
    unsigned ran = 0, failed = 0;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
            continue;
        for (unsigned s = 1; s <= cases[i].seeds; s++) {
            uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : s;
            failed += !sim_case(cases[i].name, seed, 60, run_case, (void *)cases[i].fn);
            ran++;
            if (argc > 2)
                break;
        }
    }
    printf("%u runs of UDP sockets over mirror and loopback, %u failed\n", ran, failed);
    return failed != 0;
}
