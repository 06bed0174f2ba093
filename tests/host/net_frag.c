// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=net/*.c,tests/host/sim/*.c timeout=120
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
//
// Reassembly of IPv4 fragments: datagrams cut anywhere, shuffled and doubled come out whole and
// once; overlapping, lying and missing pieces never do, cost a bounded amount of memory, and are
// forgotten in time. Argument: a seed.
#include <errno.h>
#include <heddle/net.h>
#include <heddle/time.h>
#include <stdlib.h>
#include <string.h>

#include "net/checksum.h"
#include "net/netif.h"
#include "tests/host/sim/lossy.h"
#include "tests/host/sim/sim.h"

#define SRC IP4_BE(10, 0, 0, 2)
#define DST IP4_BE(10, 0, 0, 1)

static struct lossy *dev;
static struct packet_conn *sock;
static uint8_t datagram[65536 + 2048], got[65536];
static unsigned time_exceeded;

static bool watch(struct lossy *l, struct pbuf *p)
{
    (void)l;
    const struct ip4_hdr *ip = (void *)(p->data + ETH_HDR_LEN);
    const struct icmp_hdr *ic = (void *)(ip + 1);
    bool icmp = ((struct eth_hdr *)p->data)->type_be == BE16(ETH_TYPE_IPV4) &&
                ip->proto == IP_PROTO_ICMP;
    if (icmp && ic->type == ICMP_TIME_EXCEEDED) {
        CHECK_EQ(ic->code, 1);
        time_exceeded++;
    }
    if (icmp)
        pbuf_free(p);
    return icmp;
}

// A UDP datagram to port 7 of n bytes, header included.
static void make(uint32_t n, uint32_t seed)
{
    struct udp_hdr *u = (void *)datagram;
    for (uint32_t i = sizeof(*u); i < n; i++)
        datagram[i] = (uint8_t)((seed + i) * 2654435761u >> 24);
    u->sport_be = BE16(1000);
    u->dport_be = BE16(7);
    u->len_be = be16((uint16_t)n);
    u->csum = 0;
    u->csum = csum_finish(csum_add(csum_pseudo(SRC, DST, IP_PROTO_UDP, n), datagram, n));
}

// Bytes [off, off + n) of the datagram; offset and length as they are claimed.
static void inject(uint16_t id, uint32_t off, uint32_t n, bool more, int64_t delay_ns)
{
    uint8_t frame[2048];
    struct eth_hdr *e = (void *)frame;
    struct ip4_hdr *ip = (void *)(e + 1);
    uint32_t options = sim_chance(100000) ? 8 : 0;
    memcpy(e->dst, dev->dev.mac, 6);
    memset(e->src, 2, 6);
    e->type_be = BE16(ETH_TYPE_IPV4);
    memset(ip, 0, sizeof(*ip));
    memset(ip + 1, 1, options);
    ip->ver_ihl = (uint8_t)(0x45 + options / 4);
    ip->len_be = be16((uint16_t)(IP4_HDR_LEN + options + n));
    ip->id_be = be16(id);
    ip->frag_be = be16((uint16_t)(off / 8 | (more ? IP4_FLAG_MF : 0)));
    ip->ttl = 64;
    ip->proto = IP_PROTO_UDP;
    ip->src_be = SRC;
    ip->dst_be = DST;
    ip->csum = csum_finish(csum_add(0, ip, IP4_HDR_LEN + options));
    memcpy((uint8_t *)(ip + 1) + options, datagram + off, n);
    lossy_inject_bytes(dev, frame, ETH_HDR_LEN + IP4_HDR_LEN + options + n, delay_ns);
}

static bool arrived(int64_t wait_ns, uint32_t n)
{
    net_set_packet_deadline(sock, time_mono() + wait_ns);
    ssize_t r = net_recv_from(sock, got, sizeof(got), NULL, 0);
    if (r < 0) {
        CHECK_EQ(errno, ETIMEDOUT);
        return false;
    }
    CHECK_EQ(r, n - sizeof(struct udp_hdr));
    CHECK(memcmp(got, datagram + sizeof(struct udp_hdr), (size_t)r) == 0);
    return true;
}

static void shuffled(uint16_t id)
{
    uint32_t n = 16 + sim_below(sim_chance(100000) ? 65500 - 16 : 8000);
    uint32_t step_max = MAX(n / 60 + 8, 8 + sim_below(1400));
    make(n, id);
    // One piece at most comes twice: if all did, so might the whole.
    bool doubled = sim_chance(500000);
    for (uint32_t off = 0; off < n;) {
        uint32_t len = MIN(ROUND_UP(1 + sim_below(MIN(step_max, 1400u)), 8u), n - off);
        if (n / 60 > len)
            len = MIN(ROUND_UP(n / 60, 8u), n - off);
        bool more = off + len < n;
        inject(id, off, len, more, sim_below(TIME_MS));
        if (len < n && !doubled && sim_chance(200000)) {
            inject(id, off, len, more, sim_below(TIME_MS));
            doubled = true;
        }
        off += len;
    }
    CHECK(arrived(2 * TIME_MS, n));
}

