// SPDX-License-Identifier: BSD-2-Clause
// A scripted peer for TCP tests: it sends crafted segments, and looks at each one the stack
// sends, with its time. Numbers are relative to the first ones of either side.
#ifndef TESTS_NET_TCP_PEER_H
#define TESTS_NET_TCP_PEER_H

#include <stdio.h>
#include <stdlib.h>

#include "net/checksum.h"
#include "tests/host/net_tcp.h"

enum { S = TH_SYN, A = TH_ACK, F = TH_FIN, R = TH_RST, P = TH_PSH };
enum { PEER_ISS = 100000, PEER_PORT = 4000, MSS = 1460 };

// A segment the stack has sent; seq and ack relative to the first numbers.
struct seen {
    int64_t at_ns;
    uint32_t seq, ack, len;
    uint16_t wnd;
    uint8_t flags;
    uint16_t mss;
    int scale;
    bool sack_ok, ts;
    uint32_t ts_val, ts_ecr;
    int n_sack;
    uint32_t sack[4][2];
    uint8_t payload[2000];
    uint32_t our_seq; // as it was
};

static struct seen seen[512];
static unsigned seen_n, seen_at;
static uint32_t our_iss;
static uint16_t peer_port = PEER_PORT, our_port = 80;
static bool use_ts, use_sack;
static int peer_scale = -1;
static uint32_t peer_ts, peer_ts_ecr;
static uint16_t peer_mss = MSS;

static uint32_t get32(const uint8_t *o)
{
    return (uint32_t)o[0] << 24 | (uint32_t)o[1] << 16 | (uint32_t)o[2] << 8 | o[3];
}

static void note_options(struct seen *e, const uint8_t *o, unsigned n)
{
    while (n && *o) {
        unsigned len = *o == 1 ? 1 : o[1];
        CHECK(len >= 1 && len <= n);
        if (*o == 2)
            e->mss = (uint16_t)(o[2] << 8 | o[3]);
        if (*o == 3)
            e->scale = o[2];
        if (*o == 4)
            e->sack_ok = true;
        for (unsigned i = 2; *o == 5 && i < len; i += 8, e->n_sack++) {
            e->sack[e->n_sack][0] = get32(o + i) - PEER_ISS;
            e->sack[e->n_sack][1] = get32(o + i + 4) - PEER_ISS;
        }
        if (*o == 8) {
            e->ts = true;
            e->ts_val = get32(o + 2);
            e->ts_ecr = get32(o + 6);
        }
        o += len;
        n -= len;
    }
}

static bool note(struct lossy *l, struct pbuf *p)
{
    (void)l;
    struct eth_hdr *eth = (void *)p->data;
    struct ip4_hdr *ip = (void *)(eth + 1);
    if (eth->type_be != BE16(ETH_TYPE_IPV4) || ip->proto != IP_PROTO_TCP)
        return false;
    CHECK_EQ(ip->frag_be, BE16(IP4_FLAG_DF));
    struct tcp_hdr *h = (void *)(ip + 1);
    uint32_t len = be16(ip->len_be) - 20u;
    uint32_t sum = csum_pseudo(ip->src_be, ip->dst_be, IP_PROTO_TCP, len);
    CHECK_EQ(csum_fold(csum_add(sum, h, len)), 0xffff);
    if (seen_n == ARRAY_LEN(seen)) { // garbage gets many answers
        pbuf_free(p);
        return true;
    }
    struct seen *e = &seen[seen_n++];
    *e = (struct seen){.scale = -1};
    unsigned hl = (h->off >> 4) * 4u;
    e->at_ns = sim_now();
    if (h->flags & S)
        our_iss = be32(h->seq_be);
    e->our_seq = be32(h->seq_be);
    e->seq = be32(h->seq_be) - our_iss;
    e->ack = be32(h->ack_be) - PEER_ISS;
    e->flags = h->flags;
    e->wnd = be16(h->wnd_be);
    e->len = len - hl;
    memcpy(e->payload, (uint8_t *)h + hl, e->len);
    note_options(e, (uint8_t *)(h + 1), hl - 20);
    if (e->ts)
        peer_ts_ecr = e->ts_val;
    pbuf_free(p);
    return true;
}

// ---- what the peer sends ----

static uint8_t raw_opts[40];
static unsigned raw_opts_n;
static uint8_t bad_sum;

static unsigned put_options(uint8_t *o, uint8_t flags)
{
    uint8_t *o0 = o;
    memcpy(o, raw_opts, raw_opts_n);
    o += raw_opts_n;
    if (flags & S && peer_mss) {
        memcpy(o, (uint8_t[]){2, 4, (uint8_t)(peer_mss >> 8), (uint8_t)peer_mss}, 4);
        o += 4;
        if (use_sack) {
            memcpy(o, (uint8_t[]){1, 1, 4, 2}, 4);
            o += 4;
        }
        if (peer_scale >= 0) {
            memcpy(o, (uint8_t[]){1, 3, 3, (uint8_t)peer_scale}, 4);
            o += 4;
        }
    }
    if (use_ts)
        o = tcp_put_ts(o, peer_ts, peer_ts_ecr);
    return (unsigned)(o - o0);
}

