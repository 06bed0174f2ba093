// SPDX-License-Identifier: BSD-2-Clause
// TCP as the application meets it: refusal, deadlines, closing from every side, a reader that
// does not read, peers that vanish, both ends opening at once. Each case runs in a world of its own
// with several seeds; afterwards nothing may be left in memory.
// test: srcs=net/*.c,tests/host/sim/*.c timeout=300
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
#include "tests/host/net_tcp_sock.h"

// ---- refusal and addresses ----

static void refused(void)
{
    CHECK(net_dial("tcp", "10.0.0.2:81") == NULL);
    CHECK_EQ(errno, ECONNREFUSED);
    CHECK(net_dial("tcp", "10.0.0.2:0") == NULL);
    CHECK(net_dial("tcp", "255.255.255.255:80") == NULL);
    CHECK_EQ(errno, ENETUNREACH);
    struct listener *l = listen_on(":80");
    CHECK(net_listen("tcp", "10.0.0.1:80") == NULL);
    CHECK_EQ(errno, EADDRINUSE);
    CHECK(net_listen("tcp", "10.0.0.9:80") == NULL);
    CHECK_EQ(errno, EADDRNOTAVAIL);
    struct listener *any = listen_on(":0"), *lo = listen_on("127.0.0.1:90");
    CHECK(net_dial("tcp", "10.0.0.1:90") == NULL); // not on that address
    CHECK_EQ(errno, ECONNREFUSED);
    char b[NET_ADDR_MAX];
    struct conn *c = net_dial("tcp", "127.0.0.1:90"), *s = net_accept(lo);
    CHECK(c && s);
    CHECK(net_remote_addr(c, b, sizeof(b)) > 0);
    CHECK_EQ(strcmp(b, "127.0.0.1:90"), 0);
    send_pattern(c, 1, 100000);
    expect_pattern(s, 1, 100000);
    net_close(c);
    expect_end(s);
    net_close(s);
    net_close_listener(any);
    net_close_listener(lo);
    net_close_listener(l);
}

// ---- closing ----

static void half_close(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    pair(l, &c, &s);
    send_pattern(c, 1, 10000);
    CHECK_EQ(net_close_write(c), 0);
    CHECK_EQ(net_close_write(c), 0);
    CHECK_FAILS(net_write(c, "x", 1), EPIPE);
    expect_pattern(s, 1, 10000);
    expect_end(s);
    expect_end(s);
    time_sleep(500 * TIME_S); // as long as the application likes
    send_pattern(s, 2, 300000 / 8);
    net_close(s);
    expect_pattern(c, 2, 300000 / 8);
    expect_end(c);
    net_close(c);
    net_close_listener(l);
}

static void blocked_reader(void *arg)
{
    struct conn *c = arg;
    char b;
    CHECK_FAILS(net_read(c, &b, 1), EBADF);
}

static void blocked_writer(void *arg)
{
    static char big[2 << 20];
    CHECK_FAILS(net_write(arg, big, sizeof(big)), EBADF);
}

static void close_wakes(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    pair(l, &c, &s);
    for (int i = 0; i < 3; i++) {
        go(blocked_reader, c);
        go(blocked_writer, c);
    }
    time_sleep(5 * TIME_S);
    net_close(c);
    time_sleep(TIME_S);
    CHECK_EQ(sim_goroutines(), 1);
    net_close(s); // unread data: the peer's orphan is reset
    net_close_listener(l);
}

static void unread_is_reset(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    char b[100];
    pair(l, &c, &s);
    send_pattern(c, 1, 100);
    time_sleep(TIME_S);
    net_close(s);
    CHECK_FAILS(net_read(c, b, 1), ECONNRESET);
    CHECK_FAILS(net_write(c, b, 1), ECONNRESET);
    net_close(c);
    // What had arrived before the reset can be read.
    pair(l, &c, &s);
    send_pattern(c, 1, 100);
    send_pattern(s, 2, 100);
    time_sleep(TIME_S);
    net_close(s);
    time_sleep(TIME_S);
    expect_pattern(c, 2, 100);
    CHECK_FAILS(net_read(c, b, 1), ECONNRESET);
    net_close(c);
    // Writing to one that has closed.
    pair(l, &c, &s);
    net_close(s);
    time_sleep(TIME_S);
    CHECK_EQ(net_write(c, b, 1), 1);
    time_sleep(TIME_S);
    CHECK_FAILS(net_write(c, b, 1), ECONNRESET);
    net_close(c);
    net_close_listener(l);
}

