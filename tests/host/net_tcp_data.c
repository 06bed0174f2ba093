// SPDX-License-Identifier: BSD-2-Clause
// Data against a scripted peer: when acknowledgements go out and what they report, loss recovery
// with and without SACK, timeouts, windows and probes, path MTU.
// test: srcs=net/*.c,tests/host/sim/*.c timeout=120
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
#include "tests/host/net_tcp_peer.h"

static void ack_timing(void)
{
    struct conn *c = established();
    send(A | P, 1, 10, 1, 60000);
    int64_t t0 = sim_now();
    struct seen *e = EXPECT_IN(TIME_S, A, 1, 0, 11); // alone: delayed
    CHECK(e->at_ns - t0 > 30 * TIME_MS && e->at_ns - t0 <= 41 * TIME_MS);
    for (int i = 0; i < 7; i++) { // the application is slow: not delayed for a while
        send(A | P, 11 + 10 * (uint32_t)i, 10, 1, 60000);
        EXPECT(A, 1, 0, 21 + 10 * (uint32_t)i);
    }
    drain(c, 1, 80);
    send(A, 81, MSS, 1, 60000);
    NOTHING(20 * TIME_MS);
    send(A, 81 + MSS, MSS, 1, 60000); // every second full segment
    EXPECT(A, 1, 0, 81 + 2 * MSS);
    drain(c, 81, 2 * MSS);
    send(A | P, 81 + 2 * MSS, 10, 1, 60000);
    write_n(c, 5); // an answer carries it
    EXPECT(A, 1, 5, 91 + 2 * MSS);
    NOTHING(100 * TIME_MS);
    send(A, 91 + 2 * MSS, 0, 6, 60000);
    NOTHING(TIME_S);
    reset(c, 91 + 2 * MSS);
    net_close_listener(l);
}

// The path has become narrower: smaller segments in a row are full ones by now.
static void narrower_peer(void)
{
    struct conn *c = established();
    send(A, 1, MSS, 1, 60000);
    send(A, 1 + MSS, MSS, 1, 60000);
    EXPECT(A, 1, 0, 1 + 2 * MSS);
    uint32_t at = 1 + 2 * MSS;
    for (int i = 0; i < 4; i++, at += 1000) {
        send(A, at, 500, 1, 60000);
        NOTHING(10 * TIME_MS);
        send(A, at + 500, 500, 1, 60000);
        EXPECT(A, 1, 0, at + 1000);
    }
    send(A, at, MSS, 1, 60000); // and wide again
    NOTHING(10 * TIME_MS);
    send(A, at + MSS, MSS, 1, 60000);
    EXPECT(A, 1, 0, at + 2 * MSS);
    at += 2 * MSS;
    send(A, at, 500, 1, 60000);
    NOTHING(10 * TIME_MS);
    send(A | P, at + 500, 500, 1, 60000); // pieces of a conversation say nothing
    NOTHING(10 * TIME_MS);
    drain(c, 1, at + 999);
    reset(c, at + 1000);
    net_close_listener(l);
}

static void check_sack(struct seen *e, int i, uint32_t start, uint32_t end)
{
    CHECK(e->n_sack > i);
    CHECK_EQ(e->sack[i][0], start);
    CHECK_EQ(e->sack[i][1], end);
}

static void out_of_order(void)
{
    use_sack = true;
    struct conn *c = established();
    send(A, 1001, 1000, 1, 60000);
    check_sack(EXPECT(A, 1, 0, 1), 0, 1001, 2001);
    send(A, 4001, 1000, 1, 60000);
    struct seen *e = EXPECT(A, 1, 0, 1);
    check_sack(e, 0, 4001, 5001);
    check_sack(e, 1, 1001, 2001);
    send(A, 2001, 500, 1, 60000); // extends the older one, which comes first now
    e = EXPECT(A, 1, 0, 1);
    check_sack(e, 0, 1001, 2501);
    check_sack(e, 1, 4001, 5001);
    send(A, 6001, 100, 1, 60000);
    send(A, 8001, 100, 1, 60000);
    EXPECT(A, 1, 0, 1);
    e = EXPECT(A, 1, 0, 1);
    check_sack(e, 0, 8001, 8101);
    check_sack(e, 1, 6001, 6101);
    send(A, 1501, 1400, 1, 60000); // overlaps
    e = EXPECT(A, 1, 0, 1);
    check_sack(e, 0, 1001, 2901);
    send(A, 3501, 1400, 1, 60000); // covered in part
    check_sack(EXPECT(A, 1, 0, 1), 0, 3501, 5001);
    send(A, 2801, 1200, 1, 60000); // fills between two
    check_sack(EXPECT(A, 1, 0, 1), 0, 1001, 5001);
    send(F | A, 9001, 0, 1, 60000); // the end, early
    EXPECT(A, 1, 0, 1);
    send(A, 1, 1400, 1, 60000); // the gap, and more than the gap
    EXPECT(A, 1, 0, 5001);
    drain(c, 1, 5000);
    send(A, 1, 1000, 1, 60000); // all old
    EXPECT(A, 1, 0, 5001);
    send(A, 5001, 1300, 1, 60000);
    EXPECT(A, 1, 0, 6301);
    for (uint32_t at = 6301; at < 9001; at += 900)
        send(A, at, 900, 1, 60000);
    struct seen *last = NULL;
    while ((e = next_seen(100 * TIME_MS)))
        last = e;
    CHECK_EQ(last->ack, 9002); // the FIN counts
    drain(c, 5001, 4000);
    char b;
    CHECK_EQ(net_read(c, &b, 1), 0);
    send(A, 9002, 100, 1, 60000); // beyond the end
    EXPECT(A, 1, 0, 9002);
    CHECK_EQ(net_read(c, &b, 1), 0);
    reset(c, 9002);
    net_close_listener(l);
}

