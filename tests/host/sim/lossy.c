// SPDX-License-Identifier: BSD-2-Clause
// The lossy device (lossy.h). A frame passes through three stages, each an event: lent (the
// device holds the sender's buffer, as a ring does, and checks that nobody writes to it
// meanwhile), on the wire (a copy), and received (queued for the poller, which hands it to the
// stack on some core).
#include "tests/host/sim/lossy.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/panic.h"
#include "net/checksum.h"
#include "sched/netpoll.h"
#include "tests/host/sim/sim.h"

struct flight {
    struct lossy *l;
    struct pbuf *p;
    uint32_t sum;
    struct pbuf lent; // how the buffer looked when it was lent
};

static void receive(void *arg)
{
    struct flight *f = arg;
    struct lossy *l = f->l;
    f->p->next = NULL;
    if (l->rx_tail)
        l->rx_tail->next = f->p;
    else
        l->rx_head = f->p;
    l->rx_tail = f->p;
    netpoll_mark(l->poller);
    free(f);
}

static bool lossy_poll(struct poller *pl)
{
    struct lossy *l = pl->ctx;
    unsigned budget = 1 + sim_below(64);
    while (budget--) {
        struct pbuf *p = l->rx_head;
        if (p) {
            l->rx_head = p->next;
            if (!l->rx_head)
                l->rx_tail = NULL;
            p->next = NULL;
            l->in_flight--;
        }
        if (!p)
            break;
        l->dev.input(&l->dev, p);
    }
    l->dev.input_done(&l->dev);
    return l->rx_head != NULL;
}

void lossy_inject(struct lossy *l, struct pbuf *p, int64_t delay_ns)
{
    struct flight *f = calloc(1, sizeof(*f));
    f->l = l;
    f->p = p;
    l->in_flight++;
    sim_event(sim_now() + delay_ns, receive, f);
}

// A buffer for a test's own frames is never refused.
static struct pbuf *alloc(void)
{
    unsigned ppm = sim_opt.heap_fail_ppm;
    int64_t nth = sim_opt.heap_fail_nth;
    sim_opt.heap_fail_ppm = 0;
    sim_opt.heap_fail_nth = 0;
    struct pbuf *p = pbuf_alloc();
    sim_opt.heap_fail_ppm = ppm;
    sim_opt.heap_fail_nth = nth;
    require(p);
    // A device that posts bare buffers leaves only its own header's room in front of a frame.
    if (sim_chance(500000))
        p->data = pbuf_start(p) + 12;
    return p;
}

void lossy_inject_bytes(struct lossy *l, const void *frame, uint32_t n, int64_t delay_ns)
{
    struct pbuf *p = alloc();
    require(n <= pbuf_tailroom(p));
    memcpy(p->data, frame, n);
    p->len = p->total = n;
    lossy_inject(l, p, delay_ns);
}

static void mac_of(uint8_t mac[6], uint32_t addr_be)
{
    mac[0] = 2;
    mac[1] = 0;
    memcpy(mac + 2, &addr_be, 4);
}

void lossy_inject_ip(struct lossy *l, uint32_t src_be, uint32_t dst_be, uint8_t proto,
                     const void *payload, uint32_t n, int64_t delay_ns)
{
    static uint16_t id;
    uint8_t frame[2048];
    struct eth_hdr *e = (void *)frame;
    struct ip4_hdr *ip = (void *)(e + 1);
    require(sizeof(*e) + sizeof(*ip) + n <= PBUF_SIZE - PBUF_HEADROOM - sizeof(struct pbuf));
    memcpy(e->dst, l->dev.mac, 6);
    mac_of(e->src, src_be);
    e->type_be = BE16(ETH_TYPE_IPV4);
    memset(ip, 0, sizeof(*ip));
    ip->ver_ihl = 0x45;
    ip->len_be = be16((uint16_t)(IP4_HDR_LEN + n));
    ip->id_be = be16(++id);
    ip->ttl = 64;
    ip->proto = proto;
    ip->src_be = src_be;
    ip->dst_be = dst_be;
    ip->csum = csum_finish(csum_add(0, ip, IP4_HDR_LEN));
    memcpy(ip + 1, payload, n);
    lossy_inject_bytes(l, frame, (uint32_t)(sizeof(*e) + IP4_HDR_LEN + n), delay_ns);
}