// Each of these must be noticed.
static void condemned(uint16_t id)
{
    make(3000, id);
    switch (id % 5) {
    case 0: // overlaps the one before
        inject(id, 0, 1000, true, 0);
        inject(id, 992, 1008, true, 50000);
        inject(id, 2000, 1000, false, 100000);
        break;
    case 1: // covers one
        inject(id, 800, 200, true, 0);
        inject(id, 0, 1400, true, 50000);
        inject(id, 1400, 1600, false, 100000);
        break;
    case 2: // two different ends
        inject(id, 1600, 1400, false, 0);
        inject(id, 1600, 1000, false, 50000);
        inject(id, 0, 1600, true, 100000);
        break;
    case 3: // a piece beyond the end
        inject(id, 8, 1000, false, 0);
        inject(id, 2000, 1000, true, 50000);
        inject(id, 0, 8, true, 100000);
        break;
    default: // same beginning, longer
        inject(id, 0, 800, true, 0);
        inject(id, 0, 1000, true, 50000);
        inject(id, 1000, 1400, true, 100000);
        break;
    }
    CHECK(!arrived(TIME_MS, 3000));
}

static void lies(void)
{
    make(65000, 1);
    inject(1, 65528, 1000, false, 0); // past the largest packet
    inject(2, 65528, 8, true, 0);
    inject(3, 8, 13, true, 0);        // not a multiple of eight
    inject(4, 8, 0, false, 0);        // nothing
    CHECK(!arrived(TIME_MS, 0));
    CHECK_EQ(ipv4_frag_held(), 0);
}

static void flood(void)
{
    uint32_t most = 0;
    make(9000, 7);
    for (uint32_t i = 0; i < 20000; i++) {
        inject((uint16_t)i, 8 * (1 + sim_below(900)), 8, true, 0);
        if (i % 50 == 0) {
            sim_settle(TIME_MS);
            most = MAX(most, ipv4_frag_held());
        }
    }
    CHECK(most <= 64);
    // Many fragments of one packet.
    for (uint32_t off = 0; off < 9000 - 16; off += 8)
        inject(1, off, 8, true, off);
    sim_settle(TIME_MS);
    CHECK(ipv4_frag_held() <= 64 + 128);
    for (uint32_t i = 0; i < 30; i++) {
        make(65000, i);
        for (uint32_t off = 1400; off < 65000 - 1400; off += 1400)
            inject((uint16_t)(30000 + i), off, 1400, true, 0);
        sim_settle(TIME_MS);
        CHECK(ipv4_frag_held() <= 1024);
    }
    shuffled(999);
}

static void forgotten(void)
{
    sim_settle(31 * TIME_S);
    CHECK_EQ(ipv4_frag_held(), 0);
    dev->hook = watch;
    time_exceeded = 0;
    make(3000, 5);
    inject(5, 0, 1000, true, 0);
    inject(6, 1000, 1000, true, 0);
    sim_settle(29 * TIME_S);
    CHECK_EQ(ipv4_frag_held(), 2);
    sim_settle(2 * TIME_S);
    CHECK_EQ(ipv4_frag_held(), 0);
    CHECK_EQ(time_exceeded, 1);
}

static void all_of_it(void *arg)
{
    (void)arg;
    net_init();
    dev = lossy_create("eth0", 1500, 0);
    sim_settle(TIME_S);
    size_t before = sim_heap_objects();
    sock = net_listen_packet("udp", ":7");
    CHECK(sock);
    for (uint16_t id = 0; id < 400; id++)
        shuffled(id);
    CHECK(ipv4_frag_held() <= 64); // repeated pieces of what was complete already
    sim_settle(31 * TIME_S);
    CHECK_EQ(ipv4_frag_held(), 0);
    for (uint16_t id = 1000; id < 1200; id++)
        condemned(id);
    sim_settle(31 * TIME_S);
    CHECK_EQ(ipv4_frag_held(), 0);
    lies();
    flood();
    forgotten();
    sim_opt.heap_fail_ppm = 100000;
    for (uint32_t i = 0; i < 2000; i++)
        inject((uint16_t)i, 8 * sim_below(100), 8 * sim_below(100), sim_chance(900000), 0);
    sim_settle(TIME_S);
    sim_opt.heap_fail_ppm = 0;
    net_close_packet(sock);
    sim_settle(700 * TIME_S);
    CHECK_EQ(sim_heap_objects(), before);
}

static void run_seed(void *arg)
{
    (void)arg;
    struct sim_options o = {.seed = sim_opt.seed, .cores = 1 + sim_opt.seed % 3};
    o.cmdline = "ip=10.0.0.1/24";
    sim_run(&o, all_of_it, NULL);
}

int main(int argc, char **argv)
{
    unsigned failed = 0, n = argc > 1 ? 1 : 6;
    for (unsigned s = 1; s <= n; s++)
        failed += !sim_case("frag", argc > 1 ? strtoull(argv[1], NULL, 0) : s, 60, run_seed, NULL);
    printf("%u seeds of shuffled, overlapping, lying, missing fragments, %u failed\n", n, failed);
    return failed != 0;
}
