// SPDX-License-Identifier: BSD-2-Clause
// The DHCP client (RFC 2131, 2132): one goroutine an interface, which acquires a lease, keeps it
// and starts over when it is lost. Messages arrive on g0 in an inbox that the goroutine waits on.
//
// The address is used from the moment it is acknowledged, and announced by a gratuitous ARP,
// rather than after a second of probing: an appliance is to answer at once. Whoever has the same
// address hears the announcement, and its answer within CONFLICT_NS makes us decline the lease
// and begin again.
#include "net/dhcp.h"

#include <errno.h>
#include <heddle/go.h>
#include <string.h>

#include "kernel/clock.h"
#include "kernel/heap.h"
#include "kernel/print.h"
#include "net/checksum.h"
#include "net/netif.h"
#include "net/wait.h"
#include "sched/park.h"
#include "sched/timer.h"

enum { SERVER_PORT = 67, CLIENT_PORT = 68, INBOX_MAX = 8 };
enum { TRIES = 7, REQUEST_TRIES = 4 };

#define GRACE_NS (10 * TIME_S) // how long callers wait for the first address
#define CONFLICT_NS (10 * TIME_S)
#define RETRY_MIN_NS (60 * TIME_S)

enum heard { HEARD_NOTHING, HEARD_MESSAGE, HEARD_CONFLICT };

struct dhcp {
    struct netif *nif;

    struct spinlock lock;
    // guard: lock
    struct gqueue waiters;
    struct pbuf *inbox, *inbox_tail;
    uint32_t inbox_n;
    bool conflict;

    // Owned by the goroutine.
    uint32_t xid;
    int64_t began_ns; // acquiring; secs counts from here
    struct dhcp_reply lease;
    int64_t acquired_ns;
};

// The inbox.

bool dhcp_input(struct netif *nif, struct pbuf *p)
{
    const struct udp_hdr *u = (const struct udp_hdr *)p->data;
    struct dhcp *d = atomic_load_explicit(&nif->dhcp, memory_order_acquire); /* pairs: NETIF-DHCP */
    if (!d || !pbuf_pull(p, sizeof(*u)) || u->dport_be != BE16(CLIENT_PORT) ||
        u->sport_be != BE16(SERVER_PORT))
        return false;
    struct g *gp = NULL;
    spin_lock(&d->lock);
    if (d->inbox_n < INBOX_MAX) {
        p->next = NULL;
        if (d->inbox_tail)
            d->inbox_tail->next = p;
        else
            d->inbox = p;
        d->inbox_tail = p;
        d->inbox_n++;
        p = NULL;
        gp = gqueue_pop(&d->waiters);
    }
    spin_unlock(&d->lock);
    if (p)
        pbuf_free(p);
    if (gp)
        goready_tail(gp);
    return true;
}

void dhcp_conflict(struct netif *nif)
{
    struct dhcp *d = atomic_load_explicit(&nif->dhcp, memory_order_acquire); /* pairs: NETIF-DHCP */
    if (!d)
        return;
    spin_lock(&d->lock);
    d->conflict = true;
    struct g *gp = gqueue_pop(&d->waiters);
    spin_unlock(&d->lock);
    if (gp)
        goready_tail(gp);
}

static struct pbuf *take_message(struct dhcp *d)
{
    struct pbuf *p = d->inbox;
    if (p) {
        d->inbox = p->next;
        if (!d->inbox)
            d->inbox_tail = NULL;
        d->inbox_n--;
    }
    return p;
}

static bool read_message(struct dhcp *d, struct pbuf *p, struct dhcp_reply *r)
{
    uint8_t msg[DHCP_MESSAGE_MAX];
    uint32_t n = p->total - (uint32_t)sizeof(struct udp_hdr);
    bool ok = n <= sizeof(msg) && pbuf_copy_out(p, sizeof(struct udp_hdr), msg, n) &&
              dhcp_parse(msg, n, d->xid, d->nif->dev->mac, r);
    pbuf_free(p);
    return ok;
}