// seq and ack are relative; payload is pattern(1, seq).
static void send(uint8_t flags, uint32_t seq, uint32_t len, uint32_t ack, uint16_t wnd)
{
    uint8_t seg[2000] = {0};
    struct tcp_hdr *h = (void *)seg;
    unsigned n = put_options((uint8_t *)(h + 1), flags);
    h->sport_be = be16(peer_port);
    h->dport_be = be16(our_port);
    h->seq_be = be32(PEER_ISS + seq);
    h->ack_be = flags & A ? be32(our_iss + ack) : 0;
    h->off = (uint8_t)((20 + n) << 2);
    h->flags = flags;
    h->wnd_be = be16(wnd);
    for (uint32_t i = 0; i < len; i++)
        seg[20 + n + i] = pattern(1, seq + i);
    uint32_t total = 20 + n + len;
    uint32_t sum = csum_pseudo(PEER_BE, US_BE, IP_PROTO_TCP, total);
    h->csum = (uint16_t)(csum_finish(csum_add(sum, seg, total)) ^ bad_sum);
    lossy_inject_ip(wire, PEER_BE, US_BE, IP_PROTO_TCP, seg, total, 0);
    sim_settle(100000);
}

// ---- what it expects ----

static struct seen *next_seen(int64_t within_ns)
{
    int64_t end = sim_now() + within_ns;
    while (seen_at == seen_n && sim_now() < end)
        sim_settle(MIN(end - sim_now(), TIME_MS));
    return seen_at < seen_n ? &seen[seen_at++] : NULL;
}

static struct seen *expect_in(int line, int64_t within_ns, uint8_t flags, uint32_t seq,
                              uint32_t len, uint32_t ack)
{
    struct seen *e = next_seen(within_ns);
    if (!e)
        sim_fail(__FILE__, line, "nothing came");
    if ((e->flags & ~P) != flags || e->seq != seq || e->len != len || (flags & A && e->ack != ack))
        sim_fail(__FILE__, line, "flags %x seq %u len %u ack %u, not %x %u %u %u", e->flags, e->seq,
                 e->len, e->ack, flags, seq, len, ack);
    return e;
}

static void expect_nothing(int line, int64_t for_ns)
{
    struct seen *e = next_seen(for_ns);
    if (e)
        sim_fail(__FILE__, line, "unexpected: flags %x seq %u len %u ack %u", e->flags, e->seq,
                 e->len, e->ack);
}

#define EXPECT(flags, seq, len, ack) expect_in(__LINE__, 2 * TIME_MS, flags, seq, len, ack)
#define EXPECT_IN(ns, flags, seq, len, ack) expect_in(__LINE__, ns, flags, seq, len, ack)
#define NOTHING(ns) expect_nothing(__LINE__, ns)

static struct listener *l;

static struct conn *established(void)
{
    if (!l)
        CHECK((l = net_listen("tcp", ":80")) != NULL);
    send(S, 0, 0, 0, 60000);
    EXPECT(S | A, 0, 0, 1);
    send(A, 1, 0, 1, 60000);
    struct conn *c = net_accept(l);
    CHECK(c != NULL);
    return c;
}

// Ends it with a reset; all is forgotten then.
static void reset(struct conn *c, uint32_t seq)
{
    char b[4096];
    ssize_t r;
    send(R, seq, 0, 0, 0);
    NOTHING(TIME_MS);
    while ((r = net_read(c, b, sizeof(b))) > 0)
        ;
    CHECK(r == 0 || errno == ECONNRESET); // 0: its end had come before
    net_close(c);
    peer_port++;
}

static void write_n(struct conn *c, uint32_t n)
{
    static uint8_t buf[100000];
    CHECK_EQ(net_write(c, buf, n), n);
}

static void drain(struct conn *c, uint32_t from, uint32_t n)
{
    uint8_t buf[3000];
    for (uint32_t at = 0; at < n;) {
        ssize_t r = net_read(c, buf, MIN(sizeof(buf), n - at));
        CHECK(r > 0);
        for (ssize_t i = 0; i < r; i++)
            CHECK_EQ(buf[i], pattern(1, from + at + (uint64_t)i));
        at += (uint32_t)r;
    }
}

struct script {
    const char *name;
    void (*fn)(void);
};

static void world(void *arg)
{
    const struct script *s = arg;
    net_start(sim_rand() & 1 ? NETDEV_TX_CSUM : 0);
    wire->hook = note;
    s->fn();
    wire->hook = NULL;
    net_check_empty();
}

static void one_case(void *arg)
{
    struct sim_options opt = {.seed = sim_opt.seed, .cores = 1, // the order of frames counts
                              .limit_ns = 24ll * 3600 * TIME_S, .cmdline = "ip=10.0.0.1/24"};
    sim_run(&opt, world, arg);
}

static int run_scripts(const struct script *scripts, unsigned n, int argc, char **argv)
{
    unsigned ran = 0, failed = 0;
    for (unsigned i = 0; i < n; i++) {
        if (argc > 1 && strcmp(argv[1], scripts[i].name) != 0)
            continue;
        for (unsigned seed = 1; seed <= 4; seed++, ran++)
            failed += !sim_case(scripts[i].name, seed, 60, one_case, (void *)&scripts[i]);
    }
    printf("tcp against a scripted peer: %u of %u runs as written\n", ran - failed, ran);
    return failed != 0;
}

#endif