static bool mirror_arp(struct lossy *l, struct pbuf *p)
{
    struct eth_hdr *e = (void *)p->data;
    struct arp_hdr *a = (void *)(e + 1);
    if (p->len < sizeof(*e) + sizeof(*a) || a->op_be != BE16(1))
        return false;
    if (a->sender_be == 0 || a->sender_be == a->target_be)
        return false; // a probe or an announcement
    memcpy(a->target_mac, a->sender_mac, 6);
    mac_of(a->sender_mac, a->target_be);
    uint32_t t = a->target_be;
    a->target_be = a->sender_be;
    a->sender_be = t;
    a->op_be = BE16(2);
    memcpy(e->dst, l->dev.mac, 6);
    memcpy(e->src, a->sender_mac, 6);
    return true;
}

static void exchange(struct ip4_hdr *ip)
{
    uint32_t src = ip->src_be;
    ip->src_be = ip->dst_be;
    ip->dst_be = src;
}

// Turns p round; false if nobody there would answer it.
static bool mirror(struct lossy *l, struct pbuf *p)
{
    struct eth_hdr *e = (void *)p->data;
    struct ip4_hdr *ip = (void *)(e + 1);
    if (p->len >= sizeof(*e) && e->type_be == BE16(ETH_TYPE_ARP))
        return mirror_arp(l, p);
    if (p->len < sizeof(*e) + sizeof(*ip) || e->type_be != BE16(ETH_TYPE_IPV4))
        return false;
    if (ip->src_be == 0 || ip4_multicast(ip->dst_be) || ip->dst_be == 0xffffffff)
        return false;
    exchange(ip);
    memcpy(e->dst, l->dev.mac, 6);
    mac_of(e->src, ip->src_be);
    // An error quotes a packet as we received it; the peer quotes it as we sent it.
    const struct icmp_hdr *ic = (void *)(ip + 1);
    struct ip4_hdr *quoted = (void *)(ic + 1);
    if (ip->proto == IP_PROTO_ICMP && p->len >= sizeof(*e) + 2 * sizeof(*ip) + sizeof(*ic) &&
        (ic->type == ICMP_UNREACHABLE || ic->type == ICMP_TIME_EXCEEDED))
        exchange(quoted);
    return true;
}

static struct pbuf *copy_of(struct pbuf *p)
{
    struct pbuf *c = alloc();
    require(p->total <= pbuf_tailroom(c));
    require(pbuf_copy_out(p, 0, c->data, p->total));
    c->len = c->total = p->total;
    c->queue = p->queue;
    if (p->flags & PBUF_CSUM_PARTIAL) { // complete, or some corruption would go unnoticed
        uint32_t start = p->csum_start;
        uint16_t csum = csum_finish(csum_pbuf(0, c, start, c->total - start));
        memcpy(c->data + start + p->csum_offset, &csum, 2);
        c->flags |= PBUF_CSUM_OK;
    }
    return c;
}

