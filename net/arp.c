// SPDX-License-Identifier: BSD-2-Clause
// The neighbour cache: which Ethernet address an IPv4 address of the local wire has (RFC 826,
// 1122, 5227).
//
// An entry is looked up under one lock, LOCK_ARP, but the packets of a connection do not come
// here: they use their route cache until route_gen moves. An entry is trusted for REACHABLE_NS
// after the neighbour was last heard from; then it is stale, route_gen moves, the next packet
// finds it here, still goes out, and a question goes with it. A neighbour that does not answer is
// forgotten, and one that never answered is remembered as dead for a moment, so that senders fail
// fast.
//
// Packets kept for an unresolved neighbour stand in an array, not a list: their senders may have
// them on a list of their own through p->next.
#include <errno.h>
#include <string.h>

#include "kernel/clock.h"
#include "kernel/heap.h"
#include "kernel/preempt.h"
#include "kernel/print.h"
#include "net/netif.h"
#include "sched/timer.h"

enum { BUCKETS = 256, MAX_ENTRIES = 1024, MAX_KEPT = 62, MAX_KEPT_IN_ALL = 512 };
enum { OP_REQUEST = 1, OP_REPLY = 2 };

#define REACHABLE_NS (30 * TIME_S)
#define STALE_NS (600 * TIME_S)
#define DEAD_NS (3 * TIME_S)
#define PROBE_NS TIME_S
#define DEFEND_NS (10 * TIME_S)

// When to ask again for an address nobody has answered for yet.
static const int64_t ask_again_ns[] = {250 * TIME_MS, 500 * TIME_MS, TIME_S, TIME_S};
enum { PROBES = 3 };
// So many of the latest questions are not given up for strangers.
enum { YOUNG_QUESTIONS = 64 };

enum state {
    INCOMPLETE, // asked, no answer yet; packets wait
    REACHABLE,
    STALE,      // known, but not heard from for a while and not used since
    PROBE,      // in use again, and asked
    DEAD,       // never answered
};

struct kept {
    uint32_t n;
    struct pbuf *p[MAX_KEPT];
};

struct neigh {
    struct neigh *next;
    struct netif *nif;
    uint32_t addr_be;
    uint8_t mac[6];
    uint8_t state;
    uint8_t tries;
    bool wanted;     // looked up since it was made: a route cache may hold its address
    int64_t due_ns;  // when age() is to look at it
    int64_t used_ns; // last looked up
    uint32_t question; // which one of all it was, when INCOMPLETE
    struct kept *kept;
};

static struct spinlock lock = SPINLOCK_INIT(LOCK_ARP);
// guard: lock
static struct neigh *table[BUCKETS];
static uint32_t entries, kept_in_all, questions;
static unsigned hand; // the bucket where the next search for an entry to give up begins
static struct timer timer;
static int64_t timer_due_ns = INT64_MAX;
static int64_t defended_ns;

static struct neigh **bucket(uint32_t addr_be)
{
    return &table[(addr_be * 0x9e3779b1u) >> 24];
}

static struct neigh *find(struct netif *nif, uint32_t addr_be)
{
    struct neigh *n = *bucket(addr_be);
    while (n && (n->addr_be != addr_be || n->nif != nif))
        n = n->next;
    return n;
}

static void send(struct netif *nif, uint16_t op, const uint8_t to[6], uint32_t sender_be,
                 const uint8_t target_mac[6], uint32_t target_be)
{
    struct pbuf *p = pbuf_alloc();
    if (!p)
        return;
    p->len = p->total = ETH_MIN_PAYLOAD;
    memset(p->data, 0, ETH_MIN_PAYLOAD);
    struct arp_hdr *a = (struct arp_hdr *)p->data;
    a->hw_type_be = BE16(1);
    a->proto_type_be = BE16(ETH_TYPE_IPV4);
    a->hw_len = 6;
    a->proto_len = 4;
    a->op_be = be16(op);
    mac_copy(a->sender_mac, nif->dev->mac);
    a->sender_be = sender_be;
    mac_copy(a->target_mac, target_mac);
    a->target_be = target_be;
    uint8_t eth[ETH_HDR_LEN];
    struct eth_hdr *e = (struct eth_hdr *)eth;
    mac_copy(e->dst, to);
    mac_copy(e->src, nif->dev->mac);
    e->type_be = BE16(ETH_TYPE_ARP);
    ether_output(nif, p, eth, false);
}

