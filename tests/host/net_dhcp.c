// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=net/*.c,tests/host/sim/*.c timeout=120
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
//
// The DHCP client against a scripted server: a lease in milliseconds, over a losing wire, refused,
// renewed, rebound, run out, declined because somebody else has the address; no server at all; the
// command line instead; and the parser on garbage. Arguments: case and seed.
#include "net/dhcp.h"

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

#define SERVER IP4_BE(10, 0, 2, 2)
#define CLIENT IP4_BE(10, 0, 2, 15)

static struct lossy *dev;

// The server.
static struct {
    unsigned deaf;          // ignore so many messages
    bool mute, nak, no_renew, unicast;
    uint32_t lease_s, offer_be;
    unsigned seen[9], broadcast_requests;
    bool conflict_answer;   // somebody answers the announcement
    int64_t last_request_ns;
} srv;

static uint32_t find_option(const uint8_t *msg, uint32_t n, uint8_t code, uint8_t *len)
{
    for (uint32_t i = 240; i < n && msg[i] != 255; i += msg[i] ? 2u + msg[i + 1] : 1)
        if (msg[i] == code) {
            *len = msg[i + 1];
            return i + 2;
        }
    return 0;
}

static uint8_t *option(uint8_t *at, uint8_t code, uint8_t n, const void *v)
{
    at[0] = code;
    at[1] = n;
    memcpy(at + 2, v, n);
    return at + 2 + n;
}

static void answer(const uint8_t *q, uint8_t type)
{
    static const uint8_t mask[4] = {255, 255, 255, 0}, router[4] = {10, 0, 2, 2},
                         dns[4] = {10, 0, 2, 3};
    uint8_t buf[8 + 400] = {0};
    struct udp_hdr *u = (void *)buf;
    uint8_t *m = buf + 8, *at = m + 240;
    uint32_t lease_be = be32(srv.lease_s), server = SERVER;
    memcpy(m, q, 236);
    m[0] = 2;
    memcpy(m + 16, &srv.offer_be, 4);
    memcpy(m + 236, "\x63\x82\x53\x63", 4);
    at = option(at, 53, 1, &type);
    at = option(at, 54, 4, &server);
    if (type != DHCP_NAK) {
        at = option(at, 51, 4, &lease_be);
        at = option(at, 1, 4, mask);
        at = option(at, 3, 4, router);
        at = option(at, 6, 4, dns);
    }
    *at++ = 255;
    uint32_t n = (uint32_t)(at - buf);
    uint32_t to = srv.unicast ? srv.offer_be : 0xffffffff;
    u->sport_be = BE16(67);
    u->dport_be = BE16(68);
    u->len_be = be16((uint16_t)n);
    u->csum = csum_finish(csum_add(csum_pseudo(SERVER, to, IP_PROTO_UDP, n), buf, n));
    lossy_inject_ip(dev, SERVER, to, IP_PROTO_UDP, buf, n, 300000);
}

static void serve(const uint8_t *q, uint32_t n, bool broadcast)
{
    uint8_t len, type;
    uint32_t at = find_option(q, n, 53, &len);
    CHECK(at && len == 1 && n >= DHCP_MESSAGE_MIN);
    CHECK(q[0] == 1 && memcmp(q + 28, dev->dev.mac, 6) == 0);
    type = q[at];
    CHECK(type == DHCP_DISCOVER || type == DHCP_REQUEST || type == DHCP_DECLINE);
    srv.seen[type]++;
    uint32_t ciaddr;
    memcpy(&ciaddr, q + 12, 4);
    if (type == DHCP_REQUEST) {
        srv.last_request_ns = sim_now();
        if (ciaddr && broadcast)
            srv.broadcast_requests++;
        // Before it has the address: which server's offer, and which address. Afterwards neither.
        CHECK(!!find_option(q, n, 50, &len) == !ciaddr);
        CHECK(!!find_option(q, n, 54, &len) == !ciaddr);
    }
    if (srv.deaf) {
        srv.deaf--;
        return;
    }
    if (srv.mute || type == DHCP_DECLINE || (ciaddr && srv.no_renew))
        return;
    if (type == DHCP_DISCOVER)
        answer(q, DHCP_OFFER);
    else
        answer(q, srv.nak ? DHCP_NAK : DHCP_ACK);
}