static void accept_until_closed(void *arg)
{
    CHECK(net_accept(arg) == NULL);
    CHECK_EQ(errno, EBADF);
}

static void listener_close(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c[5];
    char b;
    for (int i = 0; i < 5; i++)
        CHECK((c[i] = net_dial("tcp", "10.0.0.2:80")) != NULL);
    time_sleep(TIME_S);
    net_close_listener(l); // nobody has accepted them
    for (int i = 0; i < 5; i++) {
        CHECK_FAILS(net_read(c[i], &b, 1), ECONNRESET);
        net_close(c[i]);
    }
    l = listen_on(":80");
    net_set_accept_deadline(l, time_mono() + TIME_S);
    CHECK(net_accept(l) == NULL);
    CHECK_EQ(errno, ETIMEDOUT);
    net_set_accept_deadline(l, 0);
    for (int i = 0; i < 3; i++)
        go(accept_until_closed, l);
    time_sleep(TIME_S);
    net_close_listener(l);
    time_sleep(TIME_S);
    CHECK_EQ(sim_goroutines(), 1);
}

static void simultaneous_close(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    wire->par.delay_ns = 50 * TIME_MS;
    pair(l, &c, &s);
    net_close(c);
    net_close(s); // both FINs are on their way
    time_sleep(10 * TIME_S);
    CHECK_EQ(tcp_tw_count(), 2);
    CHECK_EQ(tcp_table_count(), 0);
    net_close_listener(l);
}

// The mirror returns a SYN from port to the same port as one from the peer.
static void simultaneous_open(void)
{
    struct net_addr local = {US_BE, 5000}, remote = {PEER_BE, 5000};
    int err;
    struct conn *c = tcp_dial(&local, &remote, 0, &err);
    CHECK_EQ(err, 0);
    send_pattern(c, 7, 50000); // to itself
    expect_pattern(c, 7, 50000);
    net_close_write(c);
    expect_end(c);
    net_close(c);
}

// ---- deadlines ----

static void deadlines(void)
{
    static char big[2 << 20];
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    char b;
    pair(l, &c, &s);
    int64_t when = time_mono() + 2 * TIME_S;
    net_set_deadline(c, when);
    CHECK_FAILS(net_read(c, &b, 1), ETIMEDOUT);
    CHECK(time_mono() >= when && time_mono() < when + 50 * TIME_MS);
    CHECK_FAILS(net_write(c, &b, 1), ETIMEDOUT);
    net_set_deadline(c, 0);
    send_pattern(c, 1, 10);
    expect_pattern(s, 1, 10);
    net_set_write_deadline(c, time_mono() + 3 * TIME_S);
    CHECK_FAILS(net_write(c, big, sizeof(big)), ETIMEDOUT); // nobody reads
    net_close(c);
    net_close(s);
    CHECK(net_dial_deadline("tcp", "10.0.0.2:80", time_mono() + TIME_S) != NULL);
    net_close(net_accept(l)); // the other end stays, and ends with the process
    wire->unplugged = true;
    when = time_mono() + 5 * TIME_S;
    CHECK(net_dial_deadline("tcp", "10.0.0.2:80", when) == NULL);
    CHECK(errno == ETIMEDOUT || errno == EHOSTUNREACH);
    CHECK(time_mono() < when + 50 * TIME_MS);
    net_close_listener(l);
}

// ---- flow control ----

struct reader {
    struct conn *c, *peer;
    uint32_t n;
    bool done;
};

static void slow_reader(void *arg)
{
    struct reader *r = arg;
    uint8_t buf[3000];
    uint32_t at = 0;
    for (;;) {
        ssize_t n = net_read(r->c, buf, 1 + sim_below(sizeof(buf)));
        CHECK(n >= 0);
        for (ssize_t i = 0; i < n; i++)
            CHECK_EQ(buf[i], pattern(3, at + (uint64_t)i));
        if (n == 0)
            break;
        at += (uint32_t)n;
        time_sleep(1 * TIME_MS);
        if (sim_chance(3000))
            time_sleep(200 * TIME_S); // the window shuts, and probes keep it alive
    }
    CHECK_EQ(at, r->n);
    r->done = true;
}