static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t nobody[6];

static void ask(struct neigh *n)
{
    uint32_t ours = atomic_load_explicit(&n->nif->addr_be, memory_order_relaxed);
    send(n->nif, OP_REQUEST, n->state == PROBE ? n->mac : everybody, ours, nobody, n->addr_be);
}

void arp_announce(struct netif *nif)
{
    uint32_t ours = atomic_load_explicit(&nif->addr_be, memory_order_relaxed);
    if (ours)
        send(nif, OP_REQUEST, everybody, ours, nobody, ours);
}

static void age(void *arg);

// Under the lock. The timer may be early, never late.
static void look_at(struct neigh *n, int64_t due_ns)
{
    n->due_ns = due_ns;
    if (due_ns < timer_due_ns) {
        timer_due_ns = due_ns;
        timer_arm(&timer, due_ns, age, NULL);
    }
}

static void remove_entry(struct neigh *n)
{
    struct neigh **at = bucket(n->addr_be);
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    entries--;
}

// Under the lock: what waits for n, which is the caller's now.
static struct kept *take_kept(struct neigh *n)
{
    struct kept *k = n->kept;
    n->kept = NULL;
    kept_in_all -= k ? k->n : 0;
    return k;
}

static void drop_kept(struct kept *k)
{
    for (uint32_t i = 0; k && i < k->n; i++)
        pbuf_free(k->p[i]);
    heap_free(k);
}

// How willingly n is given up. Whoever floods us with addresses of this wire makes entries nobody
// has answered for, or that we have no use for; the neighbours we talk to must outlive them. The
// questions asked last are given the time for an answer.
static unsigned worth(const struct neigh *n)
{
    if (n->state == INCOMPLETE)
        return n->tries == 0 && questions - n->question < YOUNG_QUESTIONS;
    return n->state == DEAD ? 0 : n->wanted ? 2 : 1;
}

// The least worth entry goes, the longest unused among those in use. In a flood the search ends
// within a few buckets, and connections keep what they remember of their neighbours.
static void evict_one(void)
{
    struct neigh *out = NULL;
    for (int i = 0; i < BUCKETS && !(out && worth(out) == 0); i++) {
        hand = (hand + 1) % BUCKETS;
        for (struct neigh *n = table[hand]; n; n = n->next)
            if (!out || worth(n) < worth(out) ||
                (worth(n) == worth(out) && n->used_ns < out->used_ns))
                out = n;
    }
    remove_entry(out);
    drop_kept(take_kept(out));
    if (worth(out) == 2)
        route_changed();
    heap_free(out);
}

static struct neigh *create(struct netif *nif, uint32_t addr_be, int64_t now)
{
    if (entries >= MAX_ENTRIES)
        evict_one();
    struct neigh *n = heap_zalloc(sizeof(*n));
    if (!n)
        return NULL;
    n->nif = nif;
    n->addr_be = addr_be;
    n->used_ns = now;
    struct neigh **b = bucket(addr_be);
    n->next = *b;
    *b = n;
    entries++;
    return n;
}

static bool keep(struct neigh *n, struct pbuf *p)
{
    if (!n->kept)
        n->kept = heap_zalloc(sizeof(*n->kept));
    struct kept *k = n->kept;
    if (!k)
        return false;
    if (k->n == 0 && kept_in_all >= MAX_KEPT_IN_ALL)
        return false;
    if (k->n == MAX_KEPT || (k->n > 0 && kept_in_all >= MAX_KEPT_IN_ALL)) {
        kept_in_all--;
        pbuf_free(k->p[0]);
        memmove(&k->p[0], &k->p[1], (MAX_KEPT - 1) * sizeof(k->p[0]));
        k->n--;
    }
    k->p[k->n++] = p;
    kept_in_all++;
    return true;
}

static void header_to(struct netif *nif, const uint8_t mac[6], uint8_t eth[ETH_HDR_LEN])
{
    struct eth_hdr *e = (struct eth_hdr *)eth;
    mac_copy(e->dst, mac);
    mac_copy(e->src, nif->dev->mac);
    e->type_be = BE16(ETH_TYPE_IPV4);
}

