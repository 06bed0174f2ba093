// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=net/*.c,tests/host/sim/*.c timeout=120
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
//
// ARP and ICMP against a scripted wire: answering, resolving with loss, ageing and probing, a
// neighbour that moves, conflicts, floods; ping in all sizes; who gets an ICMP error and how many.
// Argument: a seed.
#include <errno.h>
#include <heddle/net.h>
#include <heddle/time.h>
#include <stdlib.h>
#include <string.h>

#include "net/checksum.h"
#include "net/netif.h"
#include "tests/host/sim/lossy.h"
#include "tests/host/sim/sim.h"

#define OURS IP4_BE(10, 0, 0, 1)
#define PEER IP4_BE(10, 0, 0, 2)

static struct lossy *dev;

// What went out, by kind; the last ARP message and the last packet's frame.
static unsigned requests, unicast_requests, replies, announcements, packets, errors;
static struct arp_hdr last_arp;
static uint8_t last_frame[2048];
static uint32_t last_len;
static bool mute;       // swallow requests instead of answering them
static unsigned answer; // swallow that many before answering

static bool watch_arp(struct pbuf *p)
{
    const struct eth_hdr *e = (void *)p->data;
    const struct arp_hdr *a = (void *)(e + 1);
    CHECK(p->len >= sizeof(*e) + ETH_MIN_PAYLOAD);
    CHECK(memcmp(a->sender_mac, dev->dev.mac, 6) == 0 && memcmp(e->src, dev->dev.mac, 6) == 0);
    CHECK_EQ(a->sender_be, OURS);
    last_arp = *a;
    if (a->op_be == BE16(2)) {
        replies++;
        return false;
    }
    if (a->target_be == OURS) {
        announcements++;
        return false;
    }
    if (e->dst[0] & 1)
        requests++;
    else
        unicast_requests++;
    if (mute || answer) {
        answer -= answer != 0;
        pbuf_free(p);
        return true;
    }
    return false;
}

static bool watch(struct lossy *l, struct pbuf *p)
{
    (void)l;
    const struct eth_hdr *e = (void *)p->data;
    if (e->type_be == BE16(ETH_TYPE_ARP))
        return watch_arp(p);
    const struct ip4_hdr *ip = (void *)(e + 1);
    const struct icmp_hdr *ic = (void *)(ip + 1);
    if (ip->proto == IP_PROTO_ICMP && ic->type != ICMP_ECHO_REPLY)
        errors++;
    packets++;
    last_len = p->len;
    memcpy(last_frame, p->data, p->len);
    pbuf_free(p);
    return true;
}

static void inject_arp(uint16_t op, const uint8_t mac[6], uint32_t sender_be, uint32_t target_be)
{
    uint8_t frame[60] = {0};
    struct eth_hdr *e = (void *)frame;
    struct arp_hdr *a = (void *)(e + 1);
    memset(e->dst, 0xff, 6);
    memcpy(e->src, mac, 6);
    e->type_be = BE16(ETH_TYPE_ARP);
    a->hw_type_be = BE16(1);
    a->proto_type_be = BE16(ETH_TYPE_IPV4);
    a->hw_len = 6;
    a->proto_len = 4;
    a->op_be = be16(op);
    memcpy(a->sender_mac, mac, 6);
    a->sender_be = sender_be;
    a->target_be = target_be;
    lossy_inject_bytes(dev, frame, sizeof(frame), 0);
}

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xaa}, mac_b[6] = {2, 0, 0, 0, 0, 0xbb};

static void forget_counts(void)
{
    requests = unicast_requests = replies = announcements = packets = errors = 0;
}

static void answering(void)
{
    forget_counts();
    inject_arp(1, mac_a, IP4_BE(10, 0, 0, 77), OURS);
    sim_settle(TIME_MS);
    CHECK_EQ(replies, 1);
    CHECK(last_arp.target_be == IP4_BE(10, 0, 0, 77) && memcmp(last_arp.target_mac, mac_a, 6) == 0);
    inject_arp(1, mac_a, IP4_BE(10, 0, 0, 77), IP4_BE(10, 0, 0, 78)); // not for us
    inject_arp(1, mac_a, IP4_BE(10, 0, 0, 77), IP4_BE(127, 0, 0, 1));
    inject_arp(2, mac_a, IP4_BE(10, 0, 0, 77), OURS);
    inject_arp(3, mac_a, IP4_BE(10, 0, 0, 77), OURS);
    inject_arp(1, (const uint8_t[6]){1, 2, 3, 4, 5, 6}, IP4_BE(10, 0, 0, 77), OURS);
    sim_settle(TIME_MS);
    CHECK_EQ(replies, 1);
    inject_arp(1, mac_a, 0, OURS); // a probe is answered, too
    sim_settle(TIME_MS);
    CHECK_EQ(replies, 2);
    // Whoever asked is known by now.
    struct packet_conn *s = net_listen_packet("udp", "");
    CHECK_EQ(net_send_to(s, "x", 1, "10.0.0.77:9"), 1);
    sim_settle(TIME_MS);
    CHECK(requests == 0 && packets == 1 && memcmp(last_frame, mac_a, 6) == 0);
    // He moves to another card, and tells everybody.
    inject_arp(1, mac_b, IP4_BE(10, 0, 0, 77), IP4_BE(10, 0, 0, 77));
    sim_settle(TIME_MS);
    CHECK_EQ(net_send_to(s, "x", 1, "10.0.0.77:9"), 1);
    sim_settle(TIME_MS);
    CHECK(requests == 0 && packets == 2 && memcmp(last_frame, mac_b, 6) == 0);
    net_close_packet(s);
}

