// SPDX-License-Identifier: BSD-2-Clause
// TCP and UDP sockets for goroutines. Every call that waits parks the calling goroutine and
// nothing else.
//
// network is "tcp" or "tcp4", "udp" or "udp4"; "tcp6" and "udp6" fail with EAFNOSUPPORT, anything
// else with EINVAL. Addresses are "host:port": a dotted IPv4 address, "localhost" or nothing, and
// a decimal port. To listen on "" or ":80" is to listen on every address; port 0 or no port at
// all lets the system choose one (see net_listener_addr). To dial ":80" is to dial this machine.
// Where something is sent or dialled, the host may be a name: its IPv4 addresses are asked for at
// the name servers that DHCP or the option dns= gives, each time anew.
//
// A call that fails returns -1 or NULL and sets errno, which is per goroutine:
//   EINVAL          an argument makes no sense
//   EADDRINUSE      the port is taken
//   EADDRNOTAVAIL   the address is not this machine's, or no port is free; or it is a name, and no
//                   name server is known
//   ENOENT          there is no such name, or it has no IPv4 address
//   EIO             the name servers failed
//   ECONNREFUSED    the peer answered that nobody listens there
//   ECONNRESET      the peer broke the connection off
//   ETIMEDOUT       a deadline passed, or the peer no longer answers
//   ENETUNREACH, EHOSTUNREACH   no way to the peer
//   EPIPE           net_write after net_close_write
//   EBADF           net_close or net_close_listener was called, by another goroutine, meanwhile
//   EMSGSIZE        a datagram too large for UDP
//   ENOMEM, ENOBUFS memory is exhausted
//
// A handle may be used by several goroutines at once. net_close wakes those that are blocked in a
// call on it; no call may begin after net_close has.
#ifndef HEDDLE_NET_H
#define HEDDLE_NET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma GCC visibility push(default)

#ifdef __cplusplus
extern "C" {
#endif

struct listener;
struct conn;
struct packet_conn;

// Large enough for any address written by the calls below, with its terminating zero.
#define NET_ADDR_MAX 64

// Starts listening for connections.
struct listener *net_listen(const char *network, const char *addr);

// The next connection; waits for one.
struct conn *net_accept(struct listener *l);

// Ends listening and forgets l. Connections nobody has accepted are reset. Goroutines blocked in
// net_accept get EBADF.
int net_close_listener(struct listener *l);

// Connects to addr; waits until the peer has answered. A name's addresses are tried in turn. While
// the machine's own address is still being looked for (DHCP, shortly after boot) it waits for that
// first. For "udp" the connection is only a filter and a default destination: net_read gives one
// datagram each (the rest of a longer one is lost), net_write sends one.
struct conn *net_dial(const char *network, const char *addr);

// As net_dial, but gives up with ETIMEDOUT when time_mono() reaches `when` (0: never).
struct conn *net_dial_deadline(const char *network, const char *addr, int64_t when);

// Waits until there is at least one byte and gives up to n; 0: the peer has sent all it will ever
// send.
ssize_t net_read(struct conn *c, void *buf, size_t n);

// Sends all n bytes, waiting while the peer does not take them; returns n, or -1 when not all
// could be sent. The bytes of one call are not mixed with those of another.
ssize_t net_write(struct conn *c, const void *buf, size_t n);

// Ends the stream of what we send; the peer reads 0. Reading goes on. Not for "udp" (ENOTSUP).
int net_close_write(struct conn *c);

// Closes both directions and forgets c. What has been written is still delivered. Goroutines
// blocked on c get EBADF.
int net_close(struct conn *c);

// From time_mono() == when on, net_read and net_write on c fail with ETIMEDOUT, those already
// waiting too; the connection stays as it is, and a later deadline makes it usable again. 0 means
// no deadline.
void net_set_deadline(struct conn *c, int64_t when);
void net_set_read_deadline(struct conn *c, int64_t when);
void net_set_write_deadline(struct conn *c, int64_t when);

// The same for net_accept.
void net_set_accept_deadline(struct listener *l, int64_t when);

// Probes an idle TCP connection every interval_ns, so that a vanished peer is noticed (net_read
// then fails with ETIMEDOUT). On by default, 15 seconds; 0 turns it off.
int net_set_keepalive(struct conn *c, int64_t interval_ns);

// 1, the default: what is written goes out at once. 0: small pieces are held back until what was
// sent before has been acknowledged (Nagle's algorithm).
int net_set_nodelay(struct conn *c, int on);

// Write an address as "1.2.3.4:80" into buf, as snprintf does, and return its length.
int net_local_addr(struct conn *c, char *buf, size_t n);
int net_remote_addr(struct conn *c, char *buf, size_t n);
int net_listener_addr(struct listener *l, char *buf, size_t n);

// A UDP socket for datagrams from and to anybody.
struct packet_conn *net_listen_packet(const char *network, const char *addr);

// Waits for a datagram, gives up to n bytes of it (the rest is lost) and returns how many; 0 is a
// datagram without data. The sender's address goes to from, of from_size bytes, unless that is
// NULL.
ssize_t net_recv_from(struct packet_conn *pc, void *buf, size_t n, char *from, size_t from_size);

// Sends one datagram of n bytes, at most 65507; returns n. That it was sent says nothing about
// its arrival.
ssize_t net_send_to(struct packet_conn *pc, const void *buf, size_t n, const char *to);

// As net_close, net_set_deadline and net_local_addr.
int net_close_packet(struct packet_conn *pc);
void net_set_packet_deadline(struct packet_conn *pc, int64_t when);
int net_packet_addr(struct packet_conn *pc, char *buf, size_t n);

// Writes the first address of the name host, "93.184.216.34", into buf; returns its length. Waits
// for an answer until time_mono() reaches `when` (0: no limit but the resolver's own, some 11
// seconds for each name server; then ETIMEDOUT). An address is its own name.
int net_lookup(const char *host, int64_t when, char *buf, size_t n);

// Waits until the machine has an address, or until time_mono() reaches `when` (0: no limit; then
// ETIMEDOUT), and writes the address of its first interface, "10.0.2.15", into buf; returns its
// length. ENETDOWN: there is no interface, or none got an address.
int net_wait_up(int64_t when, char *buf, size_t n);

#ifdef __cplusplus
}
#endif

#pragma GCC visibility pop

#endif
