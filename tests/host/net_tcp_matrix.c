// SPDX-License-Identifier: BSD-2-Clause
// TCP over a wire that loses, reorders, doubles, delays and corrupts: streams of random length go
// both ways at once on several connections, written and read in pieces of random size, and each
// byte is compared. Every case has a seed that replays it; afterwards nothing may be left in
// memory.
// test: srcs=net/*.c,tests/host/sim/*.c timeout=600
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
#include <stdio.h>
#include <stdlib.h>

#include "tests/host/net_tcp.h"

struct params {
    struct lossy_params wire;
    unsigned conns;
    uint32_t max_bytes;
    const char *options;
};

static struct params par;
static struct done done;
static struct listener *listener;

struct side {
    struct conn *c;
    uint32_t id;     // of the stream it writes
    uint32_t peer_id;
    uint64_t bytes;  // it writes
    struct done *both;
};

static uint64_t stream_bytes(uint32_t id)
{
    uint64_t x = (id + 1) * 0x9e3779b97f4a7c15ull ^ sim_opt.seed;
    x ^= x >> 31;
    return x % 10 == 0 ? x % 3 : (x >> 8) % par.max_bytes;
}

static void writer(void *arg)
{
    struct side *s = arg;
    uint64_t at = 0;
    while (at < s->bytes) {
        uint32_t most = sim_below(4) ? 3000 : 65536, n = 1 + sim_below(most);
        n = (uint32_t)MIN(n, s->bytes - at);
        uint8_t *piece = malloc(n);
        for (uint32_t i = 0; i < n; i++)
            piece[i] = pattern(s->id, at + i);
        if (net_write(s->c, piece, n) != n)
            sim_fail(__FILE__, __LINE__, "stream %u: net_write: errno %d", s->id, errno);
        free(piece);
        at += n;
        if (sim_chance(20000))
            time_sleep(sim_below(300) * TIME_MS);
    }
    CHECK_EQ(net_close_write(s->c), 0);
    s->both->left--;
}

static void reader(void *arg)
{
    struct side *s = arg;
    uint64_t at = 0, want = stream_bytes(s->peer_id);
    for (;;) {
        uint32_t most = sim_below(4) ? 3000 : 65536, n = 1 + sim_below(most);
        uint8_t *piece = malloc(n);
        ssize_t r = net_read(s->c, piece, n);
        if (r < 0)
            sim_fail(__FILE__, __LINE__, "stream %u: net_read: errno %d at %llu of %llu",
                     s->peer_id, errno, (unsigned long long)at, (unsigned long long)want);
        for (ssize_t i = 0; i < r; i++)
            if (piece[i] != pattern(s->peer_id, at + (uint64_t)i))
                sim_fail(__FILE__, __LINE__, "stream %u: wrong byte at %llu", s->peer_id,
                         (unsigned long long)at + (unsigned long long)i);
        free(piece);
        if (r == 0)
            break;
        at += (uint64_t)r;
        if (sim_chance(10000))
            time_sleep(sim_below(300) * TIME_MS);
    }
    CHECK_EQ(at, want);
    s->both->left--;
}

// Both directions at once, then closes.
static void exchange(struct conn *c, uint32_t id, uint32_t peer_id)
{
    struct done both = {2};
    struct side s = {c, id, peer_id, stream_bytes(id), &both};
    CHECK_EQ(go(writer, &s), 0);
    CHECK_EQ(go(reader, &s), 0);
    done_wait(&both);
    CHECK_EQ(net_close(c), 0);
}

static void serve(void *arg)
{
    struct conn *c = arg;
    uint32_t id;
    uint8_t hello[4];
    for (unsigned got = 0; got < 4;) { // which stream this is
        ssize_t r = net_read(c, hello + got, 4 - got);
        if (r <= 0) { // the dialling side gave up meanwhile
            net_close(c);
            return;
        }
        got += (unsigned)r;
    }
    memcpy(&id, hello, 4);
    exchange(c, 2 * id + 1, 2 * id);
    done.left--;
}

static void accept_all(void *arg)
{
    (void)arg;
    struct conn *c;
    while ((c = net_accept(listener)))
        CHECK_EQ(go(serve, c), 0);
    CHECK_EQ(errno, EBADF);
}

