// SPDX-License-Identifier: BSD-2-Clause
// Odd segments and the answers RFC 9293 and RFC 5961 ask for: handshakes, resets, old duplicates,
// closing and TIME_WAIT, keep-alive, dialling; and random garbage.
// test: srcs=net/*.c,tests/host/sim/*.c timeout=120
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
#include "tests/host/net_tcp_peer.h"

static void closed_port(void)
{
    send(S, 0, 0, 0, 1000);
    struct seen *e = EXPECT(R | A, 0 - our_iss, 0, 1);
    CHECK_EQ(e->our_seq, 0);
    send(A | P, 10, 5, 77, 1000);
    e = EXPECT(R, 77, 0, 0);
    send(F, 10, 5, 0, 1000);
    EXPECT(R | A, 0 - our_iss, 0, 16);
    send(R, 10, 0, 0, 1000);
    send(R | A, 10, 0, 5, 1000);
    NOTHING(TIME_S);
}

static void handshake(void)
{
    l = net_listen("tcp", ":80");
    use_ts = use_sack = true;
    peer_scale = 7;
    peer_ts = 5000;
    send(S, 0, 0, 0, 60000);
    struct seen *e = EXPECT(S | A, 0, 0, 1);
    CHECK_EQ(e->mss, MSS);
    CHECK_EQ(e->scale, TCP_RCV_SCALE);
    CHECK_EQ(e->wnd, 65535);
    CHECK(e->sack_ok && e->ts);
    CHECK_EQ(e->ts_ecr, 5000);
    // The SYN again, and our answer by itself: 1, 2, 4 seconds.
    send(S, 0, 0, 0, 60000);
    EXPECT(S | A, 0, 0, 1);
    int64_t t0 = sim_now();
    for (int i = 0; i < 3; i++)
        e = EXPECT_IN(5 * TIME_S, S | A, 0, 0, 1);
    CHECK(e->at_ns - t0 > 6900 * TIME_MS && e->at_ns - t0 < 7100 * TIME_MS);
    send(A, 1, 0, 2, 60000); // of what we have not sent
    EXPECT(R, 2, 0, 0);
    send(R, 500, 0, 0, 0); // in the window, but not next
    EXPECT(A, 1, 0, 1);
    send(A | P, 1, 100, 1, 60000); // data with the last ACK
    struct conn *c = net_accept(l);
    drain(c, 1, 100);
    CHECK_EQ(((struct tcb *)c)->snd_wnd, 60000 << 7);
    reset(c, 101);
    // A peer without options.
    use_ts = use_sack = false;
    peer_scale = -1;
    peer_mss = 0;
    c = established();
    CHECK(!seen[seen_at - 1].sack_ok && !seen[seen_at - 1].ts && seen[seen_at - 1].scale < 0);
    write_n(c, 1000);
    EXPECT(A, 1, 536, 1);
    EXPECT(A, 537, 464, 1);
    reset(c, 1);
    net_close_listener(l);
}

static void resets(void)
{
    struct conn *c = established();
    send(R, 2, 0, 0, 0);
    EXPECT(A, 1, 0, 1); // in the window: challenge
    send(R, 70000 * 8, 0, 0, 0);
    send(R, 0, 0, 0, 0); // outside
    NOTHING(TIME_S);
    send(S, 1, 0, 0, 0);
    EXPECT(A, 1, 0, 1);
    send(S, 900, 0, 0, 0);
    NOTHING(TIME_MS); // challenges are rationed
    sim_settle(TIME_S);
    send(S | A, 5, 0, 1, 0);
    EXPECT(A, 1, 0, 1);
    sim_settle(TIME_S);
    send(A | P, 1, 10, 2, 60000); // acknowledges what was never sent
    EXPECT(A, 1, 0, 1);
    sim_settle(TIME_S);
    send(A | P, 1, 10, 0u - 100000, 60000); // or what is too old
    EXPECT(A, 1, 0, 1);
    send(P, 1, 10, 0, 60000); // no ACK at all
    send(0, 1, 10, 0, 60000);
    NOTHING(TIME_S);
    bad_sum = 1;
    send(A | P, 1, 10, 1, 60000);
    bad_sum = 0;
    NOTHING(TIME_S);
    CHECK_EQ(((struct tcb *)c)->rcv_bytes, 0);
    reset(c, 1);
    net_close_listener(l);
}