static void zero_window(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    wire->par.loss_ppm = 50000;
    pair(l, &c, &s);
    struct reader r = {s, c, 1500000, false};
    go(slow_reader, &r);
    time_sleep(1000 * TIME_S);
    send_pattern(c, 3, r.n);
    net_close_write(c);
    while (!r.done)
        time_sleep(TIME_S);
    net_close(s);
    expect_end(c);
    net_close(c);
    net_close_listener(l);
}

// Many writers on one connection: the pieces stay whole.
enum { WRITERS = 6, PIECE = 5000, PIECES = 20 };

static void one_writer(void *arg)
{
    static int next;
    struct conn *c = arg;
    char piece[PIECE];
    memset(piece, 'a' + next++ % WRITERS, sizeof(piece));
    for (int i = 0; i < PIECES; i++)
        CHECK_EQ(net_write(c, piece, sizeof(piece)), PIECE);
}

static void writers(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    wire->par.loss_ppm = 20000;
    pair(l, &c, &s);
    for (int i = 0; i < WRITERS; i++)
        go(one_writer, c);
    for (int i = 0; i < WRITERS * PIECES; i++) {
        char piece[PIECE];
        for (uint32_t at = 0; at < PIECE;) {
            ssize_t r = net_read(s, piece + at, PIECE - at);
            CHECK(r > 0);
            at += (uint32_t)r;
        }
        for (int k = 1; k < PIECE; k++)
            CHECK_EQ(piece[k], piece[0]);
    }
    net_close(c);
    expect_end(s);
    net_close(s);
    net_close_listener(l);
}

static void nagle(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    wire->par.delay_ns = 10 * TIME_MS;
    pair(l, &c, &s);
    time_sleep(TIME_S);
    uint64_t before = wire->frames;
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t b = pattern(4, i);
        CHECK_EQ(net_write(c, &b, 1), 1);
    }
    time_sleep(TIME_S);
    CHECK(wire->frames - before >= 500); // no waiting by default
    expect_pattern(s, 4, 1000);
    CHECK_EQ(net_set_nodelay(c, 0), 0);
    before = wire->frames;
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t b = pattern(4, i);
        CHECK_EQ(net_write(c, &b, 1), 1);
    }
    time_sleep(TIME_S);
    CHECK(wire->frames - before <= 20);
    expect_pattern(s, 4, 1000);
    net_close(c);
    net_close(s);
    net_close_listener(l);
}

// On a device of many queues a segment does not overtake those before it: the flow changes queues
// only when nothing is in flight.
static struct tcb *watched;
static unsigned queues_used;

static bool watch_queue(struct lossy *w, struct pbuf *p)
{
    static uint16_t last;
    const struct ip4_hdr *ip = (void *)(p->data + ETH_HDR_LEN);
    const struct tcp_hdr *h = (void *)(ip + 1);
    (void)w;
    if (ip->ver_ihl != 0x45 || h->sport_be != be16(watched->lport) || !watched->sndq_n)
        return false;
    if (be16(ip->len_be) == IP4_HDR_LEN + (h->off >> 4) * 4)
        return false;
    if (p->queue != last) {
        CHECK_EQ(be32(h->seq_be), watched->snd_una);
        queues_used++;
    }
    CHECK(p->queue != 0);
    last = p->queue;
    return false;
}

static void one_queue(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    wire->par.delay_ns = 200000;
    pair(l, &c, &s);
    watched = (struct tcb *)c;
    wire->hook = watch_queue;
    sim_opt.switch_ppm = 200000;
    for (int i = 0; i < 30; i++) {
        send_pattern(c, 1, 20000);
        expect_pattern(s, 1, 20000);
        time_sleep(TIME_MS * sim_below(3));
    }
    CHECK(queues_used > 1);
    wire->hook = NULL;
    net_close(c);
    net_close(s);
    net_close_listener(l);
}

