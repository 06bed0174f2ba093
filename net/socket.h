// SPDX-License-Identifier: BSD-2-Clause
// What is behind the handles of <heddle/net.h>. socket.c parses networks and addresses and calls
// through these; failures come back as -errno here and become errno and -1 (or NULL) there.
#ifndef NET_SOCKET_H
#define NET_SOCKET_H

#include <heddle/net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct net_addr {
    uint32_t addr_be; // 0: any
    uint16_t port;    // host order; 0: any
};

enum net_deadline { NET_DEADLINE_READ = 1, NET_DEADLINE_WRITE = 2 };

enum conn_option {
    CONN_KEEPALIVE_NS, // interval of keep-alive probes on an idle connection, 0: off
    CONN_NODELAY,      // 1 (default): small segments go at once; 0: Nagle
};

// The first member of every connection. The functions are called from goroutines with no locks
// held and block only as their public counterparts do.
struct conn {
    const struct conn_ops *ops;
};

struct conn_ops {
    ssize_t (*read)(struct conn *c, void *buf, size_t n);
    ssize_t (*write)(struct conn *c, const void *buf, size_t n);
    int (*close_write)(struct conn *c);
    int (*close)(struct conn *c);
    // which: a set of enum net_deadline; when_ns of time_mono, 0: none. Wakes who waits, so that
    // it looks again.
    void (*set_deadline)(struct conn *c, unsigned which, int64_t when_ns);
    void (*addrs)(struct conn *c, struct net_addr *local, struct net_addr *remote);
    int (*set_option)(struct conn *c, enum conn_option opt, int64_t value);
};

// sock_tcp.c. Pointers come with *err = 0, or NULL with *err = -errno.

struct listener *tcp_listen(const struct net_addr *a, int *err);
struct conn *tcp_accept(struct listener *l, int *err);
int tcp_listener_close(struct listener *l);
void tcp_listener_addr(struct listener *l, struct net_addr *out);
void tcp_listener_set_deadline(struct listener *l, int64_t when_ns);
// local may be NULL. deadline_ns 0: none but TCP's own. Waits for DHCP first if need be
// (ipv4_route_wait).
struct conn *tcp_dial(const struct net_addr *local, const struct net_addr *remote,
                      int64_t deadline_ns, int *err);

// udp.c

struct conn *udp_dial(const struct net_addr *local, const struct net_addr *remote,
                      int64_t deadline_ns, int *err);
struct packet_conn *udp_listen(const struct net_addr *a, int *err);
ssize_t udp_recv_from(struct packet_conn *pc, void *buf, size_t n, struct net_addr *from);
ssize_t udp_send_to(struct packet_conn *pc, const void *buf, size_t n, const struct net_addr *to);
int udp_close(struct packet_conn *pc);
int64_t udp_write_deadline(struct packet_conn *pc);
void udp_set_deadline(struct packet_conn *pc, unsigned which, int64_t when_ns);
void udp_local_addr(struct packet_conn *pc, struct net_addr *out);

// addr.c

// "host:port" as Go writes it. 0, -EINVAL, -EAFNOSUPPORT (an IPv6 address) or -EADDRNOTAVAIL (a
// name that is not "localhost"). An empty host gives addr_be 0.
int net_addr_parse(const char *s, struct net_addr *out);
// The host's length and the port; 0 or -EINVAL.
int net_addr_split(const char *s, size_t *n, uint16_t *port);
// A dotted address alone; n characters.
bool net_ip4_parse(const char *s, size_t n, uint32_t *addr_be);
// As snprintf: writes "1.2.3.4", or "1.2.3.4:80", and returns its length.
int net_ip4_format(uint32_t addr_be, char *buf, size_t n);
int net_addr_format(const struct net_addr *a, char *buf, size_t n);

#endif