int arp_resolve(struct netif *nif, uint32_t next_be, struct pbuf *p, uint8_t eth[ETH_HDR_LEN])
{
    int64_t now = clock_mono_ns();
    int result = 1;
    spin_lock(&lock);
    struct neigh *n = find(nif, next_be);
    bool fresh = !n;
    if (fresh)
        n = create(nif, next_be, now);
    if (!n) {
        spin_unlock(&lock);
        return -ENOBUFS;
    }
    n->used_ns = now;
    n->wanted = true;
    switch (fresh ? INCOMPLETE : n->state) {
    case INCOMPLETE:
        result = keep(n, p) ? 0 : -ENOBUFS;
        if (fresh) {
            n->question = ++questions;
            look_at(n, now + ask_again_ns[0]);
            ask(n);
        }
        break;
    case DEAD:
        result = -EHOSTUNREACH;
        break;
    case STALE:
        n->state = PROBE;
        n->tries = 1;
        look_at(n, now + PROBE_NS);
        ask(n);
        header_to(nif, n->mac, eth);
        break;
    default:
        header_to(nif, n->mac, eth);
        break;
    }
    spin_unlock(&lock);
    return result;
}

// Ageing.

// A neighbour did not answer: whoever waits for it learns of it. Context: not preemptible, no
// locks held.
static void tell_failed(struct kept *k)
{
    for (uint32_t i = 0; k && i < k->n; i++) {
        struct pbuf *p = k->p[i];
        const struct ip4_hdr *h = (const struct ip4_hdr *)p->data;
        bool first = !(h->frag_be & BE16(IP4_OFF_MASK));
        const uint8_t *transport = p->data + IP4_HDR_LEN;
        if (first && h->proto == IP_PROTO_TCP)
            tcp_icmp_error(h->src_be, h->dst_be, transport, ICMP_UNREACHABLE, ICMP_UNREACH_HOST, 0);
        else if (first && h->proto == IP_PROTO_UDP)
            udp_icmp_error(h->src_be, h->dst_be, transport, ICMP_UNREACHABLE, ICMP_UNREACH_HOST);
        pbuf_free(p);
    }
    heap_free(k);
}

// Under the lock: what is due for n now. True: n is to be removed. *failed gets packets that will
// not be sent.
static bool age_one(struct neigh *n, int64_t now, struct kept **failed)
{
    switch (n->state) {
    case INCOMPLETE:
        if (++n->tries < ARRAY_LEN(ask_again_ns)) {
            n->due_ns = now + ask_again_ns[n->tries];
            ask(n);
            return false;
        }
        n->state = DEAD;
        n->due_ns = now + DEAD_NS;
        *failed = take_kept(n);
        return false;
    case REACHABLE:
        n->state = STALE;
        n->due_ns = now + STALE_NS;
        route_changed();
        return false;
    case PROBE:
        if (n->tries++ < PROBES) {
            n->due_ns = now + PROBE_NS;
            ask(n);
            return false;
        }
        route_changed();
        return true;
    default:
        return true;
    }
}

// Context: g0. Between two buckets the lock is free. An entry that changes behind our back has
// armed the timer itself, since no time is set while we go about.
static void age(void *arg)
{
    (void)arg;
    int64_t now = clock_mono_ns(), next = INT64_MAX;
    spin_lock(&lock);
    timer_due_ns = INT64_MAX;
    spin_unlock(&lock);
    for (int b = 0; b < BUCKETS; b++) {
        struct kept *failed = NULL;
        do {
            failed = NULL;
            spin_lock(&lock);
            for (struct neigh **at = &table[b]; *at && !failed;) {
                struct neigh *n = *at;
                bool gone = n->due_ns <= now && age_one(n, now, &failed);
                next = gone ? next : MIN(next, n->due_ns);
                if (!gone) {
                    at = &n->next;
                    continue;
                }
                remove_entry(n);
                heap_free(n);
            }
            spin_unlock(&lock);
            tell_failed(failed);
        } while (failed);
    }
    spin_lock(&lock);
    if (next < timer_due_ns) {
        timer_due_ns = next;
        timer_arm(&timer, next, age, NULL);
    }
    spin_unlock(&lock);
}

