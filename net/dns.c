// SPDX-License-Identifier: BSD-2-Clause
// The resolver: a stub that asks the name servers given by DHCP or dns= for IPv4 addresses.
//
// Each try is a socket of its own, so that a forger has to guess port and number at once, and hears
// only the server it asked. What does not answer the question is passed over and the wait goes on.
// Tries go round the servers; one that says that it failed makes room for the next at once, one
// that says that there is no such name is believed. Nothing is remembered between two calls: how
// long an answer holds is for the server to know, which is near.
#include "net/dns.h"

#include <errno.h>
#include <heddle/time.h>
#include <string.h>

#include "kernel/clock.h"
#include "net/netif.h"

enum { SERVERS_MAX = 4 };

// How long to wait for the answer to each try.
static const int64_t patience_ns[] = {TIME_S, 2 * TIME_S, 4 * TIME_S, 4 * TIME_S};

// The name servers known now; waits while an interface is being configured and there is none. How
// many, or -errno.
static int find_servers(uint32_t server_be[SERVERS_MAX], int64_t deadline_ns)
{
    for (;;) {
        /* pairs: ROUTE-GEN */
        uint32_t gen = atomic_load_explicit(&route_gen, memory_order_acquire);
        int n = 0;
        for (struct netif *i = netif_first(); i && n < SERVERS_MAX; i = netif_next(i)) {
            uint32_t dns_be = atomic_load_explicit(&i->dns_be, memory_order_relaxed);
            if (dns_be)
                server_be[n++] = dns_be;
        }
        if (n)
            return n;
        if (!netif_configuring())
            return -EADDRNOTAVAIL;
        if (!netif_wait_configured(gen, deadline_ns))
            return -ETIMEDOUT;
    }
}

// Asks one server once. As dns_parse, or -errno of the socket.
static int ask(uint32_t server_be, const char *name, int64_t until_ns,
               uint32_t addr_be[DNS_ADDRS_MAX])
{
    uint8_t msg[DNS_MESSAGE_MAX];
    struct net_addr server = {server_be, DNS_PORT};
    uint16_t id = (uint16_t)net_random();
    int err;
    struct conn *c = udp_dial(NULL, &server, until_ns, &err);
    if (!c)
        return err;
    c->ops->set_deadline(c, NET_DEADLINE_READ | NET_DEADLINE_WRITE, until_ns);
    ssize_t n = c->ops->write(c, msg, dns_build(msg, id, name));
    int found = -EBADMSG;
    while (n >= 0 && found == -EBADMSG) {
        n = c->ops->read(c, msg, sizeof(msg));
        if (n >= 0)
            found = dns_parse(msg, (uint32_t)n, id, name, addr_be);
    }
    c->ops->close(c);
    return n < 0 ? (int)n : found;
}

int dns_lookup(const char *s, size_t n, int64_t deadline_ns, uint32_t addr_be[DNS_ADDRS_MAX])
{
    char name[DNS_NAME_MAX + 1];
    uint32_t server_be[SERVERS_MAX];
    if (!dns_name(s, n, name))
        return -EINVAL;
    int servers = find_servers(server_be, deadline_ns), result = -ETIMEDOUT;
    if (servers < 0)
        return servers;
    for (int i = 0; i < (int)ARRAY_LEN(patience_ns) * servers; i++) {
        int64_t now_ns = clock_mono_ns(), until_ns = now_ns + patience_ns[i / servers];
        if (deadline_ns && deadline_ns <= now_ns)
            return -ETIMEDOUT;
        if (deadline_ns)
            until_ns = MIN(until_ns, deadline_ns);
        int found = ask(server_be[i % servers], name, until_ns, addr_be);
        if (found > 0 || found == -ENOENT || found == -ENOMEM)
            return found;
        if (found != -ETIMEDOUT)
            result = found == -ECONNREFUSED ? -EIO : found;
    }
    return result;
}

int net_resolve(const char *s, int64_t deadline_ns, struct net_addr out[DNS_ADDRS_MAX])
{
    uint32_t addr_be[DNS_ADDRS_MAX];
    uint16_t port;
    size_t n;
    int err = net_addr_parse(s, out);
    if (err != -EADDRNOTAVAIL)
        return err ? err : 1;
    if ((err = net_addr_split(s, &n, &port)) != 0)
        return err;
    int found = dns_lookup(s, n, deadline_ns, addr_be);
    for (int i = 0; i < found; i++)
        out[i] = (struct net_addr){addr_be[i], port};
    return found;
}
