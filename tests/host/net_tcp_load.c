// SPDX-License-Identifier: BSD-2-Clause
// TCP with too much of something: SYNs, connections nobody accepts, closed ones in TIME_WAIT, data
// nobody reads, connections as such; and with too little memory. Honest clients get through.
// test: srcs=net/*.c,tests/host/sim/*.c timeout=300
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
#include "net/checksum.h"
#include "tests/host/net_tcp_sock.h"

struct reader {
    struct conn *c, *peer;
    uint32_t n;
    bool done;
};

// ---- SYN floods and TIME_WAIT ----

static uint16_t fake_port = 1024;

static void send_fake_syn(uint32_t from_be)
{
    uint8_t seg[40] = {0};
    struct tcp_hdr *h = (void *)seg;
    h->sport_be = be16(fake_port);
    fake_port = fake_port == 65535 ? 1024 : fake_port + 1;
    h->dport_be = BE16(80);
    h->seq_be = (uint32_t)sim_rand();
    h->off = 20 << 2;
    h->flags = TH_SYN;
    h->wnd_be = BE16(1000);
    uint32_t sum = csum_pseudo(from_be, US_BE, IP_PROTO_TCP, 20);
    h->csum = csum_finish(csum_add(sum, seg, 20));
    lossy_inject_ip(wire, from_be, US_BE, IP_PROTO_TCP, seg, 20, 0);
}

static bool drop_for_faker(struct lossy *l, struct pbuf *p)
{
    (void)l;
    struct ip4_hdr *ip = (void *)(p->data + ETH_HDR_LEN);
    if (p->len < 34 || ip->dst_be != IP4_BE(10, 0, 0, 77))
        return false;
    pbuf_free(p);
    return true;
}

static void syn_flood(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    wire->hook = drop_for_faker;
    for (int i = 0; i < 3 * TCP_SYN_QUEUE; i++) {
        send_fake_syn(IP4_BE(10, 0, 0, 77));
        if (i % 50 == 0)
            time_sleep(TIME_MS);
    }
    time_sleep(10 * TIME_MS);
    CHECK_EQ(tcp_table_count(), TCP_SYN_QUEUE);
    CHECK(tcp_stat_sum(TCP_COOKIES_SENT) > TCP_SYN_QUEUE);
    // Honest clients get through, with their options.
    for (uint32_t i = 0; i < 20; i++) {
        pair(l, &c, &s);
        uint16_t all = TF_SCALE | TF_SACK | TF_TS;
        CHECK_EQ(((struct tcb *)s)->flags & all, all);
        CHECK_EQ(((struct tcb *)s)->snd_scale, TCP_RCV_SCALE);
        CHECK_EQ(((struct tcb *)s)->peer_mss, 1460);
        send_pattern(c, i, 50000);
        expect_pattern(s, i, 50000);
        send_pattern(s, i, 50000);
        expect_pattern(c, i, 50000);
        net_close(c);
        net_close(s);
    }
    CHECK(tcp_stat_sum(TCP_COOKIES_GOOD) >= 20);
    time_sleep(300 * TIME_S);
    CHECK_EQ(tcp_table_count(), 0);
    wire->hook = NULL;
    net_close_listener(l);
}

static void backlog_full(void)
{
    struct listener *l = listen_on(":80");
    enum { MORE = 20 };
    struct conn **c = calloc(TCP_BACKLOG + MORE, sizeof(*c));
    for (int i = 0; i < TCP_BACKLOG; i++)
        CHECK((c[i] = net_dial("tcp", "10.0.0.2:80")) != NULL);
    time_sleep(TIME_S);
    CHECK(net_dial_deadline("tcp", "10.0.0.2:80", time_mono() + 2 * TIME_S) == NULL);
    CHECK_EQ(errno, ETIMEDOUT);
    CHECK(tcp_stat_sum(TCP_ACCEPT_OVERFLOWS) > 0);
    for (int i = 0; i < TCP_BACKLOG; i++) {
        struct conn *s = net_accept(l);
        net_close(c[i]);
        net_close(s);
    }
    struct conn *a, *s;
    pair(l, &a, &s);
    net_close(a);
    net_close(s);
    free(c);
    table_growth = 4;
    net_close_listener(l);
}

static void time_wait(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    for (int i = 0; i < 300; i++) {
        pair(l, &c, &s);
        net_close(c);
        expect_end(s);
        net_close(s);
    }
    time_sleep(TIME_S);
    CHECK(tcp_tw_count() <= 64 && tcp_tw_count() > 32); // tcp_time_wait=64
    CHECK(tcp_stat_sum(TCP_TW_RECYCLED) > 200);
    // A new connection of the same pair may begin at once.
    struct net_addr local = {US_BE, 5001}, remote = {PEER_BE, 80};
    for (int i = 0; i < 5; i++) {
        int err;
        CHECK((c = tcp_dial(&local, &remote, 0, &err)) != NULL);
        CHECK((s = net_accept(l)) != NULL);
        send_pattern(c, 1, 1000);
        expect_pattern(s, 1, 1000);
        net_close(s); // TIME_WAIT at the listener's side
        expect_end(c);
        net_close(c);
        time_sleep(10 * TIME_MS);
    }
    time_sleep(70 * TIME_S);
    CHECK_EQ(tcp_tw_count(), 0);
    net_close_listener(l);
}

