// SPDX-License-Identifier: BSD-2-Clause
// The calls of <heddle/net.h>: they parse networks and addresses, call TCP or UDP, and turn
// -errno into errno.
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "kernel/clock.h"
#include "net/dns.h"
#include "net/netif.h"
#include "net/socket.h"

enum network { NETWORK_TCP, NETWORK_UDP };

static int fail(int err)
{
    errno = -err;
    return -1;
}

static void *fail_null(int err)
{
    errno = -err;
    return NULL;
}

// 0 or -errno; the sense of a number of bytes is kept.
static ssize_t result(ssize_t r) { return r < 0 ? fail((int)r) : r; }

static int parse_network(const char *s, enum network *out)
{
    if (!s)
        return -EINVAL;
    if (strcmp(s, "tcp6") == 0 || strcmp(s, "udp6") == 0)
        return -EAFNOSUPPORT;
    bool tcp = strcmp(s, "tcp") == 0 || strcmp(s, "tcp4") == 0;
    if (!tcp && strcmp(s, "udp") != 0 && strcmp(s, "udp4") != 0)
        return -EINVAL;
    *out = tcp ? NETWORK_TCP : NETWORK_UDP;
    return 0;
}

static int parse(const char *network, const char *addr, enum network *nw, struct net_addr *a)
{
    int err = parse_network(network, nw);
    return err ? err : net_addr_parse(addr, a);
}

struct listener *net_listen(const char *network, const char *addr)
{
    enum network nw;
    struct net_addr a;
    int err = parse(network, addr, &nw, &a);
    if (!err && nw != NETWORK_TCP)
        err = -EINVAL;
    if (err)
        return fail_null(err);
    struct listener *l = tcp_listen(&a, &err);
    return l ? l : fail_null(err);
}

struct conn *net_accept(struct listener *l)
{
    int err;
    if (!l)
        return fail_null(-EBADF);
    struct conn *c = tcp_accept(l, &err);
    return c ? c : fail_null(err);
}

int net_close_listener(struct listener *l)
{
    return (int)result(l ? tcp_listener_close(l) : -EBADF);
}

void net_set_accept_deadline(struct listener *l, int64_t when)
{
    if (l)
        tcp_listener_set_deadline(l, when);
}

int net_listener_addr(struct listener *l, char *buf, size_t n)
{
    struct net_addr a;
    if (!l)
        return fail(-EBADF);
    tcp_listener_addr(l, &a);
    return net_addr_format(&a, buf, n);
}

// When the first of n addresses must have answered, so that the others get their share of the time.
static int64_t share_of(int64_t when, int n)
{
    int64_t now = clock_mono_ns();
    return when && n > 1 && when > now ? now + (when - now) / n : when;
}

struct conn *net_dial_deadline(const char *network, const char *addr, int64_t when)
{
    enum network nw;
    struct net_addr a[DNS_ADDRS_MAX] = {{0, 0}};
    int err = parse_network(network, &nw), n = err ? err : net_resolve(addr, when, a);
    if (n < 0)
        return fail_null(n);
    if (!a[0].port)
        return fail_null(-EINVAL);
    for (int i = 0; i < n; i++) {
        int failed;
        struct net_addr to = {a[i].addr_be ? a[i].addr_be : IP4_BE(127, 0, 0, 1), a[i].port};
        int64_t until = share_of(when, n - i);
        struct conn *c = nw == NETWORK_TCP ? tcp_dial(NULL, &to, until, &failed)
                                           : udp_dial(NULL, &to, until, &failed);
        if (c)
            return c;
        err = err ? err : failed; // the first address's reason says most
    }
    return fail_null(err);
}

struct conn *net_dial(const char *network, const char *addr)
{
    return net_dial_deadline(network, addr, 0);
}

ssize_t net_read(struct conn *c, void *buf, size_t n)
{
    return result(c ? c->ops->read(c, buf, n) : -EBADF);
}

ssize_t net_write(struct conn *c, const void *buf, size_t n)
{
    return result(c ? c->ops->write(c, buf, n) : -EBADF);
}

int net_close_write(struct conn *c)
{
    return (int)result(c ? c->ops->close_write(c) : -EBADF);
}

int net_close(struct conn *c)
{
    return (int)result(c ? c->ops->close(c) : -EBADF);
}

