// SPDX-License-Identifier: BSD-2-Clause
// IPv4: input checks and dispatch, routing, output. No lock of its own: interfaces are read as
// atomics, the neighbour cache has its lock (arp.c), and a connection that caches its route takes
// neither.
//
// Routing is what a host with a few interfaces needs: our own addresses by loopback, then the
// interface whose subnet matches longest, then a gateway. An address of ours is accepted on any
// interface.
#include <errno.h>
#include <string.h>

#include "kernel/clock.h"
#include "net/checksum.h"
#include "net/netif.h"

// In front of a transport header: IPv4, Ethernet, and what a device wants.
#define LINK_HEADROOM (IP4_HDR_LEN + ETH_HDR_LEN + 30)

enum { OPT_END = 0, OPT_NOP = 1, OPT_LSRR = 131, OPT_SSRR = 137 };

static inline uint32_t nif_addr(struct netif *n)
{
    return atomic_load_explicit(&n->addr_be, memory_order_relaxed);
}

static inline uint32_t nif_mask(struct netif *n)
{
    return atomic_load_explicit(&n->mask_be, memory_order_relaxed);
}

static inline uint32_t nif_gateway(struct netif *n)
{
    return atomic_load_explicit(&n->gateway_be, memory_order_relaxed);
}

bool ipv4_is_local(uint32_t addr_be)
{
    if (ip4_loopback(addr_be))
        return true;
    if (addr_be == 0)
        return false;
    for (struct netif *n = netif_first(); n; n = netif_next(n))
        if (nif_addr(n) == addr_be)
            return true;
    return false;
}

static bool broadcast_on(struct netif *n, uint32_t addr_be)
{
    uint32_t a = nif_addr(n), m = nif_mask(n);
    if (addr_be == 0xffffffff)
        return true;
    // A prefix of 31 or 32 bits has no broadcast address.
    return a && !n->loopback && be32(m) < 0xfffffffe && addr_be == (a | ~m);
}

bool ipv4_is_broadcast(uint32_t addr_be)
{
    for (struct netif *n = netif_first(); n; n = netif_next(n))
        if (broadcast_on(n, addr_be))
            return true;
    return false;
}

// Routing.

struct route {
    struct netif *nif;
    uint32_t next_be; // the neighbour
    uint32_t src_be;
};

static struct netif *loopback_netif(void) { return loopback_dev.netif; }

// src_be: an address of ours to prefer, 0 for any.
static bool find_route(uint32_t dst_be, uint32_t src_be, struct route *r)
{
    if (ipv4_is_local(dst_be)) {
        r->nif = loopback_netif();
        r->next_be = dst_be;
        r->src_be = src_be ? src_be : dst_be;
        return r->nif != NULL;
    }
    struct netif *best = NULL;
    uint32_t best_mask = 0, best_rank = 0;
    for (struct netif *n = netif_first(); n; n = netif_next(n)) {
        uint32_t a = nif_addr(n), mask = be32(nif_mask(n)), rank = 0;
        if (!a || n->loopback)
            continue;
        bool ours = a == src_be;
        if (dst_be == 0xffffffff || ip4_multicast(dst_be))
            rank = 1 + ours;
        else if (((a ^ dst_be) & nif_mask(n)) == 0)
            rank = 4 + ours;
        else if (nif_gateway(n))
            rank = 1 + ours;
        if (rank > best_rank || (rank == best_rank && rank && mask > best_mask)) {
            best = n;
            best_rank = rank;
            best_mask = mask;
        }
    }
    if (!best)
        return false;
    bool direct = best_rank >= 4 || dst_be == 0xffffffff || ip4_multicast(dst_be);
    r->nif = best;
    r->next_be = direct ? dst_be : nif_gateway(best);
    r->src_be = src_be ? src_be : nif_addr(best);
    return true;
}

int ipv4_route(uint32_t dst_be, struct netif **nif, uint32_t *src_be, uint16_t *mtu)
{
    struct route r;
    if (*src_be && !ipv4_is_local(*src_be))
        return -EADDRNOTAVAIL;
    if (dst_be == 0 || !find_route(dst_be, *src_be, &r))
        return -ENETUNREACH;
    *src_be = r.src_be;
    if (nif)
        *nif = r.nif;
    if (mtu)
        *mtu = r.nif->mtu;
    return 0;
}

int ipv4_route_wait(uint32_t dst_be, uint32_t *src_be, uint16_t *mtu, int64_t deadline_ns)
{
    for (;;) {
        /* pairs: ROUTE-GEN */
        uint32_t gen = atomic_load_explicit(&route_gen, memory_order_acquire);
        int err = ipv4_route(dst_be, NULL, src_be, mtu);
        if (err == 0 || !netif_configuring())
            return err;
        if (!netif_wait_configured(gen, deadline_ns))
            return -ETIMEDOUT;
    }
}