static void resolving(void)
{
    forget_counts();
    struct conn *c = net_dial("udp", "10.0.0.2:9");
    answer = 3; // three requests are lost
    for (int i = 0; i < 100; i++)
        CHECK_EQ(net_write(c, "x", 1), 1);
    sim_settle(5 * TIME_S);
    CHECK_EQ(requests, 4);
    CHECK_EQ(packets, 62); // the newest of them were kept
    CHECK_EQ(net_write(c, "x", 1), 1);
    sim_settle(TIME_MS);
    CHECK(requests == 4 && packets == 63);
    // After half a minute the next packet goes at once and asks him alone.
    sim_settle(40 * TIME_S);
    CHECK_EQ(net_write(c, "x", 1), 1);
    CHECK_EQ(net_write(c, "x", 1), 1);
    sim_settle(TIME_MS);
    CHECK(requests == 4 && unicast_requests == 1 && packets == 65);
    // He has died: three questions, then he is forgotten and everybody is asked.
    sim_settle(40 * TIME_S);
    mute = true;
    CHECK_EQ(net_write(c, "x", 1), 1);
    sim_settle(TIME_MS);
    CHECK_EQ(packets, 66);
    sim_settle(10 * TIME_S);
    CHECK(unicast_requests == 4 && requests == 4);
    CHECK_EQ(net_write(c, "x", 1), 1);
    sim_settle(10 * TIME_S);
    CHECK(requests == 8 && packets == 66);
    mute = false;
    net_close(c);
}

static void conflicts(void)
{
    forget_counts();
    for (int i = 0; i < 20; i++) {
        inject_arp(1, mac_b, OURS, OURS);
        sim_settle(TIME_S);
    }
    CHECK(announcements >= 2 && announcements <= 3 && replies == 0);
}

static size_t baseline;

static void floods(void)
{
    // Strangers asking for us: every one is answered, a bounded number remembered.
    struct conn *c = net_dial("udp", "10.0.0.2:9");
    CHECK_EQ(net_write(c, "x", 1), 1);
    sim_settle(TIME_MS);
    forget_counts();
    uint32_t gen = atomic_load(&route_gen);
    for (uint32_t i = 0; i < 5000; i++) {
        uint8_t mac[6] = {2, 1, 0, 0, i >> 8 & 0xff, i & 0xff};
        inject_arp(1, mac, IP4_BE(10, 0, i >> 8, i & 0xff) ^ IP4_BE(0, 0, 32, 0), OURS);
        if (i % 100 == 0)
            sim_settle(TIME_MS);
    }
    sim_settle(TIME_MS);
    CHECK_EQ(replies, 5000);
    CHECK(sim_heap_objects() <= baseline + 1024 + 1);
    // A stranger between question and answer does not cost a new neighbour its packet.
    mute = true;
    struct packet_conn *early = net_listen_packet("udp", "");
    CHECK_EQ(net_send_to(early, "x", 1, "10.0.0.50:9"), 1);
    inject_arp(1, (uint8_t[6]){2, 1, 0, 1, 1, 1}, IP4_BE(10, 0, 77, 77), OURS);
    sim_settle(TIME_MS);
    forget_counts();
    inject_arp(2, (uint8_t[6]){2, 0, 0, 0, 0, 50}, IP4_BE(10, 0, 0, 50), OURS);
    sim_settle(TIME_MS);
    CHECK_EQ(packets, 1);
    net_close_packet(early);
    mute = false;
    // Sending to thousands that do not exist.
    mute = true;
    struct packet_conn *s = net_listen_packet("udp", "");
    for (uint32_t i = 0; i < 3000; i++) {
        char to[NET_ADDR_MAX];
        snprintf(to, sizeof(to), "10.0.%u.%u:9", 100 + i / 200, 1 + i % 200);
        net_send_to(s, "x", 1, to);
    }
    sim_settle(TIME_MS);
    CHECK(sim_heap_objects() <= baseline + 1024 * 3 + 2);
    // The neighbour in use has outlived all that, and no connection had to look for its own again.
    CHECK_EQ(atomic_load(&route_gen), gen);
    forget_counts();
    CHECK_EQ(net_write(c, "x", 1), 1);
    CHECK_EQ(net_send_to(s, "x", 1, "10.0.0.2:10"), 1);
    sim_settle(TIME_MS);
    CHECK(packets == 2 && requests == 0);
    net_close(c);
    sim_settle(10 * TIME_S);
    net_close_packet(s);
    mute = false;
}