static void client(void *arg)
{
    uint32_t id = (uint32_t)(uintptr_t)arg;
    struct conn *c;
    while (!(c = net_dial("tcp", "10.0.0.2:80")))
        if (errno != ETIMEDOUT && errno != ENOMEM && errno != EHOSTUNREACH)
            sim_fail(__FILE__, __LINE__, "net_dial: errno %d", errno);
    CHECK_EQ(net_write(c, &id, 4), 4);
    exchange(c, 2 * id, 2 * id + 1);
    done.left--;
}

static void world(void *arg)
{
    (void)arg;
    uint32_t features = (uint32_t)(sim_rand() & (NETDEV_TX_CSUM | NETDEV_RX_CSUM));
    net_start(features);
    listener = net_listen("tcp", ":80");
    CHECK(listener != NULL);
    CHECK_EQ(go(accept_all, NULL), 0);
    wire->par = par.wire;
    done.left = (int)par.conns * 2;
    for (unsigned i = 0; i < par.conns; i++)
        CHECK_EQ(go(client, (void *)(uintptr_t)i), 0);
    done_wait(&done);
    CHECK_EQ(net_close_listener(listener), 0);
    if (getenv("STATS"))
        fprintf(stderr,
                "t=%.1f in=%llu fast=%llu retx=%llu rto=%llu fr=%llu undone=%llu bad=%llu\n",
                (double)sim_now() / 1e9, (unsigned long long)tcp_stat_sum(TCP_SEGS_IN),
                (unsigned long long)tcp_stat_sum(TCP_FAST_PATH),
                (unsigned long long)tcp_stat_sum(TCP_RETRANS),
                (unsigned long long)tcp_stat_sum(TCP_TIMEOUTS),
                (unsigned long long)tcp_stat_sum(TCP_FAST_RECOVERIES),
                (unsigned long long)tcp_stat_sum(TCP_UNDONE),
                (unsigned long long)tcp_stat_sum(TCP_BAD_SEGS));
    net_check_empty();
}

static void one_case(void *arg)
{
    par = *(struct params *)arg;
    uint64_t seed = sim_opt.seed;
    char options[200];
    // One in five lost each way: nine times in a row happens.
    snprintf(options, sizeof(options),
             "ip=10.0.0.1/24 tcp_orphan_timeout=3600 tcp_user_timeout=7200 %s", par.options);
    struct sim_options opt = {
        .seed = seed,
        .cores = 1 + (unsigned)(seed % 4),
        .limit_ns = 48ll * 3600 * TIME_S,
        .cmdline = options,
    };
    sim_run(&opt, world, NULL);
}

static const char *const option_sets[] = {
    "", "tcp_sack=0", "", "tcp_sack=0 tcp_timestamps=0 tcp_window_scaling=0", "tcp_timestamps=0",
};

int main(int argc, char **argv)
{
    static const unsigned losses[] = {0, 10000, 50000, 200000};
    unsigned ran = 0, failed = 0, number = 0;
    int only = argc > 1 ? atoi(argv[1]) : -1;
    for (unsigned loss = 0; loss < ARRAY_LEN(losses); loss++) {
        for (unsigned bits = 0; bits < 16; bits++) {
            unsigned seeds = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
            struct params p = {0};
            p.wire.loss_ppm = losses[loss];
            p.wire.reorder_ppm = bits & 1 ? 100000 : 0;
            p.wire.dup_ppm = bits & 2 ? 50000 : 0;
            p.wire.delay_ns = bits & 4 ? 20 * TIME_MS : 50000;
            p.wire.jitter_ns = bits & 4 ? 10 * TIME_MS : 0;
            p.wire.corrupt_ppm = bits & 8 ? 20000 : 0;
            p.wire.lend_ns = bits & 1 ? 200000 : 0;
            p.wire.rate_bps = bits & 2 ? 100000000 : 0;
            p.conns = bits & 8 ? 6 : 3;
            p.max_bytes = losses[loss] > 50000 ? 120000 : 700000;
            for (unsigned i = 0; i < seeds; i++, number++) {
                if (only >= 0 && (unsigned)only != number)
                    continue;
                p.options = option_sets[number % ARRAY_LEN(option_sets)];
                char name[80];
                snprintf(name, sizeof(name), "case %u: loss %u ppm, options %u", number,
                         losses[loss], bits);
                ran++;
                failed += !sim_case(name, 1000 + number, 120, one_case, &p);
            }
        }
    }
    printf("tcp over a lossy wire: %u of %u cases byte for byte right\n", ran - failed, ran);
    return failed != 0;
}
