// SPDX-License-Identifier: BSD-2-Clause
// UDP: sockets that receive from anybody (net_listen_packet) and dialled ones (net_dial "udp").
//
// Sockets stand in a table by local port; a bucket's lock guards its list and is held while a
// reference is taken, so that input never touches a freed socket. A socket's own lock guards its
// queue and its waiters. Order: a socket's lock (LOCK_CONN) before a bucket's (LOCK_NET_HASH); in
// fact they are never nested.
#include <errno.h>
#include <string.h>

#include "kernel/clock.h"
#include "kernel/heap.h"
#include "kernel/panic.h"
#include "net/checksum.h"
#include "net/netif.h"
#include "net/socket.h"
#include "net/wait.h"

enum {
    BUCKETS = 1024,
    RX_BUFFERS_MAX = 512, // waiting in one socket; more are dropped
    UDP_MAX = 65507,
    PORT_LO = 32768, // for sockets that do not care
    PORT_HI = 60999,
};

struct packet_conn {
    struct conn conn; // first: a dialled socket is a struct conn
    _Atomic(uint32_t) refs; // the handle, and each call in progress. pairs: UDP-REFS

    // Set before the socket is in the table.
    uint32_t laddr_be, raddr_be; // 0: any
    uint16_t lport, rport;

    struct packet_conn *hash_next; // guard: the bucket's lock

    struct spinlock lock;
    // guard: lock
    struct pbuf *rx_head, *rx_tail; // the sender's address in seq, its port in seg_len
    uint32_t rx_buffers;
    struct gqueue readers;
    int64_t read_deadline_ns, write_deadline_ns;
    int error; // from ICMP, for the next call
    bool closed;
    struct route_cache rc; // to rc_dst_be, from rc_src_be
    uint32_t rc_dst_be, rc_src_be;
};

struct bucket {
    struct spinlock lock;
    struct packet_conn *head; // guard: lock
};

static struct bucket table[BUCKETS];

static struct bucket *bucket_of(uint16_t port) { return &table[port % BUCKETS]; }

void udp_init(void)
{
    for (int i = 0; i < BUCKETS; i++)
        spin_init(&table[i].lock, LOCK_NET_HASH);
}

// References.

static void hold(struct packet_conn *pc)
{
    atomic_fetch_add_explicit(&pc->refs, 1, memory_order_relaxed);
}

static uint32_t buffers_of(const struct pbuf *p)
{
    uint32_t n = 0;
    for (; p; p = p->chain)
        n++;
    return n;
}

static void release(struct packet_conn *pc)
{
    uint32_t before = atomic_fetch_sub_explicit(&pc->refs, 1, memory_order_acq_rel);
    /* pairs: UDP-REFS */
    require(before != 0);
    if (before != 1)
        return;
    while (pc->rx_head) {
        struct pbuf *p = pc->rx_head;
        pc->rx_head = p->next;
        pbuf_free(p);
    }
    heap_free(pc);
}

// The table.

// Whether two sockets of one port could both want a datagram.
static bool overlap(const struct packet_conn *a, const struct packet_conn *b)
{
    return a->lport == b->lport &&
           (!a->laddr_be || !b->laddr_be || a->laddr_be == b->laddr_be);
}

static bool try_insert(struct packet_conn *pc)
{
    struct bucket *b = bucket_of(pc->lport);
    spin_lock(&b->lock);
    struct packet_conn *o = b->head;
    while (o && !overlap(o, pc))
        o = o->hash_next;
    if (!o) {
        pc->hash_next = b->head;
        b->head = pc;
    }
    spin_unlock(&b->lock);
    return !o;
}

static int insert(struct packet_conn *pc)
{
    if (pc->lport)
        return try_insert(pc) ? 0 : -EADDRINUSE;
    uint32_t n = PORT_HI - PORT_LO + 1, start = (uint32_t)(net_random() % n);
    for (uint32_t i = 0; i < n; i++) {
        pc->lport = (uint16_t)(PORT_LO + (start + i) % n);
        if (try_insert(pc))
            return 0;
    }
    return -EADDRNOTAVAIL;
}

static void remove_socket(struct packet_conn *pc)
{
    struct bucket *b = bucket_of(pc->lport);
    spin_lock(&b->lock);
    struct packet_conn **at = &b->head;
    while (*at != pc)
        at = &(*at)->hash_next;
    *at = pc->hash_next;
    spin_unlock(&b->lock);
}

// How well a datagram from src:sport to dst:dport fits; 0: not at all.
static int fit(const struct packet_conn *pc, uint32_t src_be, uint16_t sport, uint32_t dst_be,
               uint16_t dport)
{
    int score = 1;
    if (pc->lport != dport || (pc->laddr_be && pc->laddr_be != dst_be))
        return 0;
    if (pc->rport && (pc->raddr_be != src_be || pc->rport != sport))
        return 0;
    if (pc->laddr_be)
        score += 1;
    if (pc->rport)
        score += 2;
    return score;
}