// Output.

// The sum of a header without options, from its fields in registers.
static inline uint16_t header_csum(const struct ip4_hdr *h, uint32_t src_be, uint32_t dst_be)
{
    uint64_t s = (uint64_t)src_be + dst_be + BE16(0x4500) + h->len_be + h->id_be + h->frag_be;
    s += be16((uint16_t)(h->ttl << 8 | h->proto));
    s = (s >> 32) + (s & 0xffffffff);
    return csum_finish((uint32_t)((s >> 32) + s));
}

// Puts the header in front. id is in host order, frag holds flags and offset.
static inline void write_header(struct pbuf *p, uint32_t src_be, uint32_t dst_be, uint8_t proto,
                                uint8_t ttl, uint16_t id, uint16_t frag)
{
    struct ip4_hdr *h = pbuf_push(p, IP4_HDR_LEN);
    h->ver_ihl = 0x45;
    h->tos = 0;
    h->len_be = be16((uint16_t)p->total);
    h->id_be = be16(id);
    h->frag_be = be16(frag);
    h->ttl = ttl;
    h->proto = proto;
    h->src_be = src_be;
    h->dst_be = dst_be;
    h->csum = header_csum(h, src_be, dst_be);
    if (p->flags & PBUF_CSUM_PARTIAL)
        p->csum_start += IP4_HDR_LEN;
}

// Completes the transport's checksum; p->data at its header.
static void complete_csum(struct pbuf *p)
{
    uint32_t start = p->csum_start, n = p->total - start;
    uint16_t csum = csum_finish(csum_pbuf(0, p, start, n));
    // An all-zero UDP checksum would say that there is none; for TCP both mean the same.
    if (csum == 0)
        csum = 0xffff;
    __builtin_memcpy(p->data + start + p->csum_offset, &csum, 2);
    p->flags &= (uint16_t)~PBUF_CSUM_PARTIAL;
}

// Broadcast and multicast need no neighbour.
static bool group_header(struct netif *nif, uint32_t next_be, uint8_t eth[ETH_HDR_LEN])
{
    struct eth_hdr *e = (struct eth_hdr *)eth;
    if (nif->loopback) {
        memset(e->dst, 0, 6);
    } else if (broadcast_on(nif, next_be)) {
        memset(e->dst, 0xff, 6);
    } else if (ip4_multicast(next_be)) {
        uint32_t g = be32(next_be);
        const uint8_t mac[6] = {1, 0, 0x5e, g >> 16 & 0x7f, g >> 8 & 0xff, g & 0xff};
        mac_copy(e->dst, mac);
    } else {
        return false;
    }
    mac_copy(e->src, nif->dev->mac);
    e->type_be = BE16(ETH_TYPE_IPV4);
    return true;
}

// p->data at the IP header. Fills rc, unless that is NULL, when the neighbour is known.
static int send_to_neighbour(struct route *r, struct pbuf *p, bool more, struct route_cache *rc,
                             uint32_t gen)
{
    uint8_t eth[ETH_HDR_LEN];
    if (!group_header(r->nif, r->next_be, eth)) {
        int known = arp_resolve(r->nif, r->next_be, p, eth);
        if (known <= 0) {
            if (known < 0)
                pbuf_free(p);
            return known;
        }
    }
    if (rc) {
        rc->gen = gen;
        rc->nif = r->nif;
        rc->mtu = r->nif->mtu;
        __builtin_memcpy(rc->eth, eth, ETH_HDR_LEN);
    }
    return ether_output(r->nif, p, eth, more) ? 0 : -ENOBUFS;
}

// Cuts p, data at the transport header, into fragments. Rare, so it copies.
static int send_fragments(struct route *r, struct pbuf *p, uint32_t dst_be, uint8_t proto,
                          uint8_t ttl, bool more)
{
    uint32_t step = (r->nif->mtu - IP4_HDR_LEN) & ~7u, total = p->total;
    uint16_t id = (uint16_t)atomic_fetch_add_explicit(&r->nif->ip_id, 1, memory_order_relaxed);
    int err = 0;
    for (uint32_t off = 0; off < total && !err; off += step) {
        uint32_t n = MIN(step, total - off);
        struct pbuf *f = pbuf_alloc();
        if (!f || n > pbuf_tailroom(f)) {
            if (f)
                pbuf_free(f);
            err = -ENOBUFS;
            break;
        }
        pbuf_copy_out(p, off, f->data, n);
        f->len = f->total = n;
        f->queue = p->queue;
        bool last = off + n == total;
        write_header(f, r->src_be, dst_be, proto, ttl, id,
                     (uint16_t)(off / 8 | (last ? 0 : IP4_FLAG_MF)));
        err = send_to_neighbour(r, f, more || !last, NULL, 0);
    }
    pbuf_free(p);
    return err;
}