// Waits for a message of this transaction, or a conflict, or until_ns.
static enum heard listen(struct dhcp *d, int64_t until_ns, struct dhcp_reply *r)
{
    for (;;) {
        spin_lock(&d->lock);
        while (!d->inbox && !d->conflict && clock_mono_ns() < until_ns) {
            net_wait(&d->waiters, &d->lock, until_ns, WAIT_DHCP);
            spin_lock(&d->lock);
        }
        bool conflict = d->conflict;
        d->conflict = false;
        struct pbuf *p = conflict ? NULL : take_message(d);
        spin_unlock(&d->lock);
        if (conflict)
            return HEARD_CONFLICT;
        if (!p)
            return HEARD_NOTHING;
        if (read_message(d, p, r))
            return HEARD_MESSAGE;
    }
}

static void empty_inbox(struct dhcp *d)
{
    struct pbuf *p;
    do {
        spin_lock(&d->lock);
        p = take_message(d);
        d->conflict = false;
        spin_unlock(&d->lock);
        if (p)
            pbuf_free(p);
    } while (p);
}

// Sending.

// to_be: a server's address to use our own with it, or 0 to broadcast; ciaddr_be: our address if
// we hold it.
static void send(struct dhcp *d, const struct dhcp_request *q, uint32_t to_be)
{
    struct pbuf *p = pbuf_alloc();
    if (!p)
        return;
    int64_t secs = (clock_mono_ns() - d->began_ns) / TIME_S;
    p->data += sizeof(struct udp_hdr);
    p->len = p->total = dhcp_build(p->data, d->xid, (uint16_t)MIN(secs, INT64_C(65535)),
                                   d->nif->dev->mac, q);
    uint32_t src = q->ciaddr_be, dst = to_be ? to_be : 0xffffffff;
    struct udp_hdr *u = pbuf_push(p, sizeof(*u));
    u->sport_be = BE16(CLIENT_PORT);
    u->dport_be = BE16(SERVER_PORT);
    u->len_be = be16((uint16_t)p->total);
    u->csum = 0;
    uint32_t sum = csum_pseudo(src, dst, IP_PROTO_UDP, p->total);
    uint16_t csum = csum_finish(csum_add(sum, p->data, p->len));
    u->csum = csum ? csum : 0xffff;
    if (to_be)
        ipv4_output(p, src, dst, IP_PROTO_UDP, IP_TTL_DEFAULT, false);
    else
        ipv4_broadcast(d->nif, p, src, IP_PROTO_UDP);
}

// Getting a lease.

// 1, 2, 4 ... 64 seconds, give or take a quarter, so that a house full of machines does not ask
// in step.
static int64_t patience_ns(unsigned n)
{
    int64_t ns = TIME_S << MIN(n, 6u);
    return ns * 3 / 4 + (int64_t)(net_random() % (uint64_t)(ns / 2));
}

static void stop_waiting(struct dhcp *d)
{
    if (clock_mono_ns() - d->began_ns < GRACE_NS)
        return;
    if (atomic_load_explicit(&d->nif->state, memory_order_relaxed) == NETIF_CONFIGURING) {
        klog("net: %s: no answer to DHCP yet; still asking", d->nif->dev->name);
        netif_configure(d->nif, 0, 0, 0, 0, NETIF_DOWN);
    }
}

// Waits until one of type a or b comes; false when until_ns came first.
static bool await(struct dhcp *d, int64_t until_ns, uint8_t a, uint8_t b, struct dhcp_reply *r)
{
    while (clock_mono_ns() < until_ns) {
        if (listen(d, until_ns, r) == HEARD_MESSAGE && (r->type == a || r->type == b))
            return true;
    }
    return false;
}

static bool discover(struct dhcp *d, struct dhcp_reply *offer)
{
    struct dhcp_request q = {.type = DHCP_DISCOVER};
    for (unsigned n = 0;; n++) {
        send(d, &q, 0);
        int64_t now = clock_mono_ns(), until = now + patience_ns(n);
        // The grace may end in the middle of a long silence.
        int64_t grace = d->began_ns + GRACE_NS;
        if (grace > now && grace < until && await(d, grace, DHCP_OFFER, DHCP_OFFER, offer))
            return true;
        stop_waiting(d);
        if (await(d, until, DHCP_OFFER, DHCP_OFFER, offer))
            return true;
    }
}