// With a reference.
static struct packet_conn *find(uint32_t src_be, uint16_t sport, uint32_t dst_be, uint16_t dport)
{
    struct packet_conn *best = NULL;
    int best_score = 0;
    struct bucket *b = bucket_of(dport);
    spin_lock(&b->lock);
    for (struct packet_conn *pc = b->head; pc; pc = pc->hash_next) {
        int score = fit(pc, src_be, sport, dst_be, dport);
        if (score > best_score) {
            best = pc;
            best_score = score;
        }
    }
    if (best)
        hold(best);
    spin_unlock(&b->lock);
    return best;
}

// Input.

// Queues p or drops it, and wakes one reader. Context: g0.
static void deliver(struct packet_conn *pc, struct pbuf *p)
{
    uint32_t n = buffers_of(p);
    struct g *reader = NULL;
    spin_lock(&pc->lock);
    if (!pc->closed && pc->rx_buffers + n <= RX_BUFFERS_MAX) {
        p->next = NULL;
        if (pc->rx_tail)
            pc->rx_tail->next = p;
        else
            pc->rx_head = p;
        pc->rx_tail = p;
        pc->rx_buffers += n;
        p = NULL;
        reader = gqueue_pop(&pc->readers);
    }
    spin_unlock(&pc->lock);
    if (reader)
        goready_tail(reader);
    if (p)
        pbuf_free(p);
}

static bool checksum_ok(struct pbuf *p, const struct udp_hdr *u, uint32_t src_be, uint32_t dst_be)
{
    if (u->csum == 0 || (p->flags & PBUF_CSUM_OK))
        return true;
    uint32_t sum = csum_pseudo(src_be, dst_be, IP_PROTO_UDP, p->total);
    return csum_fold(csum_pbuf(sum, p, 0, p->total)) == 0xffff;
}

bool udp_sound(struct pbuf *p, uint32_t src_be, uint32_t dst_be)
{
    const struct udp_hdr *u = (const struct udp_hdr *)p->data;
    if (!pbuf_pull(p, sizeof(*u)))
        return false;
    uint32_t len = be16(u->len_be);
    if (len < sizeof(*u) || len > p->total || u->dport_be == 0)
        return false;
    if (p->total > len)
        pbuf_trim(p, len);
    return checksum_ok(p, u, src_be, dst_be);
}

bool udp_input(struct netif *nif, struct pbuf *p, uint32_t src_be, uint32_t dst_be)
{
    const struct udp_hdr *u = (const struct udp_hdr *)p->data;
    if (!udp_sound(p, src_be, dst_be)) {
        pbuf_free(p);
        return true;
    }
    if (dhcp_input(nif, p))
        return true;
    struct packet_conn *pc = find(src_be, be16(u->sport_be), dst_be, be16(u->dport_be));
    if (!pc)
        return false;
    p->seq = src_be;
    p->seg_len = be16(u->sport_be);
    pbuf_drop_front(p, sizeof(*u));
    deliver(pc, p);
    release(pc);
    return true;
}

void udp_icmp_error(uint32_t src_be, uint32_t dst_be, const uint8_t *hdr, int type, int code)
{
    const struct udp_hdr *u = (const struct udp_hdr *)hdr;
    if (type != ICMP_UNREACHABLE || code == ICMP_UNREACH_FRAG)
        return;
    // The datagram was ours: what it was sent to is what we would receive from.
    struct packet_conn *pc = find(dst_be, be16(u->dport_be), src_be, be16(u->sport_be));
    if (!pc)
        return;
    if (pc->rport) {
        spin_lock(&pc->lock);
        pc->error = code == ICMP_UNREACH_PORT ? -ECONNREFUSED : -EHOSTUNREACH;
        struct gqueue wake = gqueue_take(&pc->readers);
        spin_unlock(&pc->lock);
        net_wake_all(&wake);
    }
    release(pc);
}

// Calls from goroutines.

static int take_error(struct packet_conn *pc, int64_t deadline_ns)
{
    int err = pc->error;
    if (pc->closed)
        return -EBADF;
    if (deadline_ns && clock_mono_ns() >= deadline_ns)
        return -ETIMEDOUT;
    pc->error = 0;
    return err;
}

