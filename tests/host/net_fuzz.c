// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=net/*.c,tests/host/sim/*.c timeout=240
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
//
// The whole network on frames that are almost right: each kind is made, distorted, cut, given right
// checksums again most of the time, and fed to the stack while servers run. Every frame ends where
// its buffer ends, so that reading past it is noticed. Afterwards the servers still serve, and
// nothing is left behind. Arguments: seed, and how many frames.
#include <errno.h>
#include <heddle/go.h>
#include <heddle/net.h>
#include <heddle/time.h>
#include <stdlib.h>
#include <string.h>

#include "net/checksum.h"
#include "net/netif.h"
#include "tests/host/sim/lossy.h"
#include "tests/host/sim/sim.h"

#define OURS IP4_BE(10, 0, 0, 1)

static struct lossy *dev;
static unsigned long frames = 60000;
static uint8_t f[1600];
static uint32_t n; // bytes of f
// Of a segment the stack sent, to be on target now and then.
static uint32_t last_seq_be, last_ack_be;
static uint16_t last_sport_be, last_dport_be;

static struct eth_hdr *eth(void) { return (void *)f; }
static struct ip4_hdr *ip(void) { return (void *)(f + ETH_HDR_LEN); }
static uint8_t *transport(void) { return f + ETH_HDR_LEN + IP4_HDR_LEN; }

static uint32_t some_peer(void)
{
    static const uint32_t odd[] = {0, 0xffffffff, OURS, IP4_BE(127, 0, 0, 1), IP4_BE(224, 0, 0, 5),
                                   IP4_BE(10, 0, 0, 255), IP4_BE(8, 8, 8, 8)};
    return sim_chance(100000) ? odd[sim_below(7)] : IP4_BE(10, 0, 0, 2 + sim_below(4));
}

static void ip_header(uint8_t proto, uint32_t payload)
{
    struct ip4_hdr *h = ip();
    memcpy(eth()->dst, dev->dev.mac, 6);
    if (sim_chance(50000))
        memset(eth()->dst, 0xff, 6);
    memset(eth()->src, 2, 6);
    eth()->type_be = BE16(ETH_TYPE_IPV4);
    memset(h, 0, sizeof(*h));
    h->ver_ihl = 0x45;
    h->len_be = be16((uint16_t)(IP4_HDR_LEN + payload));
    h->id_be = (uint16_t)sim_below(8);
    h->ttl = 64;
    h->proto = proto;
    h->src_be = some_peer();
    h->dst_be = sim_chance(30000) ? some_peer() : OURS;
    n = ETH_HDR_LEN + IP4_HDR_LEN + payload;
}

static void random_bytes(uint8_t *b, uint32_t len)
{
    while (len--)
        *b++ = (uint8_t)sim_rand();
}

static uint16_t some_port(void)
{
    static const uint16_t ports[] = {7, 80, 68, 67, 0, 33333};
    return ports[sim_below(6)];
}

static void make_udp(void)
{
    uint32_t len = sim_below(60);
    struct udp_hdr *u = (void *)transport();
    ip_header(IP_PROTO_UDP, 8 + len);
    u->sport_be = be16(some_port());
    u->dport_be = be16(some_port());
    u->len_be = be16((uint16_t)(8 + len));
    u->csum = 0;
    random_bytes((uint8_t *)(u + 1), len);
    if (sim_chance(200000))
        ip()->frag_be = be16((uint16_t)(sim_below(20) | (sim_chance(500000) ? IP4_FLAG_MF : 0)));
}

static uint32_t tcp_options(uint8_t *o)
{
    static const uint8_t good[][4] = {{2, 4, 5, 180}, {1, 3, 3, 7}, {1, 1, 4, 2}, {1, 1, 1, 1}};
    uint32_t len = 4 * sim_below(11);
    random_bytes(o, len);
    for (uint32_t i = 0; i + 4 <= len && sim_chance(800000); i += 4)
        memcpy(o + i, good[sim_below(4)], 4);
    if (len >= 12 && sim_chance(500000))
        memcpy(o, "\x01\x01\x08\x0a", 4);
    if (len >= 12 && sim_chance(200000))
        memcpy(o, "\x01\x01\x05\x0a", 4);
    return len;
}