// p alone in one buffer with room for every header in front; NULL: no memory, p is gone.
static struct pbuf *flatten(struct pbuf *p)
{
    if (likely(!p->chain && pbuf_headroom(p) >= LINK_HEADROOM))
        return p;
    struct pbuf *c = pbuf_alloc();
    if (c && pbuf_copy_out(p, 0, c->data, p->total)) {
        c->len = c->total = p->total;
        c->flags = p->flags;
        c->csum_start = p->csum_start;
        c->csum_offset = p->csum_offset;
        c->queue = p->queue;
    }
    pbuf_free(p);
    return c;
}

static int output(struct route_cache *rc, struct pbuf *p, uint32_t src_be, uint32_t dst_be,
                  uint8_t proto, uint8_t ttl, bool more)
{
    struct route r;
    uint32_t gen = atomic_load_explicit(&route_gen, memory_order_acquire); /* pairs: ROUTE-GEN */
    if (p->total > 65535 - IP4_HDR_LEN) {
        pbuf_free(p);
        return -EMSGSIZE;
    }
    if (!find_route(dst_be, src_be, &r)) {
        pbuf_free(p);
        return -ENETUNREACH;
    }
    bool fits = p->total + IP4_HDR_LEN <= r.nif->mtu;
    bool whole = proto == IP_PROTO_TCP || (p->flags & PBUF_DONT_FRAGMENT);
    if (!fits && whole) {
        pbuf_free(p);
        return -EMSGSIZE;
    }
    if ((p->flags & PBUF_CSUM_PARTIAL) && (!fits || !(r.nif->dev->features & NETDEV_TX_CSUM)))
        complete_csum(p);
    if (!fits)
        return send_fragments(&r, p, dst_be, proto, ttl, more);
    p = flatten(p);
    if (!p)
        return -ENOBUFS;
    uint16_t id = 0;
    if (!whole)
        id = (uint16_t)atomic_fetch_add_explicit(&r.nif->ip_id, 1, memory_order_relaxed);
    write_header(p, r.src_be, dst_be, proto, ttl, id, whole ? IP4_FLAG_DF : 0);
    return send_to_neighbour(&r, p, more, rc, gen);
}

int ipv4_output(struct pbuf *p, uint32_t src_be, uint32_t dst_be, uint8_t proto, uint8_t ttl,
                bool more)
{
    return output(NULL, p, src_be, dst_be, proto, ttl, more);
}

int ipv4_output_cached(struct route_cache *rc, struct pbuf *p, uint32_t src_be, uint32_t dst_be,
                       uint8_t proto, uint8_t ttl, bool more)
{
    uint32_t gen = atomic_load_explicit(&route_gen, memory_order_acquire); /* pairs: ROUTE-GEN */
    bool whole = proto == IP_PROTO_TCP || (p->flags & PBUF_DONT_FRAGMENT);
    if (unlikely(rc->gen != gen || p->total + IP4_HDR_LEN > rc->mtu))
        return output(rc, p, src_be, dst_be, proto, ttl, more);
    if ((p->flags & PBUF_CSUM_PARTIAL) && !(rc->nif->dev->features & NETDEV_TX_CSUM))
        complete_csum(p);
    uint16_t id = 0;
    if (!whole)
        id = (uint16_t)atomic_fetch_add_explicit(&rc->nif->ip_id, 1, memory_order_relaxed);
    write_header(p, src_be, dst_be, proto, ttl, id, whole ? IP4_FLAG_DF : 0);
    return ether_output(rc->nif, p, rc->eth, more) ? 0 : -ENOBUFS;
}

int ipv4_broadcast(struct netif *nif, struct pbuf *p, uint32_t src_be, uint8_t proto)
{
    struct route r = {nif, 0xffffffff, src_be};
    uint16_t id = (uint16_t)atomic_fetch_add_explicit(&nif->ip_id, 1, memory_order_relaxed);
    write_header(p, src_be, 0xffffffff, proto, IP_TTL_DEFAULT, id, 0);
    return send_to_neighbour(&r, p, false, NULL, 0);
}

// Input.

// Packets that say by which way they want to travel are an attack nowadays.
static bool source_routed(const uint8_t *opt, uint32_t n)
{
    for (uint32_t i = 0; i < n && opt[i] != OPT_END;) {
        if (opt[i] == OPT_LSRR || opt[i] == OPT_SSRR)
            return true;
        if (opt[i] == OPT_NOP) {
            i++;
            continue;
        }
        if (i + 1 >= n || opt[i + 1] < 2)
            return true; // malformed
        i += opt[i + 1];
    }
    return false;
}