static void deliver(struct lossy *l, struct pbuf *p)
{
    struct lossy_params *par = &l->par;
    if (sim_chance(par->loss_ppm)) {
        l->lost++;
        pbuf_free(p);
        return;
    }
    if (sim_chance(par->corrupt_ppm)) {
        // Not the addresses: those a mirror has to find again.
        uint32_t at = sim_below(p->len);
        if (p->len > 34)
            at = 34 + sim_below(p->len - 34);
        p->data[at] ^= (uint8_t)(1 << sim_below(8));
        p->flags &= (uint16_t)~PBUF_CSUM_OK;
        l->corrupted++;
    }
    int64_t when = MAX(sim_now(), l->wire_free_ns) + par->delay_ns;
    if (par->jitter_ns)
        when += (int64_t)(sim_rand() % (uint64_t)par->jitter_ns);
    when = MAX(when, l->last_ns);
    l->last_ns = when;
    if (sim_chance(par->dup_ppm)) {
        struct pbuf *d = copy_of(p);
        d->flags |= p->flags & PBUF_CSUM_OK;
        l->doubled++;
        lossy_inject(l, d, when - sim_now() + (int64_t)sim_below(1000000));
    }
    if (sim_chance(par->reorder_ppm)) {
        int64_t most = par->reorder_ns ? par->reorder_ns : 4 * par->delay_ns + 1000000;
        when += (int64_t)(sim_rand() % (uint64_t)most);
        l->reordered++;
    }
    lossy_inject(l, p, when - sim_now());
}

static uint32_t sum_of(struct pbuf *p) { return csum_pbuf(0, p, 0, p->total); }

static void return_loan(void *arg)
{
    struct flight *f = arg;
    struct lossy *l = f->l;
    struct pbuf *p = f->p, *c = NULL;
    require(p->data == f->lent.data && p->len == f->lent.len && p->total == f->lent.total);
    if (sum_of(p) != f->sum)
        throw("lossy: a buffer was written to while the device had it");
    c = copy_of(p);
    pbuf_free(p);
    free(f);
    l->in_flight--;
    l->frames++;
    if (!l->unplugged && l->hook && l->hook(l, c))
        return;
    if (l->unplugged || !l->mirror || !mirror(l, c))
        pbuf_free(c);
    else
        deliver(l, c);
}

// In one step, or frames would overtake each other on their way through the device.
static void end_of_loan(void *arg)
{
    sim_hold();
    return_loan(arg);
    sim_release();
}

static bool lossy_transmit(struct netdev *dev, struct pbuf *p, bool more)
{
    struct lossy *l = container_of(dev, struct lossy, dev);
    struct lossy_params *par = &l->par;
    (void)more;
    require(p->total >= sizeof(struct eth_hdr));
    require(p->total <= sizeof(struct eth_hdr) + dev->mtu);
    int64_t now = sim_now(), wait = l->wire_free_ns - now;
    unsigned limit = par->queue_bytes ? par->queue_bytes : 256 * 1024;
    bool full = par->rate_bps && wait > 0 && (uint64_t)wait * par->rate_bps / 8000000000ull > limit;
    if (full || sim_chance(par->full_ppm)) {
        l->overflowed++;
        pbuf_free(p);
        return false;
    }
    if (par->rate_bps)
        l->wire_free_ns = MAX(now, l->wire_free_ns) +
                          (int64_t)(p->total * 8000000000ull / par->rate_bps);
    struct flight *f = calloc(1, sizeof(*f));
    f->l = l;
    f->p = p;
    f->sum = sum_of(p);
    memcpy(&f->lent, p, sizeof(*p));
    l->in_flight++;
    int64_t done = now + (par->lend_ns ? (int64_t)(sim_rand() % (uint64_t)par->lend_ns) : 0);
    l->loan_end_ns = MAX(l->loan_end_ns, done);
    sim_event(l->loan_end_ns, end_of_loan, f);
    return true;
}

static bool lossy_link_up(struct netdev *dev)
{
    return !container_of(dev, struct lossy, dev)->unplugged;
}

struct lossy *lossy_create(const char *name, uint16_t mtu, uint32_t features)
{
    struct lossy *l = calloc(1, sizeof(*l));
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    l->mirror = true;
    l->dev.name = name;
    memcpy(l->dev.mac, mac, 6);
    l->dev.mtu = mtu;
    l->dev.features = features;
    l->dev.queues = 1;
    l->dev.transmit = lossy_transmit;
    l->dev.link_up = lossy_link_up;
    l->poller = calloc(1, sizeof(*l->poller));
    l->poller->poll = lossy_poll;
    l->poller->ctx = l;
    l->poller->name = name;
    netpoll_register(l->poller);
    netdev_register(&l->dev);
    return l;
}