static void make_tcp(void)
{
    static const uint8_t flags[] = {0x02, 0x10, 0x18, 0x11, 0x04, 0x14, 0x12, 0x00, 0x3f, 0x06};
    uint8_t *t = transport();
    uint32_t olen = tcp_options(t + 20), len = sim_chance(500000) ? 0 : sim_below(300);
    bool aim = sim_chance(600000);
    uint16_t sport_be = be16((uint16_t)(1000 + sim_below(3))), dport_be = BE16(80);
    uint32_t seq_be = (uint32_t)sim_rand(), ack_be = (uint32_t)sim_rand();
    if (aim) {
        seq_be = be32(be32(last_ack_be) + (sim_chance(500000) ? 0 : sim_below(3000) - 1500));
        ack_be = be32(be32(last_seq_be) + (sim_chance(500000) ? 1 : sim_below(3000) - 1500));
        sport_be = last_dport_be;
        dport_be = last_sport_be;
    }
    ip_header(IP_PROTO_TCP, 20 + olen + len);
    memcpy(t, &sport_be, 2);
    memcpy(t + 2, &dport_be, 2);
    memcpy(t + 4, &seq_be, 4);
    memcpy(t + 8, &ack_be, 4);
    t[12] = (uint8_t)((20 + olen) / 4 << 4);
    t[13] = flags[sim_below(sizeof(flags))];
    t[14] = (uint8_t)sim_rand();
    t[15] = (uint8_t)sim_rand();
    memset(t + 16, 0, 4);
    random_bytes(t + 20 + olen, len);
}

static void make_icmp(void)
{
    static const uint8_t types[] = {0, 3, 4, 5, 8, 11, 12, 13};
    uint32_t len = sim_below(80);
    struct icmp_hdr *ic = (void *)transport();
    ip_header(IP_PROTO_ICMP, 8 + len);
    random_bytes((uint8_t *)ic, 8 + len);
    ic->type = types[sim_below(8)];
    ic->code = (uint8_t)sim_below(6);
    if (len < 28 || sim_chance(100000))
        return;
    // About a segment of ours.
    struct ip4_hdr *q = (void *)(ic + 1);
    q->ver_ihl = 0x45;
    q->frag_be = 0;
    q->proto = sim_chance(500000) ? IP_PROTO_TCP : IP_PROTO_UDP;
    q->src_be = OURS;
    q->dst_be = ip()->src_be;
    memcpy(q + 1, &last_sport_be, 2);
    memcpy((uint8_t *)(q + 1) + 2, &last_dport_be, 2);
    memcpy((uint8_t *)(q + 1) + 4, &last_seq_be, 4);
}

static void make_arp(void)
{
    struct arp_hdr *a = (void *)(eth() + 1);
    memset(eth()->dst, 0xff, 6);
    random_bytes(eth()->src, 6);
    eth()->type_be = BE16(ETH_TYPE_ARP);
    a->hw_type_be = BE16(1);
    a->proto_type_be = BE16(ETH_TYPE_IPV4);
    a->hw_len = 6;
    a->proto_len = 4;
    a->op_be = be16((uint16_t)(1 + sim_below(2)));
    random_bytes(a->sender_mac, 6);
    // Not one that a connection talks to: it is not the point that ARP can be lied to.
    a->sender_be = sim_chance(100000) ? some_peer() : IP4_BE(10, 0, 0, 100 + sim_below(100));
    if ((be32(a->sender_be) & 0xff) < 10)
        a->sender_be = 0;
    a->target_be = sim_chance(500000) ? OURS : some_peer();
    n = ETH_HDR_LEN + sizeof(*a);
}

static void distort(void)
{
    for (uint32_t k = sim_chance(300000) ? 0 : sim_below(4); k; k--)
        f[12 + sim_below(n - 12)] ^= (uint8_t)(1 << sim_below(8));
    if (sim_chance(100000))
        n = sim_below(n + 1);
}

static void mend(void)
{
    struct ip4_hdr *h = ip();
    uint32_t hlen = 4 * (h->ver_ihl & 15u);
    if (n < 34 || eth()->type_be != BE16(ETH_TYPE_IPV4) || hlen < 20 || n < ETH_HDR_LEN + hlen)
        return;
    h->csum = 0;
    h->csum = csum_finish(csum_add(0, h, hlen));
    uint32_t len = be16(h->len_be), most = n - ETH_HDR_LEN;
    if (len < hlen || len > most)
        return;
    uint8_t *t = f + ETH_HDR_LEN + hlen;
    len -= hlen;
    uint32_t at = h->proto == IP_PROTO_TCP ? 16 : h->proto == IP_PROTO_UDP ? 6 : 2;
    if (len < at + 2)
        return;
    memset(t + at, 0, 2);
    uint32_t sum = at == 2 ? 0 : csum_pseudo(h->src_be, h->dst_be, h->proto, len);
    uint16_t c = csum_finish(csum_add(sum, t, len));
    memcpy(t + at, &c, 2);
}

static void send_one(void)
{
    switch (sim_below(8)) {
    case 0:
        make_arp();
        break;
    case 1:
        make_icmp();
        break;
    case 2:
    case 3:
        make_udp();
        break;
    default:
        make_tcp();
        break;
    }
    distort();
    if (sim_chance(900000))
        mend();
    struct pbuf *p = pbuf_alloc();
    if (!p)
        return;
    p->data = pbuf_end(p) - n;
    p->len = p->total = n;
    memcpy(p->data, f, n);
    lossy_inject(dev, p, 0);
}