static void paws(void)
{
    use_ts = true;
    peer_ts = 1000;
    struct conn *c = established();
    peer_ts = 999;
    send(A | P, 1, 10, 1, 60000);
    EXPECT(A, 1, 0, 1);
    use_ts = false; // agreed upon, so it must be there
    send(A | P, 1, 10, 1, 60000);
    NOTHING(TIME_S);
    use_ts = true;
    peer_ts = 2000;
    send(A | P, 1, 10, 1, 60000);
    struct seen *e = EXPECT_IN(TIME_S, A, 1, 0, 11);
    CHECK_EQ(e->ts_ecr, 2000);
    drain(c, 1, 10);
    reset(c, 11);
    net_close_listener(l);
}

static void closing(void)
{
    use_ts = true;
    peer_ts = 100;
    struct conn *c = established();
    net_close(c);
    EXPECT(F | A, 1, 0, 1);
    EXPECT_IN(2 * TIME_S, F | A, 1, 0, 1); // again
    send(A, 1, 0, 2, 60000);
    send(F | A, 1, 0, 2, 60000);
    EXPECT(A, 2, 0, 2);
    CHECK_EQ(tcp_tw_count(), 1);
    send(F | A, 1, 0, 2, 60000); // our last ACK was lost
    EXPECT(A, 2, 0, 2);
    send(R, 2, 0, 0, 0); // does not end the wait
    CHECK_EQ(tcp_tw_count(), 1);
    peer_ts = 50;
    send(S, 1, 0, 0, 60000); // an old one
    EXPECT(A, 2, 0, 2);
    peer_ts = 200;
    uint32_t before = our_iss;
    send(S, 0, 0, 0, 60000); // a new connection
    EXPECT(S | A, 0, 0, 1);
    CHECK((int32_t)(our_iss - before) > 2);
    CHECK_EQ(tcp_tw_count(), 0);
    send(A, 1, 0, 1, 60000);
    c = net_accept(l);
    // Both ends at once.
    net_close(c);
    EXPECT(F | A, 1, 0, 1);
    send(F | A, 1, 0, 1, 60000);
    EXPECT(A, 2, 0, 2);
    send(A, 2, 0, 2, 60000);
    CHECK_EQ(tcp_tw_count(), 1);
    NOTHING(TIME_S);
    // The peer first; then data for a handle that is gone.
    peer_port++;
    use_ts = false;
    c = established();
    send(F | A, 1, 0, 1, 60000);
    EXPECT(A, 1, 0, 2);
    write_n(c, 10);
    EXPECT(A, 1, 10, 2);
    net_close(c);
    EXPECT(F | A, 11, 0, 2);
    send(A, 2, 0, 12, 60000);
    NOTHING(TIME_S);
    peer_port++;
    c = established();
    net_close(c);
    EXPECT(F | A, 1, 0, 1);
    send(A | P, 1, 10, 2, 60000);
    EXPECT(R | A, 2, 0, 1);
    NOTHING(TIME_S);
    peer_port++;
    net_close_listener(l);
}

// Whose reads time out often still gets one probe an interval.
static void impatient_reader(void)
{
    struct conn *c = established();
    char b;
    for (int i = 0; i < 100; i++) {
        net_set_read_deadline(c, time_mono() + TIME_S / 2);
        CHECK(net_read(c, &b, 1) < 0);
        CHECK_EQ(errno, ETIMEDOUT);
    }
    CHECK_EQ(seen_n - seen_at, 3);
    seen_at = seen_n;
    net_set_read_deadline(c, 0);
    reset(c, 1);
    net_close_listener(l);
}

// The last acknowledgement comes after the port has been closed and opened again.
static void reopened(void)
{
    l = net_listen("tcp", ":80");
    send(S, 0, 0, 0, 60000);
    EXPECT(S | A, 0, 0, 1);
    net_close_listener(l);
    l = net_listen("tcp", ":80");
    send(A | P, 1, 50, 1, 60000);
    NOTHING(TIME_MS);
    struct conn *c = net_accept(l);
    CHECK(c != NULL);
    drain(c, 1, 50);
    reset(c, 51);
    // And after it has been closed for good.
    send(S, 0, 0, 0, 60000);
    EXPECT(S | A, 0, 0, 1);
    net_close_listener(l);
    send(A, 1, 0, 1, 60000);
    EXPECT(R | A, 1, 0, 1);
}

static void keep_alive(void)
{
    struct conn *c = established();
    for (int i = 0; i < 3; i++) {
        EXPECT_IN(16 * TIME_S, A, 0, 0, 1);
        send(A, 1, 0, 1, 60000);
    }
    for (int i = 0; i < TCP_KEEP_PROBES; i++)
        EXPECT_IN(16 * TIME_S, A, 0, 0, 1);
    EXPECT_IN(16 * TIME_S, R | A, 1, 0, 1);
    char b;
    CHECK(net_read(c, &b, 1) < 0);
    CHECK_EQ(errno, ETIMEDOUT);
    net_close(c);
    peer_port++;
    net_close_listener(l);
}