static struct pbuf *next_datagram(struct packet_conn *pc, int *err)
{
    struct pbuf *p = NULL;
    spin_lock(&pc->lock);
    while (!(*err = take_error(pc, pc->read_deadline_ns)) && !pc->rx_head) {
        net_wait(&pc->readers, &pc->lock, pc->read_deadline_ns, WAIT_PACKET);
        spin_lock(&pc->lock);
    }
    if (!*err) {
        p = pc->rx_head;
        pc->rx_head = p->next;
        if (!pc->rx_head)
            pc->rx_tail = NULL;
        pc->rx_buffers -= buffers_of(p);
    }
    // One wake-up a datagram: another reader may have been woken for one that this call took.
    struct g *other = pc->rx_head ? gqueue_pop(&pc->readers) : NULL;
    spin_unlock(&pc->lock);
    if (other)
        goready(other);
    return p;
}

ssize_t udp_recv_from(struct packet_conn *pc, void *buf, size_t n, struct net_addr *from)
{
    int err;
    hold(pc);
    struct pbuf *p = next_datagram(pc, &err);
    release(pc);
    if (!p)
        return err;
    uint32_t take = (uint32_t)MIN(n, (size_t)p->total);
    pbuf_copy_out(p, 0, buf, take);
    if (from)
        *from = (struct net_addr){p->seq, (uint16_t)p->seg_len};
    pbuf_free(p);
    return take;
}

// A datagram's buffers; *sum gets the sum of its data.
static struct pbuf *fill(const uint8_t *data, uint32_t n, uint32_t *sum)
{
    struct pbuf *head = NULL;
    uint32_t done = 0;
    *sum = 0;
    do {
        struct pbuf *p = pbuf_alloc();
        if (!p) {
            if (head)
                pbuf_free(head);
            return NULL;
        }
        if (!head)
            p->data += sizeof(struct udp_hdr);
        uint32_t here = MIN(n - done, pbuf_tailroom(p) & ~7u);
        *sum = csum_join(*sum, csum_copy(0, p->data, data + done, here));
        p->len = p->total = here;
        done += here;
        if (head)
            pbuf_append(head, p);
        else
            head = p;
    } while (done < n);
    return head;
}

static void write_header(struct pbuf *p, uint16_t sport, uint16_t dport, uint32_t src_be,
                         uint32_t dst_be, uint32_t sum)
{
    struct udp_hdr *u = pbuf_push(p, sizeof(*u));
    u->sport_be = be16(sport);
    u->dport_be = be16(dport);
    u->len_be = be16((uint16_t)p->total);
    u->csum = 0;
    sum = csum_join(sum, csum_pseudo(src_be, dst_be, IP_PROTO_UDP, p->total));
    uint16_t csum = csum_finish(csum_add(sum, u, sizeof(*u)));
    u->csum = csum ? csum : 0xffff;
}

// Under the lock: our address towards dst_be, from the route cache if that still holds.
static int source_for(struct packet_conn *pc, uint32_t dst_be, uint32_t *src_be)
{
    uint32_t gen = atomic_load_explicit(&route_gen, memory_order_acquire); /* pairs: ROUTE-GEN */
    *src_be = pc->laddr_be;
    if (pc->rc.gen == gen && pc->rc_dst_be == dst_be) {
        *src_be = pc->rc_src_be;
        return 0;
    }
    int err = ipv4_route(dst_be, NULL, src_be, NULL);
    pc->rc.gen = 0;
    pc->rc_dst_be = dst_be;
    pc->rc_src_be = *src_be;
    return err;
}

static ssize_t send_datagram(struct packet_conn *pc, const void *buf, size_t n,
                             const struct net_addr *to)
{
    uint32_t src, sum;
    if (n > UDP_MAX)
        return -EMSGSIZE;
    if (!to->port || !to->addr_be)
        return -EINVAL;
    spin_lock(&pc->lock);
    int err = take_error(pc, pc->write_deadline_ns);
    int64_t deadline = pc->write_deadline_ns;
    if (!err)
        err = source_for(pc, to->addr_be, &src);
    spin_unlock(&pc->lock);
    if (err == -ENETUNREACH) {
        src = pc->laddr_be;
        err = ipv4_route_wait(to->addr_be, &src, NULL, deadline);
    }
    if (err)
        return err;
    struct pbuf *p = fill(buf, (uint32_t)n, &sum);
    if (!p)
        return -ENOBUFS;
    write_header(p, pc->lport, to->port, src, to->addr_be, sum);
    p->queue = pc->rport ? pc->lport : 0; // a dialled one is a flow
    spin_lock(&pc->lock);
    if (pc->rc_dst_be == to->addr_be && pc->rc_src_be == src)
        err = ipv4_output_cached(&pc->rc, p, src, to->addr_be, IP_PROTO_UDP, IP_TTL_DEFAULT, false);
    else
        err = ipv4_output(p, src, to->addr_be, IP_PROTO_UDP, IP_TTL_DEFAULT, false);
    spin_unlock(&pc->lock);
    // A full device loses datagrams as any wire does.
    return err && err != -ENOBUFS ? err : (ssize_t)n;
}

