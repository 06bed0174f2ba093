// SPDX-License-Identifier: BSD-2-Clause
// DHCP's messages, apart from the client so that their parser can be tested alone.
#ifndef NET_DHCP_H
#define NET_DHCP_H

#include <stdbool.h>
#include <stdint.h>

enum { DHCP_MESSAGE_MAX = 1472, DHCP_MESSAGE_MIN = 300 };
#define DHCP_FOREVER 0xffffffffu

enum dhcp_type {
    DHCP_DISCOVER = 1,
    DHCP_OFFER,
    DHCP_REQUEST,
    DHCP_DECLINE,
    DHCP_ACK,
    DHCP_NAK,
};

struct dhcp_request {
    uint8_t type;
    uint32_t ciaddr_be; // our address while we hold it
    uint32_t wanted_be; // option 50, 0: none
    uint32_t server_be; // option 54, 0: none
};

// What a server says, checked and completed: an OFFER or ACK has a usable address and mask, and
// times in order.
struct dhcp_reply {
    uint8_t type;
    uint32_t addr_be, mask_be, router_be, dns_be, server_be;
    uint32_t lease_s, renew_s, rebind_s;
    uint16_t mtu; // 0: not said
};

// dhcp_msg.c

// Writes a request of at most DHCP_MESSAGE_MIN bytes and returns its length.
uint32_t dhcp_build(uint8_t *msg, uint32_t xid, uint16_t secs, const uint8_t mac[6],
                    const struct dhcp_request *q);
// False if it is not a sound reply to that transaction of ours.
bool dhcp_parse(const uint8_t *msg, uint32_t n, uint32_t xid, const uint8_t mac[6],
                struct dhcp_reply *r);

#endif
