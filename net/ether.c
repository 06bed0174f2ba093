// SPDX-License-Identifier: BSD-2-Clause
// Ethernet: which frames are for us, and who gets them.
#include "net/netif.h"

void ether_input(struct netif *nif, struct pbuf *p)
{
    const struct eth_hdr *e = (const struct eth_hdr *)p->data;
    if (unlikely(!pbuf_pull(p, ETH_HDR_LEN)))
        goto drop;
    if (unlikely(!mac_equal(e->dst, nif->dev->mac))) {
        if (!(e->dst[0] & 1))
            goto drop; // somebody else's; the device is not choosy
        p->flags |= PBUF_BROADCAST;
    }
    uint16_t type_be = e->type_be;
    pbuf_drop_front(p, ETH_HDR_LEN);
    if (likely(type_be == BE16(ETH_TYPE_IPV4))) {
        ipv4_input(nif, p);
        return;
    }
    if (type_be == BE16(ETH_TYPE_ARP)) {
        arp_input(nif, p);
        return;
    }
drop:
    pbuf_free(p);
}