static void someone_else(void)
{
    uint8_t frame[60] = {0};
    struct eth_hdr *e = (void *)frame;
    struct arp_hdr *a = (void *)(e + 1);
    memset(e->dst, 0xff, 6);
    e->type_be = BE16(ETH_TYPE_ARP);
    a->hw_type_be = BE16(1);
    a->proto_type_be = BE16(ETH_TYPE_IPV4);
    a->hw_len = 6;
    a->proto_len = 4;
    a->op_be = BE16(2);
    memset(a->sender_mac, 4, 6);
    a->sender_be = srv.offer_be;
    lossy_inject_bytes(dev, frame, sizeof(frame), 1000000);
}

static bool hook(struct lossy *l, struct pbuf *p)
{
    (void)l;
    const struct eth_hdr *e = (void *)p->data;
    const struct ip4_hdr *ip = (void *)(e + 1);
    const struct udp_hdr *u = (void *)(ip + 1);
    if (e->type_be == BE16(ETH_TYPE_ARP)) {
        const struct arp_hdr *a = (void *)(e + 1);
        if (a->sender_be == a->target_be && srv.conflict_answer) {
            srv.conflict_answer = false;
            someone_else();
        }
        return false;
    }
    if (ip->proto != IP_PROTO_UDP || u->dport_be != BE16(67))
        return false;
    CHECK_EQ(u->sport_be, BE16(68));
    uint32_t n = be16(u->len_be);
    CHECK_EQ(csum_fold(csum_add(csum_pseudo(ip->src_be, ip->dst_be, IP_PROTO_UDP, n), u, n)),
             0xffff);
    serve((const uint8_t *)(u + 1), n - 8, ip->dst_be == 0xffffffff);
    pbuf_free(p);
    return true;
}

static void start(void)
{
    net_init();
    srv.lease_s = 3600;
    srv.offer_be = CLIENT;
    dev = lossy_create("eth0", 1500, 0);
    dev->hook = hook;
}

static bool up(int64_t within_ns)
{
    char a[32];
    int64_t t = time_mono();
    int n = net_wait_up(t + within_ns, a, sizeof(a));
    return n > 0 && strcmp(a, "10.0.2.15") == 0 && time_mono() <= t + within_ns;
}

static void lease(void *arg)
{
    (void)arg;
    start();
    srv.unicast = sim_opt.seed & 1;
    CHECK(up(10 * TIME_MS));
    struct netif *n = netif_first();
    CHECK(n->mask_be == IP4_BE(255, 255, 255, 0) && n->gateway_be == SERVER);
    CHECK(n->dns_be == IP4_BE(10, 0, 2, 3));
    // Through the gateway, now.
    uint32_t src = 0;
    CHECK(ipv4_route(IP4_BE(1, 1, 1, 1), NULL, &src, NULL) == 0 && src == CLIENT);
    // Renewed from the server it came from, for as long as that answers.
    sim_settle(1801 * TIME_S);
    CHECK_EQ(srv.seen[DHCP_REQUEST], 2);
    sim_settle(10 * 1800 * TIME_S);
    CHECK_EQ(srv.seen[DHCP_REQUEST], 12);
    CHECK(srv.broadcast_requests == 0 && srv.seen[DHCP_DISCOVER] == 1);
}

static void deaf(void *arg)
{
    (void)arg;
    start();
    srv.deaf = 1 + sim_opt.seed % 3;
    int64_t t = time_mono();
    CHECK(up(30 * TIME_S));
    CHECK(time_mono() > t + 700 * TIME_MS);
    srv.no_renew = true;
    sim_settle(3500 * TIME_S);
    CHECK(srv.broadcast_requests >= 1 && up(1));
    uint32_t src = 0;
    sim_settle(101 * TIME_S); // run out
    CHECK_EQ(srv.seen[DHCP_DISCOVER] >= 2, 1);
    CHECK(up(60 * TIME_S)); // and given anew
    CHECK(ipv4_route(IP4_BE(1, 1, 1, 1), NULL, &src, NULL) == 0);
}