void net_set_deadline(struct conn *c, int64_t when)
{
    if (c)
        c->ops->set_deadline(c, NET_DEADLINE_READ | NET_DEADLINE_WRITE, when);
}

void net_set_read_deadline(struct conn *c, int64_t when)
{
    if (c)
        c->ops->set_deadline(c, NET_DEADLINE_READ, when);
}

void net_set_write_deadline(struct conn *c, int64_t when)
{
    if (c)
        c->ops->set_deadline(c, NET_DEADLINE_WRITE, when);
}

int net_set_keepalive(struct conn *c, int64_t interval_ns)
{
    if (!c || interval_ns < 0)
        return fail(c ? -EINVAL : -EBADF);
    return (int)result(c->ops->set_option(c, CONN_KEEPALIVE_NS, interval_ns));
}

int net_set_nodelay(struct conn *c, int on)
{
    return (int)result(c ? c->ops->set_option(c, CONN_NODELAY, on != 0) : -EBADF);
}

int net_local_addr(struct conn *c, char *buf, size_t n)
{
    struct net_addr l, r;
    if (!c)
        return fail(-EBADF);
    c->ops->addrs(c, &l, &r);
    return net_addr_format(&l, buf, n);
}

int net_remote_addr(struct conn *c, char *buf, size_t n)
{
    struct net_addr l, r;
    if (!c)
        return fail(-EBADF);
    c->ops->addrs(c, &l, &r);
    return net_addr_format(&r, buf, n);
}

struct packet_conn *net_listen_packet(const char *network, const char *addr)
{
    enum network nw;
    struct net_addr a;
    int err = parse(network, addr, &nw, &a);
    if (!err && nw != NETWORK_UDP)
        err = -EINVAL;
    if (err)
        return fail_null(err);
    struct packet_conn *pc = udp_listen(&a, &err);
    return pc ? pc : fail_null(err);
}

ssize_t net_recv_from(struct packet_conn *pc, void *buf, size_t n, char *from, size_t from_size)
{
    struct net_addr a;
    ssize_t r = pc ? udp_recv_from(pc, buf, n, &a) : -EBADF;
    if (r >= 0 && from && from_size)
        net_addr_format(&a, from, from_size);
    return result(r);
}

ssize_t net_send_to(struct packet_conn *pc, const void *buf, size_t n, const char *to)
{
    struct net_addr a[DNS_ADDRS_MAX];
    int found = pc ? net_resolve(to, udp_write_deadline(pc), a) : -EBADF;
    return found < 0 ? fail(found) : result(udp_send_to(pc, buf, n, &a[0]));
}

int net_close_packet(struct packet_conn *pc)
{
    return (int)result(pc ? udp_close(pc) : -EBADF);
}

void net_set_packet_deadline(struct packet_conn *pc, int64_t when)
{
    if (pc)
        udp_set_deadline(pc, NET_DEADLINE_READ | NET_DEADLINE_WRITE, when);
}

int net_packet_addr(struct packet_conn *pc, char *buf, size_t n)
{
    struct net_addr a;
    if (!pc)
        return fail(-EBADF);
    udp_local_addr(pc, &a);
    return net_addr_format(&a, buf, n);
}

int net_lookup(const char *host, int64_t when, char *buf, size_t n)
{
    uint32_t addr_be[DNS_ADDRS_MAX];
    if (!host)
        return fail(-EINVAL);
    size_t len = strlen(host);
    if (!net_ip4_parse(host, len, &addr_be[0])) {
        int found = strcmp(host, "localhost") == 0 ? 0 : dns_lookup(host, len, when, addr_be);
        if (found < 0)
            return fail(found);
        if (found == 0)
            addr_be[0] = IP4_BE(127, 0, 0, 1);
    }
    return net_ip4_format(addr_be[0], buf, n);
}

int net_wait_up(int64_t when, char *buf, size_t n)
{
    for (;;) {
        /* pairs: ROUTE-GEN */
        uint32_t gen = atomic_load_explicit(&route_gen, memory_order_acquire);
        for (struct netif *i = netif_first(); i && !i->loopback; i = netif_next(i)) {
            uint32_t addr_be = atomic_load_explicit(&i->addr_be, memory_order_relaxed);
            if (addr_be)
                return net_ip4_format(addr_be, buf, n);
        }
        if (!netif_configuring())
            return fail(-ENETDOWN);
        if (!netif_wait_configured(gen, when))
            return fail(-ETIMEDOUT);
    }
}
