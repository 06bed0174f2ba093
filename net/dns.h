// SPDX-License-Identifier: BSD-2-Clause
// Names to addresses: DNS messages, and the resolver that sends them.
#ifndef NET_DNS_H
#define NET_DNS_H

#include <stddef.h>
#include <stdint.h>

#include "net/socket.h"

enum {
    DNS_NAME_MAX = 253,    // characters of a name, dots counted
    DNS_ADDRS_MAX = 8,     // addresses taken of an answer
    DNS_MESSAGE_MAX = 512, // over UDP, as long as nobody asks for more
    DNS_PORT = 53,
};

// dns_msg.c: pure functions.

// A name as it will be asked for: lower case, no dot at its end, NUL terminated. False if the n
// characters at s are not a host's name.
bool dns_name(const char *s, size_t n, char out[DNS_NAME_MAX + 1]);
// Writes the question for name's IPv4 addresses; returns its length.
uint32_t dns_build(uint8_t msg[DNS_MESSAGE_MAX], uint16_t id, const char *name);
// What the n bytes at msg answer to that question: the number of addresses, at least 1; -ENOENT
// (there is no such name, or it has no IPv4 address); -EIO (the server failed); or -EBADMSG (no
// answer to that question).
int dns_parse(const uint8_t *msg, uint32_t n, uint16_t id, const char *name,
              uint32_t addr_be[DNS_ADDRS_MAX]);

// dns.c

// Asks the name servers the interfaces know of. The number of addresses, or -EINVAL (no name),
// -EADDRNOTAVAIL (no name server is known), -ENOENT, -EIO, -EHOSTUNREACH (no way to them),
// -ETIMEDOUT (nobody answered, or deadline_ns has passed; 0: none). Context: goroutine, no locks.
int dns_lookup(const char *s, size_t n, int64_t deadline_ns, uint32_t addr_be[DNS_ADDRS_MAX]);

// "host:port" where host may be a name: the number of addresses in out, or what net_addr_parse or
// dns_lookup says. Context: goroutine, no locks.
int net_resolve(const char *s, int64_t deadline_ns, struct net_addr out[DNS_ADDRS_MAX]);

#endif