// Remembers where the stack's connections stand.
static bool spy(struct lossy *l, struct pbuf *p)
{
    (void)l;
    const uint8_t *t = p->data + ETH_HDR_LEN + IP4_HDR_LEN;
    const struct ip4_hdr *h = (void *)(p->data + ETH_HDR_LEN);
    if (((struct eth_hdr *)p->data)->type_be == BE16(ETH_TYPE_IPV4) && h->proto == IP_PROTO_TCP &&
        sim_chance(300000)) {
        memcpy(&last_sport_be, t, 2);
        memcpy(&last_dport_be, t + 2, 2);
        memcpy(&last_seq_be, t + 4, 4);
        memcpy(&last_ack_be, t + 8, 4);
    }
    return false;
}

static unsigned served;

static void udp_server(void *arg)
{
    char buf[2048], from[NET_ADDR_MAX];
    ssize_t r;
    while ((r = net_recv_from(arg, buf, sizeof(buf), from, sizeof(from))) >= 0 || errno != EBADF)
        if (r >= 0 && !strstr(from, ":7")) // two echo servers would talk for ever
            net_send_to(arg, buf, (size_t)r, from);
    served++;
}

static void tcp_connection(void *arg)
{
    char buf[512];
    ssize_t r;
    net_set_deadline(arg, time_mono() + 2 * TIME_S);
    while ((r = net_read(arg, buf, sizeof(buf))) > 0)
        if (net_write(arg, buf, (size_t)r) < 0)
            break;
    net_close(arg);
}

static void tcp_server(void *arg)
{
    struct conn *c;
    while ((c = net_accept(arg)) || errno != EBADF)
        if (c && go(tcp_connection, c) != 0)
            net_close(c);
    served++;
}

static void still_alive(const char *network, const char *addr)
{
    char buf[4];
    struct conn *c = net_dial(network, addr);
    if (!c)
        sim_fail(__FILE__, __LINE__, "%s %s: errno %d", network, addr, errno);
    net_set_deadline(c, time_mono() + 5 * TIME_S);
    CHECK_EQ(net_write(c, "alive", 4), 4);
    CHECK_EQ(net_read(c, buf, 4), 4);
    CHECK_EQ(net_close(c), 0);
}

static void all_of_it(void *arg)
{
    (void)arg;
    net_init();
    dev = lossy_create("eth0", 1500, 0);
    dev->hook = spy;
    sim_settle(TIME_S);
    size_t before = sim_heap_objects();
    struct packet_conn *pc = net_listen_packet("udp", ":7");
    struct listener *l = net_listen("tcp", ":80");
    CHECK(pc && l);
    go(udp_server, pc);
    go(tcp_server, l);
    for (unsigned long i = 0; i < frames; i++) {
        send_one();
        if (sim_chance(30000))
            sim_opt.heap_fail_ppm = sim_chance(300000) ? 50000 : 0;
        if (sim_chance(50000))
            sim_settle(sim_chance(50000) ? TIME_S : sim_below(TIME_MS));
        CHECK(sim_heap_objects() < before + 20000);
    }
    sim_opt.heap_fail_ppm = 0;
    sim_settle(10 * TIME_S);
    still_alive("udp", "10.0.0.77:7");
    still_alive("tcp", "10.0.0.77:80");
    still_alive("tcp", "127.0.0.1:80");
    CHECK_EQ(net_close_packet(pc), 0);
    CHECK_EQ(net_close_listener(l), 0);
    sim_settle(1500 * TIME_S);
    CHECK_EQ(served, 2);
    CHECK_EQ(sim_goroutines(), 1);
    CHECK_EQ(sim_heap_objects(), before);
}

static void run_seed(void *arg)
{
    (void)arg;
    struct sim_options o = {.seed = sim_opt.seed, .cores = 1 + sim_opt.seed % 3};
    o.cmdline = "ip=10.0.0.1/24 gw=10.0.0.2";
    sim_run(&o, all_of_it, NULL);
}

int main(int argc, char **argv)
{
    unsigned failed = 0, seeds = argc > 1 ? 1 : 4;
    if (argc > 2)
        frames = strtoul(argv[2], NULL, 0);
    for (unsigned s = 1; s <= seeds; s++)
        failed += !sim_case("fuzz", argc > 1 ? strtoull(argv[1], NULL, 0) : s, 120, run_seed, NULL);
    printf("%u seeds of %lu distorted frames each, %u failed\n", seeds, frames, failed);
    return failed != 0;
}
