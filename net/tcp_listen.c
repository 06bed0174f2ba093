// SPDX-License-Identifier: BSD-2-Clause
// Listening: from a SYN to an accepted connection.
//
// A SYN makes a connection in SYN_RCVD, bounded in number for each listener; beyond that it is
// answered by a cookie and forgotten. The ACK that completes the handshake establishes the
// connection under its own lock; then, without it, the connection is put into the accept queue,
// since the listener's lock comes before. While the queue is full handshakes are not completed,
// and new SYNs are dropped: the peer tries again.
//
// A listener lives while it has references: the port table's, one for each half-open connection,
// one for each call working on it.
#include <errno.h>

#include "kernel/clock.h"
#include "kernel/heap.h"
#include "kernel/panic.h"
#include "net/tcp.h"
#include "net/wait.h"

enum { PORT_BUCKETS = 64, PORT_FIRST = 32768, PORT_COUNT = 28232 };

#define COOKIE_LIFE (140 * TIME_S)

static struct port_bucket {
    struct spinlock lock; // LOCK_NET_TABLE
    struct listener *head;
} ports[PORT_BUCKETS];

void tcp_listen_init(void)
{
    for (unsigned i = 0; i < PORT_BUCKETS; i++)
        spin_init(&ports[i].lock, LOCK_NET_TABLE);
}

void tcp_listener_put(struct listener *l)
{
    /* pairs: LISTENER-REFS */
    if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) == 1)
        heap_free(l);
}

static struct listener *find(uint32_t addr_be, uint16_t port)
{
    struct port_bucket *b = &ports[port % PORT_BUCKETS];
    spin_lock(&b->lock);
    struct listener *l = b->head;
    while (l && !(l->port == port && (!l->addr_be || l->addr_be == addr_be)))
        l = l->next;
    if (l)
        atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    spin_unlock(&b->lock);
    return l;
}

bool tcp_port_listening(uint16_t port, uint32_t addr_be)
{
    struct listener *l = find(addr_be, port);
    if (l)
        tcp_listener_put(l);
    return l != NULL;
}

static bool publish(struct listener *l)
{
    struct port_bucket *b = &ports[l->port % PORT_BUCKETS];
    spin_lock(&b->lock);
    struct listener *e = b->head;
    while (e && !(e->port == l->port && (!e->addr_be || !l->addr_be || e->addr_be == l->addr_be)))
        e = e->next;
    if (!e) {
        l->next = b->head;
        b->head = l;
    }
    spin_unlock(&b->lock);
    return !e;
}

struct listener *tcp_listen(const struct net_addr *a, int *err)
{
    if (a->addr_be && !ipv4_is_local(a->addr_be)) {
        *err = -EADDRNOTAVAIL;
        return NULL;
    }
    struct listener *l = heap_zalloc(sizeof(*l));
    if (!l) {
        *err = -ENOMEM;
        return NULL;
    }
    spin_init(&l->lock, LOCK_LISTENER);
    atomic_store_explicit(&l->refs, 1, memory_order_relaxed);
    l->addr_be = a->addr_be;
    l->port = a->port;
    bool ok;
    if (a->port) {
        ok = publish(l);
        *err = ok ? 0 : -EADDRINUSE;
    } else {
        uint32_t from = (uint32_t)net_random();
        ok = false;
        for (uint32_t i = 0; i < PORT_COUNT && !ok; i++) {
            l->port = (uint16_t)(PORT_FIRST + (from + i) % PORT_COUNT);
            ok = publish(l);
        }
        *err = ok ? 0 : -EADDRNOTAVAIL;
    }
    if (ok)
        return l;
    heap_free(l);
    return NULL;
}

struct conn *tcp_accept(struct listener *l, int *err)
{
    struct tcb *c = NULL;
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    spin_lock(&l->lock);
    for (;;) {
        *err = 0;
        if (l->closed)
            *err = -EBADF;
        else if (l->deadline_ns && clock_mono_ns() >= l->deadline_ns)
            *err = -ETIMEDOUT;
        if (*err || l->head)
            break;
        net_wait(&l->waiters, &l->lock, l->deadline_ns, WAIT_ACCEPT);
        spin_lock(&l->lock);
    }
    struct g *next = NULL;
    if (!*err) {
        c = l->head;
        l->head = c->accept_next;
        if (!l->head)
            l->tail = NULL;
        c->accept_next = NULL;
        uint32_t n = atomic_load_explicit(&l->accept_n, memory_order_relaxed);
        atomic_store_explicit(&l->accept_n, n - 1, memory_order_relaxed);
    }
    // A wake-up that this call has not made use of is somebody else's.
    if (l->head)
        next = gqueue_pop(&l->waiters);
    spin_unlock(&l->lock);
    if (next)
        goready(next);
    tcp_listener_put(l);
    return c ? &c->conn : NULL;
}