static void fast_retransmit(bool sack)
{
    use_sack = sack;
    struct conn *c = established();
    write_n(c, 10 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT(A, 1 + i * MSS, MSS, 1);
    // The second one is lost.
    send(A, 1, 0, 1 + MSS, 60000);
    for (uint32_t i = 0; i < 3; i++) {
        if (sack) {
            uint8_t o[12] = {1, 1, 5, 10};
            uint32_t from = be32(our_iss + 1 + 2 * MSS), to = be32(our_iss + 1 + (3 + i) * MSS);
            memcpy(o + 4, &from, 4);
            memcpy(o + 8, &to, 4);
            memcpy(raw_opts, o, 12);
            raw_opts_n = 12;
        }
        send(A, 1, 0, 1 + MSS, 60000);
        if (i < 2)
            NOTHING(TIME_MS);
    }
    raw_opts_n = 0;
    EXPECT(A, 1 + MSS, MSS, 1);
    uint32_t cwnd = ((struct tcb *)c)->cwnd;
    CHECK(cwnd < 8 * MSS && cwnd > 5 * MSS);
    // Partial: the fifth was lost too.
    send(A, 1, 0, 1 + 4 * MSS, 60000);
    if (!sack)
        EXPECT(A, 1 + 4 * MSS, MSS, 1);
    send(A, 1, 0, 1 + 10 * MSS, 60000);
    CHECK_EQ(((struct tcb *)c)->ca, CA_OPEN);
    CHECK_EQ(((struct tcb *)c)->sacked + ((struct tcb *)c)->lost, 0);
    NOTHING(TIME_S);
    reset(c, 1);
    net_close_listener(l);
}

static void newreno(void) { fast_retransmit(false); }

static void sack(void) { fast_retransmit(true); }

static void timeouts(void)
{
    struct conn *c = established();
    sim_settle(TIME_S);
    write_n(c, 3 * MSS);
    for (uint32_t i = 0; i < 3; i++)
        EXPECT(A, 1 + i * MSS, MSS, 1);
    int64_t last = seen[seen_at - 1].at_ns, wait = 0;
    for (int i = 0; i < 6; i++) { // one segment, doubling
        struct seen *e = EXPECT_IN(100 * TIME_S, A, 1, i < 4 ? MSS : 536, 1);
        if (i)
            CHECK(e->at_ns - last > wait * 19 / 10 && e->at_ns - last < wait * 21 / 10);
        wait = e->at_ns - last;
        last = e->at_ns;
    }
    send(A, 1, 0, 1 + 536, 60000); // smaller ones get through
    EXPECT(A, 537, 536, 1);
    EXPECT(A, 1073, MSS - 1072, 1);
    send(A, 1, 0, 1 + 3 * MSS, 60000);
    NOTHING(TIME_S);
    reset(c, 1);
    net_close_listener(l);
}

// Timestamps show that nothing was lost after all.
static void needless_timeout(void)
{
    use_ts = use_sack = true;
    peer_ts = 1;
    struct conn *c = established();
    sim_settle(TIME_S);
    write_n(c, 5 * 1448);
    for (uint32_t i = 0; i < 5; i++)
        EXPECT(A, 1 + i * 1448, 1448, 1);
    uint32_t first = peer_ts_ecr;
    EXPECT_IN(10 * TIME_S, A, 1, 1448, 1);
    CHECK_EQ(((struct tcb *)c)->ca, CA_LOSS);
    peer_ts_ecr = first;
    send(A, 1, 0, 1 + 1448, 60000);
    CHECK_EQ(((struct tcb *)c)->ca, CA_OPEN);
    CHECK(((struct tcb *)c)->cwnd >= 9 * 1448);
    CHECK_EQ(tcp_stat_sum(TCP_UNDONE), 1);
    NOTHING(50 * TIME_MS);
    send(A, 1, 0, 1 + 5 * 1448, 60000);
    NOTHING(TIME_S);
    reset(c, 1);
    net_close_listener(l);
}

static void windows(void)
{
    struct conn *c = established();
    send(A, 1, 0, 1, 2000);
    write_n(c, 5000);
    EXPECT(A, 1, MSS, 1);
    NOTHING(TIME_MS); // 540 bytes would be silly
    send(A, 1, 0, 1 + MSS, 0); // shut
    int64_t t0 = sim_now(), gaps[5];
    for (int i = 0; i < 5; i++) {
        struct seen *e = EXPECT_IN(100 * TIME_S, A, MSS, 0, 1); // an old number asks
        gaps[i] = e->at_ns - t0;
        t0 = e->at_ns;
        send(A, 1, 0, 1 + MSS, 0);
    }
    CHECK(gaps[4] > 6 * gaps[1]);
    send(A, 1, 0, 1 + MSS, 100); // opens a little: used after a while
    NOTHING(TIME_MS);
    EXPECT_IN(10 * TIME_S, A, 1 + MSS, 100, 1);
    send(A, 1, 0, 101 + MSS, 60000);
    EXPECT(A, 101 + MSS, MSS - 100, 1);
    EXPECT(A, 1 + 2 * MSS, MSS, 1);
    EXPECT(A, 1 + 3 * MSS, 5000 - 3 * MSS, 1);
    send(A, 1, 0, 5001, 60000);
    // Ours: shut when nobody reads, told when somebody does.
    uint32_t sent = 0;
    while (sent < 65535) {
        uint32_t n = MIN(1400u, 65535 - sent);
        send(A, 1 + sent, n, 5001, 60000);
        sent += n;
    }
    struct seen *e, *last = NULL;
    while ((e = next_seen(100 * TIME_MS)))
        last = e;
    CHECK_EQ(last->ack, 65536);
    uint32_t wnd = last->wnd;
    while (wnd >= 1000) {
        uint32_t n = MIN(1400u, wnd);
        send(A, 1 + sent, n, 5001, 60000);
        sent += n;
        while ((e = next_seen(50 * TIME_MS)))
            last = e;
        wnd = last->wnd - (1 + sent - last->ack);
    }
    drain(c, 1, sent);
    while ((e = next_seen(50 * TIME_MS)))
        last = e;
    CHECK(last->wnd >= 60000);
    reset(c, 1 + sent);
    net_close_listener(l);
}

static void path_mtu(void)
{
    struct conn *c = established();
    write_n(c, 3000);
    EXPECT(A, 1, MSS, 1);
    EXPECT(A, 1 + MSS, MSS, 1);
    EXPECT(A, 1 + 2 * MSS, 80, 1);
    uint8_t icmp[8 + 20 + 8] = {ICMP_UNREACHABLE, ICMP_UNREACH_FRAG};
    icmp[6] = 1000 >> 8;
    icmp[7] = 1000 & 255;
    struct ip4_hdr *ip = (void *)(icmp + 8);
    *ip = (struct ip4_hdr){.ver_ihl = 0x45, .len_be = BE16(1500), .frag_be = BE16(IP4_FLAG_DF),
                           .ttl = 60, .proto = IP_PROTO_TCP, .src_be = US_BE, .dst_be = PEER_BE};
    ip->csum = csum_finish(csum_add(0, ip, 20));
    struct WIRE { uint16_t sport, dport; uint32_t seq; } *h = (void *)(ip + 1);
    h->sport = be16(our_port);
    h->dport = be16(peer_port);
    for (int guess = 1; guess >= 0; guess--) {
        h->seq = be32(our_iss + 1 + (guess ? 50000 : 0));
        memset(icmp + 2, 0, 2);
        uint16_t sum = csum_finish(csum_add(0, icmp, sizeof(icmp)));
        memcpy(icmp + 2, &sum, 2);
        lossy_inject_ip(wire, IP4_BE(10, 0, 0, 9), US_BE, IP_PROTO_ICMP, icmp, sizeof(icmp), 0);
        sim_settle(TIME_MS);
        if (guess) // nothing of that number is in flight
            NOTHING(TIME_MS);
    }
    EXPECT(A, 1, 960, 1);
    EXPECT(A, 961, 500, 1);
    EXPECT(A, 1 + MSS, 960, 1);
    EXPECT(A, 961 + MSS, 500, 1);
    send(A, 1, 0, 3001, 60000);
    write_n(c, 2000);
    EXPECT(A, 3001, 960, 1);
    EXPECT(A, 3961, 960, 1);
    EXPECT(A, 4921, 80, 1);
    reset(c, 1);
    net_close_listener(l);
}

static const struct script scripts[] = {
    {"ack_timing", ack_timing},
    {"narrower_peer", narrower_peer},
    {"out_of_order", out_of_order},
    {"newreno", newreno},
    {"sack", sack},
    {"timeouts", timeouts},
    {"needless_timeout", needless_timeout},
    {"windows", windows},
    {"path_mtu", path_mtu},
};

int main(int argc, char **argv)
{
    return run_scripts(scripts, ARRAY_LEN(scripts), argc, argv);
}