static void refused(void *arg)
{
    (void)arg;
    start();
    srv.nak = true;
    sim_settle(6 * TIME_S);
    CHECK(!up(1) && errno == ETIMEDOUT);
    CHECK(srv.seen[DHCP_DISCOVER] >= 3 && srv.seen[DHCP_DISCOVER] <= 12);
    srv.nak = false;
    CHECK(up(3 * TIME_S));
}

static void declined(void *arg)
{
    (void)arg;
    start();
    srv.conflict_answer = true;
    CHECK(up(10 * TIME_MS));
    sim_settle(100 * TIME_MS);
    CHECK_EQ(srv.seen[DHCP_DECLINE], 1);
    CHECK(!up(1));
    CHECK(up(10 * TIME_S));
    sim_settle(100 * TIME_S);
    CHECK_EQ(srv.seen[DHCP_DECLINE], 1);
}

static void dialler(void *arg)
{
    int *done = arg;
    struct conn *c = net_dial("udp", "10.0.2.2:9");
    CHECK(c && time_mono() > 1700 * TIME_MS); // the world begins at one second
    net_close(c);
    *done = 1;
}

static void absent(void *arg)
{
    (void)arg;
    char a[32];
    int done = 0;
    start();
    srv.mute = true;
    int64_t t = time_mono();
    CHECK(!net_dial_deadline("udp", "10.0.2.2:9", t + 100 * TIME_MS) && errno == ETIMEDOUT);
    CHECK(net_wait_up(0, a, sizeof(a)) == -1 && errno == ENETDOWN);
    CHECK(time_mono() - t >= 10 * TIME_S && time_mono() - t < 11 * TIME_S);
    CHECK(!net_dial("udp", "10.0.2.2:9") && errno == ENETUNREACH);
    // It goes on asking, ever more rarely, and is glad when an answer comes.
    sim_settle(1000 * TIME_S);
    CHECK(srv.seen[DHCP_DISCOVER] > 15 && srv.seen[DHCP_DISCOVER] < 40);
    srv.mute = false;
    sim_settle(100 * TIME_S);
    go(dialler, &done);
    sim_settle(TIME_S);
    CHECK(done && up(1));
}

// A dial at the very beginning waits for the address.
static void early(void *arg)
{
    (void)arg;
    int done = 0;
    start();
    srv.deaf = 1;
    go(dialler, &done);
    sim_settle(500 * TIME_MS);
    CHECK(!done);
    sim_settle(4 * TIME_S);
    CHECK(done);
}

static void from_cmdline(void *arg)
{
    (void)arg;
    char a[32];
    start();
    CHECK(net_wait_up(0, a, sizeof(a)) > 0 && strcmp(a, "192.168.7.9") == 0);
    struct netif *n = netif_first();
    CHECK(n->mask_be == IP4_BE(255, 255, 255, 240) && n->gateway_be == IP4_BE(192, 168, 7, 1));
    struct lossy *second = lossy_create("eth1", 1500, 0);
    CHECK(second->dev.netif->addr_be == IP4_BE(172, 16, 0, 1));
    CHECK(netif_first() == n && netif_next(n) == second->dev.netif);
    uint32_t src = 0;
    struct netif *via;
    CHECK(ipv4_route(IP4_BE(172, 16, 9, 9), &via, &src, NULL) == 0);
    CHECK(via == second->dev.netif && src == IP4_BE(172, 16, 0, 1));
    src = 0;
    CHECK(ipv4_route(IP4_BE(8, 8, 8, 8), &via, &src, NULL) == 0 && via == n);
    src = 0;
    CHECK(ipv4_route(IP4_BE(172, 16, 0, 1), &via, &src, NULL) == 0 && via->loopback);
    src = IP4_BE(9, 9, 9, 9);
    CHECK(ipv4_route(IP4_BE(8, 8, 8, 8), &via, &src, NULL) == -EADDRNOTAVAIL);
    sim_settle(10 * TIME_S);
    CHECK_EQ(srv.seen[DHCP_DISCOVER], 0);
}