int tcp_listener_close(struct listener *l)
{
    struct port_bucket *b = &ports[l->port % PORT_BUCKETS];
    spin_lock(&b->lock);
    struct listener **at = &b->head;
    while (*at && *at != l)
        at = &(*at)->next;
    require(*at == l);
    *at = l->next;
    spin_unlock(&b->lock);

    spin_lock(&l->lock);
    l->closed = true;
    struct tcb *c = l->head;
    l->head = l->tail = NULL;
    atomic_store_explicit(&l->accept_n, 0, memory_order_relaxed);
    struct gqueue waiting = gqueue_take(&l->waiters);
    spin_unlock(&l->lock);
    net_wake_all(&waiting);
    while (c) {
        struct gqueue wake = {0};
        struct tcb *next = c->accept_next;
        spin_lock(&c->lock);
        c->accept_next = NULL;
        c->flags &= (uint16_t)~TF_USER;
        if (c->state != TCP_CLOSED)
            tcb_abort(c, ECONNRESET, clock_mono_ns(), &wake);
        tcb_put_unlock(c);
        c = next;
    }
    tcp_listener_put(l);
    return 0;
}

void tcp_listener_addr(struct listener *l, struct net_addr *out)
{
    out->addr_be = l->addr_be;
    out->port = l->port;
}

void tcp_listener_set_deadline(struct listener *l, int64_t when_ns)
{
    spin_lock(&l->lock);
    l->deadline_ns = when_ns;
    struct gqueue waiting = gqueue_take(&l->waiters);
    spin_unlock(&l->lock);
    net_wake_all(&waiting);
}

bool tcp_listen_has_room(struct listener *l)
{
    return atomic_load_explicit(&l->accept_n, memory_order_relaxed) < TCP_BACKLOG;
}

void tcp_listen_syn_done(struct listener *l)
{
    atomic_fetch_sub_explicit(&l->syn_n, 1, memory_order_relaxed);
}

// Puts c into the accept queue; false if l is closed. Gives up a reference of l.
static bool enqueue(struct listener *l, struct tcb *c)
{
    struct g *gp = NULL;
    spin_lock(&l->lock);
    bool closed = l->closed;
    if (!closed) {
        c->accept_next = NULL;
        if (l->tail)
            l->tail->accept_next = c;
        else
            l->head = c;
        l->tail = c;
        uint32_t n = atomic_load_explicit(&l->accept_n, memory_order_relaxed);
        atomic_store_explicit(&l->accept_n, n + 1, memory_order_relaxed);
        gp = gqueue_pop(&l->waiters);
    }
    spin_unlock(&l->lock);
    tcp_listener_put(l);
    if (gp)
        goready_tail(gp);
    return !closed;
}

void tcp_listen_deliver(struct listener *l, struct tcb *c, int64_t now_ns)
{
    struct gqueue wake = {0};
    bool taken = enqueue(l, c);
    // The peer asked for a port, not for a handle: who listens there by now may have it.
    while (!taken && (l = find(c->laddr_be, c->lport)) != NULL)
        taken = enqueue(l, c);
    spin_lock(&c->lock);
    if (!taken) {
        c->refs--; // the accept queue's; the caller's is left
        c->flags &= (uint16_t)~TF_USER;
        if (c->state != TCP_CLOSED)
            tcb_abort(c, ECONNRESET, now_ns, &wake);
    }
    tcb_put_unlock(c);
    tcp_wake(&wake);
}

static void answer_with_cookie(struct listener *l, const struct tcp_seg *s)
{
    uint8_t opts[4 + TCP_TS_LEN + 8], *o = opts;
    uint32_t iss, ts_off, src_be = s->dst_be;
    uint16_t mtu = 1500;
    ipv4_route(s->src_be, NULL, &src_be, &mtu);
    uint16_t mss = (uint16_t)(mtu - IP4_HDR_LEN - TCP_HDR_LEN);
    *o++ = 2;
    *o++ = 4;
    *o++ = (uint8_t)(mss >> 8);
    *o++ = (uint8_t)mss;
    if (s->has_ts && (tcp_offer & TF_TS)) {
        tcp_first_numbers(s->dst_be, s->dport, s->src_be, s->sport, s->now_ns, &iss, &ts_off);
        uint32_t ts = tcp_cookie_ts(s, (uint32_t)(s->now_ns >> 20) + ts_off);
        o = tcp_put_ts(o, ts, s->ts_val);
        if (s->has_sack_ok && (tcp_offer & TF_SACK)) {
            *o++ = 1;
            *o++ = 1;
            *o++ = 4;
            *o++ = 2;
        }
        if (s->scale >= 0 && (tcp_offer & TF_SCALE)) {
            *o++ = 1;
            *o++ = 3;
            *o++ = 3;
            *o++ = TCP_RCV_SCALE;
        }
    }
    atomic_store_explicit(&l->cookies_ns, s->now_ns, memory_order_relaxed);
    tcp_count(TCP_COOKIES_SENT);
    tcp_send_bare(s, tcp_cookie_make(s), s->seq + 1, TH_SYN | TH_ACK, 0xffff, opts,
                  (unsigned)(o - opts));
}