static void dial(void *arg)
{
    struct net_addr local = {US_BE, our_port}, remote = {PEER_BE, peer_port};
    int err;
    struct conn **c = arg;
    *c = tcp_dial(&local, &remote, 0, &err);
    CHECK((*c != NULL) == (err == 0));
    if (!*c)
        *c = (struct conn *)(intptr_t)err;
}

static void dialling(void)
{
    struct conn *c = NULL;
    our_port = 6000;
    go(dial, &c);
    struct seen *e = EXPECT(S, 0, 0, 0);
    CHECK(e->sack_ok && e->ts && e->scale == TCP_RCV_SCALE && e->mss == MSS);
    EXPECT_IN(2 * TIME_S, S, 0, 0, 0);
    send(A, 1, 0, 1, 60000); // no SYN
    send(S | A, 0, 0, 9, 60000); // of what we have not sent
    EXPECT(R, 9, 0, 0);
    send(R | A, 0, 0, 9, 0); // not about our SYN
    send(R, 0, 0, 0, 0);
    CHECK(c == NULL);
    send(S | A, 0, 0, 1, 60000);
    EXPECT(A, 1, 0, 1);
    sim_settle(TIME_MS);
    CHECK(c != NULL);
    reset(c, 1);
    c = NULL;
    go(dial, &c);
    EXPECT(S, 0, 0, 0);
    send(R | A, 0, 0, 1, 0);
    sim_settle(TIME_MS);
    CHECK_EQ((intptr_t)c, -ECONNREFUSED);
    c = NULL;
    go(dial, &c); // nobody there: 1 + 2 + ... seconds
    int64_t t0 = sim_now();
    for (int i = 0; i <= TCP_SYN_RETRIES; i++)
        EXPECT_IN(70 * TIME_S, S, 0, 0, 0);
    while (!c)
        sim_settle(TIME_S);
    CHECK_EQ((intptr_t)c, -ETIMEDOUT);
    CHECK(sim_now() - t0 > 100 * TIME_S && sim_now() - t0 < 140 * TIME_S);
    c = NULL;
    go(dial, &c); // both at once
    EXPECT(S, 0, 0, 0);
    send(S, 0, 0, 0, 60000);
    EXPECT(S | A, 0, 0, 1);
    send(S | A, 0, 0, 1, 60000);
    sim_settle(TIME_MS);
    CHECK((intptr_t)c > 0);
    write_n(c, 10);
    EXPECT(A, 1, 10, 1);
    reset(c, 1);
    our_port = 80;
}

static void garbage(void)
{
    struct conn *c = established();
    uint8_t seg[1600];
    for (int i = 0; i < 30000; i++) {
        uint32_t n = sim_below(8) ? 20 + sim_below(60) : sim_below(1400);
        for (uint32_t k = 0; k < n; k++)
            seg[k] = (uint8_t)sim_rand();
        struct tcp_hdr *h = (void *)seg;
        if (n >= 20) {
            h->dport_be = BE16(80);
            if (sim_below(4))
                h->sport_be = be16((uint16_t)(peer_port + (sim_below(4) ? 0 : sim_below(3))));
            if (sim_below(8))
                h->flags &= (uint8_t)~TH_RST;
            if (sim_below(3))
                h->off = (uint8_t)(sim_below(4) ? 0x50 + (sim_below(4) << 4) : sim_below(256));
            if (sim_below(2))
                h->seq_be = be32(((struct tcb *)c)->rcv_nxt + sim_below(200) + 1);
            if (sim_below(2))
                h->ack_be = be32(((struct tcb *)c)->snd_nxt - sim_below(3));
            h->csum = 0;
            uint32_t sum = csum_pseudo(PEER_BE, US_BE, IP_PROTO_TCP, n);
            h->csum = csum_finish(csum_add(sum, seg, n));
        }
        lossy_inject_ip(wire, PEER_BE, US_BE, IP_PROTO_TCP, seg, n, 0);
        if (i % 20 == 0) {
            sim_settle(100000);
            seen_n = seen_at = 0;
        }
    }
    net_close(c);
    net_close_listener(l);
    for (int i = 0; i < 10; i++) {
        seen_n = seen_at = 0;
        sim_settle(100 * TIME_S);
    }
}

static const struct script scripts[] = {
    {"closed_port", closed_port},
    {"handshake", handshake},
    {"resets", resets},
    {"paws", paws},
    {"closing", closing},
    {"keep_alive", keep_alive},
    {"impatient_reader", impatient_reader},
    {"reopened", reopened},
    {"dialling", dialling},
    {"garbage", garbage},
};

int main(int argc, char **argv)
{
    return run_scripts(scripts, ARRAY_LEN(scripts), argc, argv);
}
