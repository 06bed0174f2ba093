// SPDX-License-Identifier: BSD-2-Clause
// Interfaces: a network device with its addresses. The list only grows; the configuration is
// written under netif_lock and read without it, each word an atomic, with route_gen telling of
// changes.
#ifndef NET_NETIF_H
#define NET_NETIF_H

#include <stdatomic.h>

#include "kernel/spinlock.h"
#include "net/ip.h"
#include "net/netdev.h"

enum {
    NETIF_MTU_MAX = 1500, // one buffer holds a frame with all headers of it
    NETIF_MTU_MIN = 576,  // less is not worth the name
};

enum netif_state {
    NETIF_DOWN,        // no address and nobody is looking for one
    NETIF_CONFIGURING, // DHCP is at work
    NETIF_UP,
};

struct dhcp;

struct netif {
    struct netdev *dev;
    _Atomic(struct netif *) next; // in order of registration, loopback last. pairs: NETIF-LIST
    bool loopback;
    _Atomic(uint16_t) mtu; // the device's, or what a buffer holds, or what DHCP says

    // Written under netif_lock, read by anyone.
    _Atomic(uint32_t) addr_be, mask_be, gateway_be, dns_be;
    _Atomic(uint32_t) state; // enum netif_state

    _Atomic(struct dhcp *) dhcp; // its DHCP client, if it has one; set once. pairs: NETIF-DHCP

    // Must be set, once the frame is with the device, by whoever sent one with `more`; whoever
    // clears it must ring the doorbell afterwards. So a frame is never left to itself. pairs:
    // NETIF-UNFLUSHED
    _Atomic(bool) unflushed;
    _Atomic(uint32_t) ip_id;
};

// netif.c

extern _Atomic(struct netif *) netif_list;

static inline struct netif *netif_first(void)
{
    return atomic_load_explicit(&netif_list, memory_order_acquire); /* pairs: NETIF-LIST */
}

static inline struct netif *netif_next(struct netif *n)
{
    return atomic_load_explicit(&n->next, memory_order_acquire); /* pairs: NETIF-LIST */
}

// Makes every cached route be looked up anew. Context: any but interrupts.
void route_changed(void);

// Once, before the first device: keys, tables, the loopback interface. Context: boot or a
// goroutine, after the scheduler's structures stand.
void net_init(void);
// Sets the addresses and tells everybody. addr_be 0: takes the address away.
void netif_configure(struct netif *nif, uint32_t addr_be, uint32_t mask_be, uint32_t gateway_be,
                     uint32_t dns_be, enum netif_state state);
void netif_set_mtu(struct netif *nif, uint32_t mtu);
// Rings every doorbell that `more` held back.
void netif_flush_all(void);
// True while some interface may yet get an address.
bool netif_configuring(void);
// Waits for that to end or for addresses to change; false if deadline_ns came first. gen: route_gen
// from before the caller looked at them. Context: goroutine, no locks.
bool netif_wait_configured(uint32_t gen, int64_t deadline_ns);

// Hands a frame to the device; p->data at the Ethernet header.
static inline bool netif_transmit(struct netif *nif, struct pbuf *p, bool more)
{
    bool sent = nif->dev->transmit(nif->dev, p, more);
    if (more)
        atomic_store_explicit(&nif->unflushed, true,
                              memory_order_release); /* pairs: NETIF-UNFLUSHED */
    return sent;
}

// The Ethernet header goes in front of p, and p to the device. False: it was dropped there.
static inline bool ether_output(struct netif *nif, struct pbuf *p, const uint8_t eth[ETH_HDR_LEN],
                                bool more)
{
    __builtin_memcpy(pbuf_push(p, ETH_HDR_LEN), eth, ETH_HDR_LEN);
    if (p->flags & PBUF_CSUM_PARTIAL)
        p->csum_start += ETH_HDR_LEN;
    return netif_transmit(nif, p, more);
}

// ether.c

void ether_input(struct netif *nif, struct pbuf *p);

// arp.c

void arp_input(struct netif *nif, struct pbuf *p);
// Writes the Ethernet header towards next_be into eth and returns 1; or keeps p (data at the IP
// header, headroom for Ethernet) until next_be has been resolved and returns 0; or returns
// -EHOSTUNREACH or -ENOBUFS, and p is still the caller's.
int arp_resolve(struct netif *nif, uint32_t next_be, struct pbuf *p, uint8_t eth[ETH_HDR_LEN]);
// Broadcasts a gratuitous ARP for our address.
void arp_announce(struct netif *nif);
// Forgets what was learnt through nif, whose address has changed.
void arp_flush(struct netif *nif);

// dhcp.c

// Starts the client's goroutine for nif; false when there is no memory for it.
bool dhcp_start(struct netif *nif);
// A sound datagram, data at its UDP header. If it is for the client's port: takes p and returns
// true if nif has a client. Context: g0.
bool dhcp_input(struct netif *nif, struct pbuf *p);
// Somebody else (mac) uses our address on nif's wire. Context: g0.
void dhcp_conflict(struct netif *nif);

// loopback.c

extern struct netdev loopback_dev;
void loopback_init(void);

#endif