// A half-open connection as the peer's SYN asks for it, not in the table yet. It takes over a
// reference of l.
static struct tcb *half_open(struct listener *l, struct tcp_seg *s)
{
    struct tcb *c = tcb_new(s->dst_be, s->dport, s->src_be, s->sport, s->hash);
    if (!c)
        return NULL;
    c->state = TCP_SYN_RCVD;
    c->listener = l;
    atomic_fetch_add_explicit(&l->syn_n, 1, memory_order_relaxed);
    uint32_t iss;
    tcp_first_numbers(c->laddr_be, c->lport, c->raddr_be, c->rport, s->now_ns, &iss, &c->ts_off);
    c->snd_una = iss;
    c->snd_nxt = c->snd_end = iss + 1;
    c->flags = tcp_offer;
    tcp_take_syn_options(c, s);
    return c;
}

// One that never came into the table.
static void forget(struct tcb *c)
{
    struct listener *l = c->listener;
    c->listener = NULL;
    tcp_listen_syn_done(l);
    tcp_listener_put(l);
    c->state = TCP_CLOSED;
    tcb_put_unlock(c);
}

static void syn_received(struct listener *l, struct tcp_seg *s, bool reuse, uint32_t iss_after)
{
    if (!tcp_listen_has_room(l)) {
        tcp_count(TCP_ACCEPT_OVERFLOWS);
        tcp_listener_put(l);
        return;
    }
    if (atomic_load_explicit(&l->syn_n, memory_order_relaxed) >= TCP_SYN_QUEUE) {
        answer_with_cookie(l, s);
        tcp_listener_put(l);
        return;
    }
    struct tcb *c = half_open(l, s);
    if (!c) {
        tcp_listener_put(l);
        return;
    }
    if (reuse && seq_leq(c->snd_una, iss_after)) {
        c->snd_una = iss_after + 0x20000; // beyond any window of the last connection
        c->snd_nxt = c->snd_end = c->snd_una + 1;
    }
    spin_lock(&c->lock);
    if (!tcp_table_insert(c)) {
        forget(c);
        return;
    }
    tcp_send_syn(c, s->now_ns);
    c->rexmt_ns = s->now_ns + c->rto_ns;
    tcp_timer_need(c, c->rexmt_ns);
    tcb_unlock(c);
}

// Takes p. The listener's reference is given up.
static void cookie_received(struct listener *l, struct tcp_seg *s, struct pbuf *p)
{
    int64_t sent_ns = atomic_load_explicit(&l->cookies_ns, memory_order_relaxed);
    struct tcb *c = NULL;
    if (sent_ns && s->now_ns - sent_ns < COOKIE_LIFE && !(s->flags & TH_FIN)) {
        if (!tcp_cookie_check(s)) {
            tcp_count(TCP_COOKIES_BAD);
            if (s->len) { // its first segment may have been lost, and will come again
                tcp_listener_put(l);
                pbuf_free(p);
                return;
            }
        } else if (!tcp_listen_has_room(l) || !(c = half_open(l, s))) {
            tcp_listener_put(l);
            pbuf_free(p); // the peer sends its data again
            return;
        }
    }
    if (!c) {
        tcp_send_rst_for(s);
        tcp_listener_put(l);
        pbuf_free(p);
        return;
    }
    tcp_count(TCP_COOKIES_GOOD);
    c->snd_una = s->ack - 1;
    c->snd_nxt = c->snd_end = s->ack;
    c->rcv_nxt = c->rcv_acked = s->seq;
    c->rcv_adv = s->seq + 0xffff;
    c->snd_wl1 = s->seq - 1;
    spin_lock(&c->lock);
    if (!tcp_table_insert(c)) {
        forget(c);
        pbuf_free(p);
        return;
    }
    // Should the accept queue fill up in this moment, our SYN goes out again as for the others.
    c->rexmt_ns = s->now_ns + c->rto_ns;
    tcp_timer_need(c, c->rexmt_ns);
    tcp_conn_input(c, p, s);
}

void tcp_listen_input(struct tcp_seg *s, struct pbuf *p, bool reuse, uint32_t iss_after)
{
    uint8_t kind = s->flags & (TH_SYN | TH_ACK | TH_RST | TH_FIN);
    bool odd = ip4_multicast(s->src_be) || s->src_be == 0 || s->src_be == UINT32_MAX ||
               (s->src_be == s->dst_be && s->sport == s->dport);
    if ((kind & TH_RST) || odd) {
        pbuf_free(p);
        return;
    }
    struct listener *l = kind == TH_SYN || (kind & (TH_SYN | TH_ACK)) == TH_ACK ?
                         find(s->dst_be, s->dport) : NULL;
    if (!l) {
        tcp_send_rst_for(s);
        pbuf_free(p);
    } else if (kind == TH_SYN) {
        pbuf_free(p); // data in a SYN is not acknowledged, so it comes again
        syn_received(l, s, reuse, iss_after);
    } else {
        cookie_received(l, s, p);
    }
}