void arp_flush(struct netif *nif)
{
    for (int b = 0; b < BUCKETS; b++) {
        struct neigh *gone = NULL;
        spin_lock(&lock);
        for (struct neigh **at = &table[b]; *at;) {
            struct neigh *n = *at;
            if (n->nif != nif) {
                at = &n->next;
                continue;
            }
            *at = n->next;
            entries--;
            kept_in_all -= n->kept ? n->kept->n : 0;
            n->next = gone;
            gone = n;
        }
        spin_unlock(&lock);
        while (gone) {
            struct neigh *n = gone;
            gone = n->next;
            // Sent while the interface was being configured: not lost in silence. A batch of TCP's
            // belongs to its core from beginning to end.
            preempt_disable();
            tell_failed(n->kept);
            preempt_enable();
            heap_free(n);
        }
    }
    route_changed();
}

// Input.

// What sender says about itself. Creates an entry only if it has business with us.
static void learn(struct netif *nif, uint32_t addr_be, const uint8_t mac[6], bool may_create)
{
    struct kept *ready = NULL;
    int64_t now = clock_mono_ns();
    spin_lock(&lock);
    struct neigh *n = find(nif, addr_be);
    if (!n && may_create) {
        n = create(nif, addr_be, now);
    } else if (n && n->state != INCOMPLETE && n->state != DEAD && !mac_equal(n->mac, mac)) {
        route_changed();
    }
    if (n) {
        mac_copy(n->mac, mac);
        n->state = REACHABLE;
        n->tries = 0;
        look_at(n, now + REACHABLE_NS);
        ready = take_kept(n);
    }
    spin_unlock(&lock);
    uint8_t eth[ETH_HDR_LEN];
    header_to(nif, mac, eth);
    for (uint32_t i = 0; ready && i < ready->n; i++)
        ether_output(nif, ready->p[i], eth, i + 1 < ready->n);
    heap_free(ready);
}

// Somebody else uses our address. Defended once in a while, as RFC 5227 has it, lest two of us
// shout for ever.
static void conflict(struct netif *nif, const uint8_t mac[6])
{
    int64_t now = clock_mono_ns();
    spin_lock(&lock);
    bool defend = !defended_ns || now - defended_ns > DEFEND_NS;
    if (defend)
        defended_ns = now;
    spin_unlock(&lock);
    if (defend) {
        klog("net: %s: our address is used by %02x:%02x:%02x:%02x:%02x:%02x too", nif->dev->name,
             mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
        arp_announce(nif);
    }
    dhcp_conflict(nif);
}

static bool sane(const struct arp_hdr *a)
{
    if (a->hw_type_be != BE16(1) || a->proto_type_be != BE16(ETH_TYPE_IPV4) || a->hw_len != 6 ||
        a->proto_len != 4)
        return false;
    if (a->op_be != BE16(OP_REQUEST) && a->op_be != BE16(OP_REPLY))
        return false;
    if ((a->sender_mac[0] & 1) || mac_equal(a->sender_mac, nobody))
        return false;
    return !ip4_multicast(a->sender_be) && !ip4_loopback(a->sender_be) &&
           !ipv4_is_broadcast(a->sender_be);
}

void arp_input(struct netif *nif, struct pbuf *p)
{
    const struct arp_hdr *a = (const struct arp_hdr *)p->data;
    uint32_t ours = atomic_load_explicit(&nif->addr_be, memory_order_relaxed);
    uint32_t mask = atomic_load_explicit(&nif->mask_be, memory_order_relaxed);
    if (!pbuf_pull(p, sizeof(*a)) || nif->loopback || !ours || !sane(a))
        goto done;
    if (mac_equal(a->sender_mac, nif->dev->mac))
        goto done; // our own words
    if (a->sender_be == ours) {
        conflict(nif, a->sender_mac);
        goto done;
    }
    bool for_us = a->target_be == ours;
    if (a->sender_be && ((a->sender_be ^ ours) & mask) == 0)
        learn(nif, a->sender_be, a->sender_mac, for_us);
    if (for_us && a->op_be == BE16(OP_REQUEST))
        send(nif, OP_REPLY, a->sender_mac, ours, a->sender_mac, a->sender_be);
done:
    pbuf_free(p);
}