// Two interfaces look for addresses; one finds one in any moment of a dial that waits for it.
static struct lossy *other;

static void find_address(void *arg)
{
    (void)arg;
    netif_configure(dev->dev.netif, IP4_BE(10, 0, 0, 1), IP4_BE(255, 255, 255, 0), 0, 0, NETIF_UP);
}

static void two_cards(void *arg)
{
    (void)arg;
    net_init();
    dev = lossy_create("eth0", 1500, 0);
    other = lossy_create("eth1", 1500, 0);
    for (int i = 0; i < 300; i++) {
        uint32_t src = 0;
        netif_configure(dev->dev.netif, 0, 0, 0, 0, NETIF_CONFIGURING);
        netif_configure(other->dev.netif, 0, 0, 0, 0, NETIF_CONFIGURING);
        int64_t t0 = time_mono();
        go(find_address, NULL);
        CHECK_EQ(ipv4_route_wait(IP4_BE(10, 0, 0, 2), &src, NULL, t0 + TIME_S), 0);
        CHECK(time_mono() - t0 < TIME_S / 2);
        CHECK_EQ(src, IP4_BE(10, 0, 0, 1));
    }
}

static void garbage(void *arg)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    static const char *const starts[] = {"\x35\x01\x02\x36\x04\x0a", "\x34\x01\x03\x35\x01\x05"};
    (void)arg;
    unsigned accepted = 0;
    for (int i = 0; i < 200000; i++) {
        uint32_t n = sim_chance(500000) ? 240 + sim_below(300) : sim_below(1472);
        uint8_t *m = malloc(n + !n); // its own object, so that reading past it is noticed
        for (uint32_t k = 0; k < n; k++)
            m[k] = sim_chance(300000) ? (uint8_t)sim_rand() : k < 240 ? 0 : (uint8_t)sim_below(70);
        if (n >= 240 && sim_chance(900000)) {
            memcpy(m, "\x02\x01\x06\x00\x12\x34\x56\x78", 8);
            memcpy(m + 28, mac, 6);
            memcpy(m + 236, "\x63\x82\x53\x63", 4);
        }
        if (n >= 246 && sim_chance(900000))
            memcpy(m + 240, starts[sim_below(2)], 6);
        struct dhcp_reply r;
        if (dhcp_parse(m, n, 0x12345678, mac, &r) && r.type != DHCP_NAK) {
            CHECK(r.renew_s <= r.rebind_s && r.rebind_s < r.lease_s && r.lease_s >= 30);
            CHECK(r.addr_be && r.server_be && (~be32(r.mask_be) & (~be32(r.mask_be) + 1)) == 0);
            accepted++;
        }
        free(m);
    }
    CHECK(accepted > 100);
}

static const struct {
    const char *name, *cmdline;
    void (*fn)(void *);
    unsigned seeds;
} cases[] = {
    {"lease", "", lease, 4},
    {"deaf", "ip=dhcp", deaf, 4},
    {"refused", "", refused, 3},
    {"declined", "", declined, 3},
    {"absent", "", absent, 3},
    {"early", "ip=nonsense", early, 2},
    {"cmdline", "ip=192.168.7.9/28 gw=192.168.7.1 ip=eth1:172.16.0.1/16", from_cmdline, 1},
    {"two_cards", "ip=none ip=eth1:none", two_cards, 4},
    {"garbage", "", garbage, 2},
};

static void run_case(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    struct sim_options o = {.seed = sim_opt.seed, .cores = 1 + sim_opt.seed % 3};
    o.cmdline = cases[i].cmdline;
    o.limit_ns = 100000 * TIME_S;
    sim_run(&o, cases[i].fn, NULL);
}

int main(int argc, char **argv)
{
    unsigned ran = 0, failed = 0;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
            continue;
        for (unsigned s = 1; s <= cases[i].seeds; s++, ran++) {
            uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : s;
            failed += !sim_case(cases[i].name, seed, 60, run_case, (void *)(uintptr_t)i);
        }
    }
    printf("%u runs of the DHCP client against a scripted server, %u failed\n", ran, failed);
    return failed != 0;
}