static bool request(struct dhcp *d, const struct dhcp_reply *offer)
{
    struct dhcp_request q = {
        .type = DHCP_REQUEST,
        .wanted_be = offer->addr_be,
        .server_be = offer->server_be,
    };
    struct dhcp_reply r;
    for (unsigned n = 0; n < REQUEST_TRIES; n++) {
        send(d, &q, 0);
        if (!await(d, clock_mono_ns() + patience_ns(n), DHCP_ACK, DHCP_NAK, &r))
            continue;
        if (r.type == DHCP_NAK)
            return false;
        d->lease = r;
        d->acquired_ns = clock_mono_ns();
        return true;
    }
    return false;
}

static void acquire(struct dhcp *d)
{
    struct dhcp_reply offer;
    d->began_ns = clock_mono_ns();
    for (;;) {
        d->xid = (uint32_t)net_random();
        empty_inbox(d);
        if (discover(d, &offer) && request(d, &offer))
            return;
        // Refused or ignored: not again at once.
        stop_waiting(d);
        time_sleep(patience_ns(0));
    }
}

static void apply(struct dhcp *d)
{
    const struct dhcp_reply *l = &d->lease;
    netif_set_mtu(d->nif, l->mtu ? l->mtu : d->nif->dev->mtu);
    netif_configure(d->nif, l->addr_be, l->mask_be, l->router_be, l->dns_be, NETIF_UP);
}

// Keeping it.

static void decline(struct dhcp *d)
{
    struct dhcp_request q = {
        .type = DHCP_DECLINE,
        .wanted_be = d->lease.addr_be,
        .server_be = d->lease.server_be,
    };
    send(d, &q, 0);
}

// Asks for an extension, the server that gave the lease until T2, then any. True: extended.
static bool renew(struct dhcp *d)
{
    int64_t t2 = d->acquired_ns + (int64_t)d->lease.rebind_s * TIME_S;
    int64_t end = d->acquired_ns + (int64_t)d->lease.lease_s * TIME_S;
    struct dhcp_reply r;
    d->xid = (uint32_t)net_random();
    d->began_ns = clock_mono_ns();
    empty_inbox(d);
    for (int64_t now; (now = clock_mono_ns()) < end;) {
        int64_t limit = now < t2 ? t2 : end;
        struct dhcp_request q = {.type = DHCP_REQUEST, .ciaddr_be = d->lease.addr_be};
        send(d, &q, now < t2 ? d->lease.server_be : 0);
        int64_t wait = MAX((limit - now) / 2, MIN(RETRY_MIN_NS, limit - now));
        if (!await(d, now + wait, DHCP_ACK, DHCP_NAK, &r))
            continue;
        if (r.type == DHCP_NAK || r.addr_be != d->lease.addr_be)
            return false;
        d->lease = r;
        d->acquired_ns = clock_mono_ns();
        return true;
    }
    return false;
}

// Returns when the lease is lost.
static void keep(struct dhcp *d)
{
    struct dhcp_reply r;
    for (;;) {
        apply(d);
        int64_t t1 = INT64_MAX;
        if (d->lease.lease_s != DHCP_FOREVER)
            t1 = d->acquired_ns + (int64_t)d->lease.renew_s * TIME_S;
        while (clock_mono_ns() < t1) {
            if (listen(d, t1, &r) == HEARD_CONFLICT &&
                clock_mono_ns() - d->acquired_ns < CONFLICT_NS) {
                decline(d);
                return;
            }
        }
        if (!renew(d))
            return;
    }
}

static void client(void *arg)
{
    struct dhcp *d = arg;
    for (;;) {
        acquire(d);
        keep(d);
        netif_configure(d->nif, 0, 0, 0, 0, NETIF_CONFIGURING);
        time_sleep(patience_ns(0));
    }
}

bool dhcp_start(struct netif *nif)
{
    struct dhcp *d = heap_zalloc(sizeof(*d));
    if (!d)
        return false;
    d->nif = nif;
    spin_init(&d->lock, LOCK_NET_MISC);
    atomic_store_explicit(&nif->dhcp, d, memory_order_release); /* pairs: NETIF-DHCP */
    if (go_system("dhcp", client, d) == 0)
        return true;
    atomic_store_explicit(&nif->dhcp, NULL, memory_order_relaxed);
    heap_free(d);
    return false;
}