// ---- memory ----

static void serve_once(void *arg)
{
    struct conn *s = arg;
    char b[700];
    ssize_t r;
    while ((r = net_read(s, b, sizeof(b))) > 0)
        if (net_write(s, b, (size_t)r) != r)
            break;
    net_close(s);
}

static void serve_all(void *arg)
{
    struct conn *s;
    while ((s = net_accept(arg)) || errno == ENOMEM)
        if (s)
            go(serve_once, s);
}

static void no_memory(void)
{
    struct listener *l = listen_on(":80");
    int good = 0;
    go(serve_all, l);
    sim_opt.heap_fail_ppm = 100000;
    for (int i = 0; i < 60; i++) {
        struct conn *c = net_dial_deadline("tcp", "10.0.0.2:80", time_mono() + 20 * TIME_S);
        if (!c)
            continue;
        char out[1200], in[1200];
        size_t at = 0;
        memset(out, i, sizeof(out));
        net_set_deadline(c, time_mono() + 100 * TIME_S);
        bool ok = net_write(c, out, sizeof(out)) == sizeof(out) && net_close_write(c) == 0;
        while (ok && at < sizeof(in)) {
            ssize_t r = net_read(c, in + at, sizeof(in) - at);
            if (r <= 0)
                break;
            at += (size_t)r;
        }
        if (at == sizeof(in)) {
            CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
            good++;
        }
        net_close(c);
    }
    sim_opt.heap_fail_ppm = 0;
    CHECK(good > 10);
    time_sleep(1000 * TIME_S);
    net_close_listener(l);
    time_sleep(TIME_S);
    CHECK_EQ(sim_goroutines(), 1);
}

static void send_all(void *arg)
{
    struct reader *r = arg;
    send_pattern(r->c, 9, r->n);
    net_close_write(r->c);
    r->done = true;
}

static void read_all(void *arg)
{
    struct reader *r = arg;
    expect_pattern(r->peer, 9, r->n);
    expect_end(r->peer);
    net_close(r->peer);
    r->done = true;
}

// Everybody sends and nobody reads: what all hold together stays within the limit, and goes on
// when they do read.
static void memory_limit(void)
{
    enum { N = 40, BYTES = 400000 };
    struct listener *l = listen_on(":80");
    struct reader r[N];
    struct conn *c[N], *s[N];
    for (int i = 0; i < N; i++) {
        pair(l, &c[i], &s[i]);
        r[i] = (struct reader){c[i], s[i], BYTES, false};
        go(send_all, &r[i]);
    }
    for (int i = 0; i < 600; i++) {
        time_sleep(100 * TIME_MS);
        CHECK(tcp_mem_held() * PBUF_SIZE < 5 << 20);
    }
    CHECK(tcp_mem_held() * PBUF_SIZE > 1 << 20);
    for (int i = 0; i < N; i++) {
        r[i].done = false;
        go(read_all, &r[i]);
    }
    for (int i = 0; i < N; i++) {
        while (!r[i].done)
            time_sleep(TIME_S);
        net_close(c[i]);
    }
    time_sleep(200 * TIME_S);
    CHECK_EQ(tcp_mem_held(), 0);
    net_close_listener(l);
}

// Enough of them for the table to grow while it is in use.
static void many(void)
{
    enum { N = 6000 };
    struct listener *l = listen_on(":80");
    struct conn **c = calloc(N, sizeof(*c)), **s = calloc(N, sizeof(*s));
    for (int i = 0; i < N; i++)
        pair(l, &c[i], &s[i]);
    CHECK_EQ(tcp_table_count(), 2 * N);
    for (int i = 0; i < N; i += 7) {
        send_pattern(c[i], (uint32_t)i, 100);
        expect_pattern(s[i], (uint32_t)i, 100);
    }
    for (int i = 0; i < N; i++) {
        net_close(c[i]);
        net_close(s[i]);
    }
    free(c);
    free(s);
    table_growth = 5; // 12000 connections, 2048 to a piece
    net_close_listener(l);
}

static const struct test tests[] = {
    {"syn_flood", syn_flood, 2, "", false},
    {"backlog_full", backlog_full, 1, "", false},
    {"time_wait", time_wait, 4, "tcp_time_wait=64", false},
    {"no_memory", no_memory, 8, "", false},
    {"memory_limit", memory_limit, 3, "tcp_memory=4", false},
    {"many", many, 1, "", false},
};

int main(int argc, char **argv)
{
    return run_tests(tests, ARRAY_LEN(tests), "tcp under load", argc, argv);
}