// Whether a header's checksum is right; nearly all have no options.
static inline bool header_ok(const uint8_t *h, uint32_t hlen)
{
    uint64_t a, b;
    uint32_t c;
    if (unlikely(hlen != IP4_HDR_LEN))
        return csum_fold(csum_add(0, h, hlen)) == 0xffff;
    __builtin_memcpy(&a, h, 8);
    __builtin_memcpy(&b, h + 8, 8);
    __builtin_memcpy(&c, h + 16, 4);
    a = (a >> 32) + (a & 0xffffffff) + (b >> 32) + (b & 0xffffffff) + c;
    a = (a >> 32) + (a & 0xffffffff);
    return csum_fold((uint32_t)((a >> 32) + a)) == 0xffff;
}

// Checks the header and cuts off what Ethernet added; returns the header's length, 0 if p is to
// be dropped.
static uint32_t check_header(struct netif *nif, struct pbuf *p)
{
    if (unlikely(!pbuf_pull(p, IP4_HDR_LEN)))
        return 0;
    const struct ip4_hdr *h = (const struct ip4_hdr *)p->data;
    uint32_t hlen = 4 * (h->ver_ihl & 15u), total = be16(h->len_be);
    if (unlikely(h->ver_ihl != 0x45)) {
        if (h->ver_ihl >> 4 != 4 || hlen < IP4_HDR_LEN || !pbuf_pull(p, hlen))
            return 0;
        if (source_routed(p->data + IP4_HDR_LEN, hlen - IP4_HDR_LEN))
            return 0;
    }
    if (total < hlen || total > p->total)
        return 0;
    if (!header_ok(p->data, hlen))
        return 0;
    // No source is a group, and from a wire none is one of ours.
    uint32_t src = h->src_be;
    if (ip4_multicast(src) || src == 0xffffffff)
        return 0;
    if (!nif->loopback && (ip4_loopback(src) || ip4_loopback(h->dst_be) || broadcast_on(nif, src) ||
                           (src && src == nif_addr(nif))))
        return 0;
    if (p->total > total)
        pbuf_trim(p, total);
    return hlen;
}

static void dispatch(struct netif *nif, struct pbuf *p, uint32_t hlen, const struct ip4_hdr *h)
{
    uint32_t src = h->src_be, dst = h->dst_be;
    bool group = (p->flags & PBUF_BROADCAST) || broadcast_on(nif, dst) || ip4_multicast(dst);
    int code = ICMP_UNREACH_PROTO;
    switch (h->proto) {
    case IP_PROTO_TCP:
        if (unlikely(group || src == 0))
            break;
        tcp_input(nif, p, src, dst);
        return;
    case IP_PROTO_UDP:
        if (udp_input(nif, p, src, dst))
            return;
        code = ICMP_UNREACH_PORT;
        break;
    case IP_PROTO_ICMP:
        icmp_input(nif, p, src, dst);
        return;
    default:
        break;
    }
    if (!group && src && h->proto != IP_PROTO_TCP) {
        pbuf_push(p, hlen);
        icmp_send_error(p, ICMP_UNREACHABLE, (uint8_t)code, 0);
    }
    pbuf_free(p);
}

void ipv4_input(struct netif *nif, struct pbuf *p)
{
    uint32_t hlen = check_header(nif, p);
    const struct ip4_hdr *h = (const struct ip4_hdr *)p->data;
    if (unlikely(!hlen)) {
        atomic_fetch_add_explicit(&nif->dev->rx_dropped, 1, memory_order_relaxed);
        pbuf_free(p);
        return;
    }
    uint32_t dst = h->dst_be;
    if (unlikely(dst != nif_addr(nif) && !broadcast_on(nif, dst) && !ipv4_is_local(dst))) {
        // A DHCP server may address us by the address that it is only offering.
        if (h->proto == IP_PROTO_UDP && !(h->frag_be & BE16(IP4_FLAG_MF | IP4_OFF_MASK))) {
            pbuf_drop_front(p, hlen);
            if (udp_sound(p, h->src_be, dst) && dhcp_input(nif, p))
                return;
        }
        pbuf_free(p);
        return;
    }
    if (unlikely(h->frag_be & BE16(IP4_FLAG_MF | IP4_OFF_MASK))) {
        p = ipv4_reassemble(p, h, hlen);
        if (!p)
            return;
        // Now the first fragment's: its header still stands in front of its data.
        hlen = p->csum_start;
        h = (const struct ip4_hdr *)(p->data - hlen);
    } else {
        pbuf_drop_front(p, hlen);
    }
    dispatch(nif, p, hlen, h);
}
