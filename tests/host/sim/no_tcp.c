// SPDX-License-Identifier: BSD-2-Clause
// The network without TCP, for tests of what is below it. Weak, so that it gives way where TCP is linked.
#include <errno.h>

#include "net/netif.h"
#include "net/socket.h"

#define WEAK __attribute__((weak))

WEAK void tcp_init(void) {}
WEAK void tcp_input_done(void) {}

WEAK void tcp_input(struct netif *nif, struct pbuf *p, uint32_t src_be, uint32_t dst_be)
{
    (void)nif, (void)src_be, (void)dst_be;
    pbuf_free(p);
}

WEAK void tcp_icmp_error(uint32_t src_be, uint32_t dst_be, const uint8_t *hdr, int type, int code,
                         uint16_t mtu)
{
    (void)src_be, (void)dst_be, (void)hdr, (void)type, (void)code, (void)mtu;
}

WEAK struct listener *tcp_listen(const struct net_addr *a, int *err)
{
    (void)a;
    *err = -ENOTSUP;
    return NULL;
}

WEAK struct conn *tcp_accept(struct listener *l, int *err)
{
    (void)l;
    *err = -ENOTSUP;
    return NULL;
}

WEAK int tcp_listener_close(struct listener *l)
{
    (void)l;
    return -ENOTSUP;
}

WEAK void tcp_listener_addr(struct listener *l, struct net_addr *out)
{
    (void)l;
    *out = (struct net_addr){0, 0};
}

WEAK void tcp_listener_set_deadline(struct listener *l, int64_t when_ns)
{
    (void)l, (void)when_ns;
}

WEAK struct conn *tcp_dial(const struct net_addr *local, const struct net_addr *remote,
                           int64_t deadline_ns, int *err)
{
    (void)local, (void)remote, (void)deadline_ns;
    *err = -ENOTSUP;
    return NULL;
}
