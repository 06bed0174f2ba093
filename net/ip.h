// SPDX-License-Identifier: BSD-2-Clause
// IPv4 as the transports see it. Addresses named *_be are in network order, ports named port in
// host order.
#ifndef NET_IP_H
#define NET_IP_H

#include "net/pbuf.h"
#include "net/wire.h"

struct netif;

// What a connection remembers of the way to its peer; zeroed: nothing. Guarded by the
// connection's lock. Valid while gen equals route_gen: that counter moves when an address, a
// gateway or a neighbour changes, and each time a neighbour in use is due for another look (every
// half minute).
struct route_cache {
    uint32_t gen;
    uint16_t mtu;
    uint8_t eth[ETH_HDR_LEN];
    struct netif *nif;
};

// Never 0. pairs: ROUTE-GEN
extern _Atomic(uint32_t) route_gen;

// ipv4.c

// Source address, interface and MTU towards dst_be. *src_be may hold an address of ours that is
// to be kept, 0 to choose one. nif and mtu may be NULL. 0, -ENETUNREACH, or -EADDRNOTAVAIL if
// *src_be is not ours.
int ipv4_route(uint32_t dst_be, struct netif **nif, uint32_t *src_be, uint16_t *mtu);

// The same, waiting while an interface is still being configured (DHCP), until deadline_ns
// (0: none). Context: goroutine, no locks held.
int ipv4_route_wait(uint32_t dst_be, uint32_t *src_be, uint16_t *mtu, int64_t deadline_ns);

// Sends a packet: p->data at the transport header, its headroom for ours. Consumes one reference
// of p in all cases, and moves p->data and p->len, flags and csum_start (a sender that keeps p
// sets them anew); p->next is left alone. p is one buffer with PBUF_HEADROOM less its own headers
// in front, or may be a chain if it is not TCP's. If p->flags has PBUF_CSUM_PARTIAL, csum_start
// is the transport header's offset from p->data (0) and the checksum field holds csum_fold of the
// pseudo-header; the checksum is completed here if the device does not do it. Without that flag
// the transport checksum is complete. src_be must be ours and not 0. TCP goes with "don't
// fragment"; what else is larger than the MTU is fragmented, unless PBUF_DONT_FRAGMENT. `more`:
// more will follow at once, so the device's doorbell may wait; the last one goes with false, or
// netif_flush_all follows (at the end of a receive batch it does by itself). 0, or -ENETUNREACH,
// -EHOSTUNREACH (neighbour known not to answer), -EMSGSIZE, -ENOBUFS (device full). While another
// reference than the caller's own is left, p->data, p->len and the bytes belong to the network
// and must be neither written nor relied upon. Context: goroutine or g0; locks up to
// LOCK_NET_MISC may be held. No waiting: while a neighbour is being resolved a few packets are
// kept for it.
int ipv4_output(struct pbuf *p, uint32_t src_be, uint32_t dst_be, uint8_t proto, uint8_t ttl,
                bool more);
int ipv4_output_cached(struct route_cache *rc, struct pbuf *p, uint32_t src_be, uint32_t dst_be,
                       uint8_t proto, uint8_t ttl, bool more);

// Sends p to 255.255.255.255 on nif, whether it has an address or not. Consumes p.
int ipv4_broadcast(struct netif *nif, struct pbuf *p, uint32_t src_be, uint8_t proto);

// From the link: p->data at the IP header. Context: g0 with a P.
void ipv4_input(struct netif *nif, struct pbuf *p);

// True if the address is one of ours (loopback included).
bool ipv4_is_local(uint32_t addr_be);
// True for 255.255.255.255 and the broadcast address of an interface.
bool ipv4_is_broadcast(uint32_t addr_be);

// Further flags of a pbuf, of this room's own.
enum {
    PBUF_DONT_FRAGMENT = 0x100, // transmit: -EMSGSIZE rather than fragments
    PBUF_BROADCAST = 0x200,     // receive: the frame was a link broadcast or multicast
};

// ipv4_frag.c

// Takes the fragment p (data at its IP header h, of hlen bytes). NULL while the packet is
// incomplete, else the whole of it: p->data at the transport header, the first fragment's IP
// header in front of that, and the length of that header in p->csum_start. Context: g0 with a P.
struct pbuf *ipv4_reassemble(struct pbuf *p, const struct ip4_hdr *h, uint32_t hlen);
// Buffers held for reassembly now.
uint32_t ipv4_frag_held(void);

// icmp.c

void icmp_input(struct netif *nif, struct pbuf *p, uint32_t src_be, uint32_t dst_be);
// Answers the packet at p (data at its IP header) with an error, rate limited and only where RFC
// 1122 allows it. Does not consume p. mtu: for ICMP_UNREACH_FRAG.
void icmp_send_error(struct pbuf *p, uint8_t type, uint8_t code, uint16_t mtu);

// udp.c

void udp_init(void);
// Checks p as a datagram and cuts off what is behind it.
bool udp_sound(struct pbuf *p, uint32_t src_be, uint32_t dst_be);
// False: nobody is bound to that port, and p is still the caller's. Context: g0 with a P.
bool udp_input(struct netif *nif, struct pbuf *p, uint32_t src_be, uint32_t dst_be);
void udp_icmp_error(uint32_t src_be, uint32_t dst_be, const uint8_t *hdr, int type, int code);

// tcp.c and its neighbours

void tcp_init(void);
// A segment: p->data at the TCP header, p->total its bytes, ownership with it. Not for broadcast
// or multicast destinations (those are dropped below). The checksum is TCP's to verify unless
// PBUF_CSUM_OK. Context: g0 with a P.
void tcp_input(struct netif *nif, struct pbuf *p, uint32_t src_be, uint32_t dst_be);
// An ICMP error about a segment of ours from src_be (us) to dst_be; hdr: at least the first 8
// bytes of its TCP header. type is ICMP_UNREACHABLE, ICMP_TIME_EXCEEDED or ICMP_PARAMETER; mtu
// only for ICMP_UNREACH_FRAG (0: unknown).
void tcp_icmp_error(uint32_t src_be, uint32_t dst_be, const uint8_t *hdr, int type, int code,
                    uint16_t mtu);
// The end of a receive batch on this core, before doorbells are rung. Context: g0 with a P.
void tcp_input_done(void);

// random.c

// Unpredictable numbers for sequence numbers, ports and hash keys. Context: goroutine or g0.
uint64_t net_random(void);
// SipHash-2-4 of n bytes under a 128-bit key.
uint64_t siphash(const uint64_t key[2], const void *data, uint32_t n);

#endif