static void ping(uint32_t n, uint32_t dst_be)
{
    static uint8_t msg[2048];
    struct icmp_hdr *ic = (void *)msg;
    memset(ic, 0, sizeof(*ic));
    ic->type = ICMP_ECHO;
    ic->id_be = 0x1234;
    ic->seq_be = 7;
    for (uint32_t i = 0; i < n; i++)
        msg[sizeof(*ic) + i] = (uint8_t)sim_rand();
    ic->csum = csum_finish(csum_add(0, msg, sizeof(*ic) + n));
    lossy_inject_ip(dev, PEER, dst_be, IP_PROTO_ICMP, msg, sizeof(*ic) + n, 0);
    sim_settle(TIME_MS);
    if (dst_be != OURS)
        return;
    const struct icmp_hdr *r = (void *)(last_frame + ETH_HDR_LEN + IP4_HDR_LEN);
    CHECK_EQ(last_len, ETH_HDR_LEN + IP4_HDR_LEN + sizeof(*ic) + n);
    CHECK(r->type == ICMP_ECHO_REPLY && r->id_be == 0x1234 && r->seq_be == 7);
    CHECK(memcmp(r + 1, ic + 1, n) == 0);
    CHECK_EQ(csum_fold(csum_add(0, r, sizeof(*r) + n)), 0xffff);
}

static void pings(void)
{
    for (uint32_t i = 0; i < 300; i++)
        ping(i < 100 ? i : sim_below(1472), OURS);
    forget_counts();
    ping(56, IP4_BE(10, 0, 255, 255)); // broadcast
    ping(56, IP4_BE(224, 0, 0, 1));
    ping(56, IP4_BE(10, 0, 0, 9));     // somebody else
    CHECK_EQ(packets, 0);
    struct icmp_hdr bad = {.type = ICMP_ECHO, .csum = 1};
    lossy_inject_ip(dev, PEER, OURS, IP_PROTO_ICMP, &bad, sizeof(bad), 0);
    sim_settle(TIME_MS);
    CHECK_EQ(packets, 0);
}

static void inject_udp(uint32_t src_be, uint32_t dst_be)
{
    struct udp_hdr u = {BE16(1000), BE16(33434), BE16(8), 0};
    lossy_inject_ip(dev, src_be, dst_be, IP_PROTO_UDP, &u, sizeof(u), 0);
    sim_settle(TIME_MS);
}

static void error_rules(void)
{
    uint8_t unknown[8] = {0};
    forget_counts();
    inject_udp(PEER, OURS);
    CHECK_EQ(errors, 1);
    const struct icmp_hdr *e = (void *)(last_frame + ETH_HDR_LEN + IP4_HDR_LEN);
    CHECK(e->type == ICMP_UNREACHABLE && e->code == ICMP_UNREACH_PORT);
    CHECK_EQ(last_len, ETH_HDR_LEN + IP4_HDR_LEN + 8 + IP4_HDR_LEN + 8);
    lossy_inject_ip(dev, PEER, OURS, 200, unknown, 8, 0);
    sim_settle(TIME_MS);
    CHECK(errors == 2 && e->code == ICMP_UNREACH_PROTO);
    inject_udp(PEER, 0xffffffff);
    inject_udp(PEER, IP4_BE(10, 0, 255, 255));
    inject_udp(0, OURS);
    inject_udp(IP4_BE(224, 0, 0, 1), OURS);
    inject_udp(IP4_BE(10, 0, 255, 255), OURS);
    inject_udp(OURS, OURS);                  // nobody on the wire may be us
    inject_udp(IP4_BE(127, 0, 0, 1), OURS);
    inject_udp(PEER, IP4_BE(127, 0, 0, 1));
    CHECK_EQ(errors, 2);
    // At a bounded rate.
    for (int i = 0; i < 5000; i++) {
        struct udp_hdr u = {BE16(1000), BE16(33434), BE16(8), 0};
        lossy_inject_ip(dev, PEER, OURS, IP_PROTO_UDP, &u, sizeof(u), 0);
    }
    sim_settle(TIME_S);
    CHECK(errors > 60 && errors < 400);
}

static void all_of_it(void *arg)
{
    (void)arg;
    net_init();
    dev = lossy_create("eth0", 1500, 0);
    dev->hook = watch;
    sim_settle(TIME_S);
    CHECK_EQ(announcements, 1);
    baseline = sim_heap_objects();
    resolving();
    answering();
    conflicts();
    floods();
    pings();
    error_rules();
    sim_settle(700 * TIME_S);
    CHECK_EQ(sim_heap_objects(), baseline);
}

static void run_seed(void *arg)
{
    (void)arg;
    struct sim_options o = {.seed = sim_opt.seed, .cores = 1 + sim_opt.seed % 3};
    o.cmdline = "ip=10.0.0.1/16";
    sim_run(&o, all_of_it, NULL);
}

int main(int argc, char **argv)
{
    unsigned failed = 0, n = argc > 1 ? 1 : 6;
    for (unsigned s = 1; s <= n; s++)
        failed += !sim_case("arp", argc > 1 ? strtoull(argv[1], NULL, 0) : s, 60, run_seed, NULL);
    printf("%u seeds of ARP and ICMP against a scripted wire, %u failed\n", n, failed);
    return failed != 0;
}
