// SPDX-License-Identifier: BSD-2-Clause
// Local ports for connections that are opened here (RFC 6056, algorithm 3): the search begins at a
// keyed hash of the other endpoint plus a counter, so that ports are hard to guess and come back
// late. A port is free if nobody listens on it and the pair of endpoints is not in use; different
// peers may share one.
#include <errno.h>

#include "net/tcp.h"

enum { PORT_FIRST = 32768, PORT_COUNT = 28232 };

static uint64_t key[2];
static _Atomic(uint32_t) tries;

void tcp_port_init(void)
{
    key[0] = net_random();
    key[1] = net_random();
}

// Context: c is not known to anybody yet.
int tcp_port_choose(struct tcb *c)
{
    uint32_t in[3] = {c->laddr_be, c->raddr_be, c->rport};
    uint32_t from = (uint32_t)siphash(key, in, sizeof(in));
    for (uint32_t i = 0; i < PORT_COUNT; i++) {
        uint32_t n = from + atomic_fetch_add_explicit(&tries, 1, memory_order_relaxed);
        c->lport = (uint16_t)(PORT_FIRST + n % PORT_COUNT);
        // Not to itself either: the simultaneous open would succeed.
        if (tcp_port_listening(c->lport, c->laddr_be) ||
            (c->lport == c->rport && c->laddr_be == c->raddr_be))
            continue;
        c->hash = tcp_hash(c->laddr_be, c->lport, c->raddr_be, c->rport);
        if (!tcp_tw_has(c->laddr_be, c->lport, c->raddr_be, c->rport, c->hash) &&
            tcp_table_insert(c))
            return 0;
    }
    return -EADDRNOTAVAIL;
}