// Data to ourselves is acknowledged when there is not one buffer left; or it would stay for ever.
static void last_buffer(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c = net_dial("tcp", "127.0.0.1:80"), *s = net_accept(l);
    CHECK(c && s);
    for (int i = 0; i < 50; i++) {
        send_pattern(c, 1, 100);
        expect_pattern(s, 1, 100);
        sim_opt.heap_fail_ppm = 1000000;
        time_sleep(TIME_S);
        CHECK_EQ(((struct tcb *)c)->sndq_n, 0);
        sim_opt.heap_fail_ppm = 0;
    }
    net_close(c);
    expect_end(s);
    net_close(s);
    net_close_listener(l);
}

// ---- peers that vanish ----

static void dead_peer(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s, *d, *t;
    char b;
    pair(l, &c, &s);
    pair(l, &d, &t);
    CHECK_EQ(net_set_keepalive(d, 0), 0);
    CHECK_EQ(net_set_keepalive(t, 0), 0);
    time_sleep(3600 * TIME_S); // an idle connection with a living peer stays
    uint64_t before = wire->frames;
    wire->unplugged = true;
    int64_t t0 = time_mono();
    CHECK_FAILS(net_read(c, &b, 1), ETIMEDOUT); // by keep-alive
    CHECK(time_mono() - t0 > 100 * TIME_S && time_mono() - t0 < 200 * TIME_S);
    CHECK(wire->frames > before);
    t0 = time_mono();
    CHECK_EQ(net_write(d, "x", 1), 1);
    CHECK(net_read(d, &b, 1) < 0); // by retransmission; perhaps we know that he has gone
    CHECK(errno == ETIMEDOUT || errno == EHOSTUNREACH);
    CHECK(time_mono() - t0 > 200 * TIME_S && time_mono() - t0 < 500 * TIME_S);
    time_sleep(1000 * TIME_S);
    wire->unplugged = false;
    net_close(c);
    net_close(s);
    net_close(d);
    net_close(t);
    net_close_listener(l);
}

// Nobody there: found out once; while that is remembered it is said at once.
static void nobody_there(void)
{
    wire->unplugged = true;
    int64_t t0 = time_mono();
    CHECK(net_dial("tcp", "10.0.0.7:80") == NULL);
    CHECK_EQ(errno, EHOSTUNREACH);
    CHECK(time_mono() - t0 < 4 * TIME_S);
    t0 = time_mono();
    CHECK(net_dial("tcp", "10.0.0.7:80") == NULL);
    CHECK_EQ(errno, EHOSTUNREACH);
    CHECK(time_mono() - t0 < 10 * TIME_MS);
    wire->unplugged = false;
}

// The ways a closed handle's connection can hang.
static void orphans(void)
{
    struct listener *l = listen_on(":80");
    struct conn *c, *s;
    pair(l, &c, &s);
    net_set_keepalive(s, 0);
    net_close(c); // and the other end never closes: FIN_WAIT_2
    time_sleep(200 * TIME_S);
    CHECK_EQ(tcp_table_count(), 1);
    net_close(s);
    pair(l, &c, &s);
    wire->unplugged = true;
    send_pattern(c, 1, 1000);
    net_close(c);
    net_close(s);
    time_sleep(400 * TIME_S);
    wire->unplugged = false;
    CHECK_EQ(tcp_table_count(), 0);
    net_close_listener(l);
}

static const struct test tests[] = {
    {"refused", refused, 4, "", false},
    {"half_close", half_close, 4, "", false},
    {"close_wakes", close_wakes, 8, "", false},
    {"unread_is_reset", unread_is_reset, 8, "", false},
    {"listener_close", listener_close, 8, "", false},
    {"simultaneous_close", simultaneous_close, 4, "", false},
    {"simultaneous_open", simultaneous_open, 8, "", false},
    {"deadlines", deadlines, 4, "", true},
    {"zero_window", zero_window, 4, "", false},
    {"writers", writers, 4, "", false},
    {"nagle", nagle, 2, "", false},
    {"one_queue", one_queue, 2, "", false}, // 2 and 3 cores
    {"last_buffer", last_buffer, 3, "", false},
    {"dead_peer", dead_peer, 2, "", false},
    {"nobody_there", nobody_there, 4, "", false},
    {"orphans", orphans, 4, "", false},
};

int main(int argc, char **argv)
{
    return run_tests(tests, ARRAY_LEN(tests), "tcp sockets", argc, argv);
}