ssize_t udp_send_to(struct packet_conn *pc, const void *buf, size_t n, const struct net_addr *to)
{
    struct net_addr here = {IP4_BE(127, 0, 0, 1), to->port};
    hold(pc);
    ssize_t r = send_datagram(pc, buf, n, to->addr_be ? to : &here);
    release(pc);
    return r;
}

int udp_close(struct packet_conn *pc)
{
    spin_lock(&pc->lock);
    if (pc->closed) {
        spin_unlock(&pc->lock);
        return -EBADF;
    }
    pc->closed = true;
    struct gqueue wake = gqueue_take(&pc->readers);
    spin_unlock(&pc->lock);
    remove_socket(pc);
    net_wake_all(&wake);
    release(pc);
    return 0;
}

void udp_set_deadline(struct packet_conn *pc, unsigned which, int64_t when_ns)
{
    struct gqueue wake = {NULL, NULL};
    spin_lock(&pc->lock);
    if (which & NET_DEADLINE_WRITE)
        pc->write_deadline_ns = when_ns;
    if (which & NET_DEADLINE_READ) {
        pc->read_deadline_ns = when_ns;
        wake = gqueue_take(&pc->readers);
    }
    spin_unlock(&pc->lock);
    net_wake_all(&wake);
}

int64_t udp_write_deadline(struct packet_conn *pc)
{
    spin_lock(&pc->lock);
    int64_t when_ns = pc->write_deadline_ns;
    spin_unlock(&pc->lock);
    return when_ns;
}

void udp_local_addr(struct packet_conn *pc, struct net_addr *out)
{
    *out = (struct net_addr){pc->laddr_be, pc->lport};
}

// A dialled socket as a struct conn.

static struct packet_conn *of(struct conn *c) { return (struct packet_conn *)c; }

static ssize_t conn_read(struct conn *c, void *buf, size_t n)
{
    return udp_recv_from(of(c), buf, n, NULL);
}

static ssize_t conn_write(struct conn *c, const void *buf, size_t n)
{
    struct net_addr to = {of(c)->raddr_be, of(c)->rport};
    return udp_send_to(of(c), buf, n, &to);
}

static int conn_close_write(struct conn *c)
{
    (void)c;
    return -ENOTSUP;
}

static int conn_close(struct conn *c) { return udp_close(of(c)); }

static void conn_set_deadline(struct conn *c, unsigned which, int64_t when_ns)
{
    udp_set_deadline(of(c), which, when_ns);
}

static void conn_addrs(struct conn *c, struct net_addr *local, struct net_addr *remote)
{
    udp_local_addr(of(c), local);
    *remote = (struct net_addr){of(c)->raddr_be, of(c)->rport};
}

static int conn_set_option(struct conn *c, enum conn_option opt, int64_t value)
{
    (void)c;
    (void)opt;
    (void)value;
    return -ENOTSUP;
}

static const struct conn_ops udp_ops = {
    .read = conn_read,
    .write = conn_write,
    .close_write = conn_close_write,
    .close = conn_close,
    .set_deadline = conn_set_deadline,
    .addrs = conn_addrs,
    .set_option = conn_set_option,
};

static struct packet_conn *create(const struct net_addr *local, const struct net_addr *remote,
                                  int *err)
{
    struct packet_conn *pc = heap_zalloc(sizeof(*pc));
    *err = -ENOMEM;
    if (!pc)
        return NULL;
    pc->conn.ops = &udp_ops;
    atomic_store_explicit(&pc->refs, 1, memory_order_relaxed);
    spin_init(&pc->lock, LOCK_CONN);
    pc->laddr_be = local->addr_be;
    pc->lport = local->port;
    if (remote) {
        pc->raddr_be = remote->addr_be;
        pc->rport = remote->port;
    }
    *err = insert(pc);
    if (*err) {
        heap_free(pc);
        return NULL;
    }
    return pc;
}

struct packet_conn *udp_listen(const struct net_addr *a, int *err)
{
    *err = -EADDRNOTAVAIL;
    if (a->addr_be && !ipv4_is_local(a->addr_be))
        return NULL;
    return create(a, NULL, err);
}

struct conn *udp_dial(const struct net_addr *local, const struct net_addr *remote,
                      int64_t deadline_ns, int *err)
{
    struct net_addr l = {0, 0}, r = *remote;
    if (local)
        l = *local;
    if (!r.addr_be)
        r.addr_be = IP4_BE(127, 0, 0, 1);
    *err = -EINVAL;
    if (!r.port)
        return NULL;
    *err = ipv4_route_wait(r.addr_be, &l.addr_be, NULL, deadline_ns);
    if (*err)
        return NULL;
    struct packet_conn *pc = create(&l, &r, err);
    return pc ? &pc->conn : NULL;
}
