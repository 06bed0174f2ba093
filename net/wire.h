// SPDX-License-Identifier: BSD-2-Clause
// Headers as they stand on the wire. Fields whose names end in _be are in network order; be16 and
// be32 turn them into numbers and back. The structs are packed: a header may begin at any
// address.
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define WIRE __attribute__((packed, may_alias))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BE16(x) ((uint16_t)((((x) & 0xff) << 8) | (((x) >> 8) & 0xff)))
#define BE32(x) ((uint32_t)BE16((x) & 0xffff) << 16 | BE16((uint32_t)(x) >> 16))
#else
#define BE16(x) ((uint16_t)(x))
#define BE32(x) ((uint32_t)(x))
#endif

// Both directions: number to wire, wire to number.
static inline uint16_t be16(uint16_t x)
{
    return __builtin_constant_p(x) ? BE16(x) : __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ?
        __builtin_bswap16(x) : x;
}

static inline uint32_t be32(uint32_t x)
{
    return __builtin_constant_p(x) ? BE32(x) : __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ?
        __builtin_bswap32(x) : x;
}

// An IPv4 address as a constant in network order.
#define IP4_BE(a, b, c, d) \
    BE32((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum {
    ETH_HDR_LEN = 14,
    ETH_TYPE_IPV4 = 0x0800,
    ETH_TYPE_ARP = 0x0806,
    ETH_MIN_PAYLOAD = 46,
};

struct WIRE eth_hdr {
    uint8_t dst[6], src[6];
    uint16_t type_be;
};

// Constant sizes become plain moves only by their builtins, since kernel rooms are freestanding.
static inline bool mac_equal(const uint8_t a[6], const uint8_t b[6])
{
    return __builtin_memcmp(a, b, 6) == 0;
}

static inline void mac_copy(uint8_t to[6], const uint8_t from[6])
{
    __builtin_memcpy(to, from, 6);
}

struct WIRE arp_hdr {
    uint16_t hw_type_be, proto_type_be;
    uint8_t hw_len, proto_len;
    uint16_t op_be;
    uint8_t sender_mac[6];
    uint32_t sender_be;
    uint8_t target_mac[6];
    uint32_t target_be;
};

enum {
    IP4_HDR_LEN = 20,
    IP4_FLAG_DF = 0x4000,
    IP4_FLAG_MF = 0x2000,
    IP4_OFF_MASK = 0x1fff, // in units of 8 bytes
    IP_PROTO_ICMP = 1,
    IP_PROTO_TCP = 6,
    IP_PROTO_UDP = 17,
    IP_TTL_DEFAULT = 64,
};

struct WIRE ip4_hdr {
    uint8_t ver_ihl, tos;
    uint16_t len_be, id_be, frag_be;
    uint8_t ttl, proto;
    uint16_t csum;
    uint32_t src_be, dst_be;
};

struct WIRE udp_hdr {
    uint16_t sport_be, dport_be, len_be, csum;
};

struct WIRE icmp_hdr {
    uint8_t type, code;
    uint16_t csum;
    uint16_t id_be, seq_be; // echo; in "fragmentation needed", seq_be is the next hop's MTU
};

enum {
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_ECHO = 8,
    ICMP_TIME_EXCEEDED = 11,
    ICMP_PARAMETER = 12,
    ICMP_UNREACH_NET = 0,
    ICMP_UNREACH_HOST = 1,
    ICMP_UNREACH_PROTO = 2,
    ICMP_UNREACH_PORT = 3,
    ICMP_UNREACH_FRAG = 4,
};

// In host order.
static inline uint32_t ip4_loopback(uint32_t addr_be) { return (be32(addr_be) >> 24) == 127; }
static inline uint32_t ip4_multicast(uint32_t addr_be) { return (be32(addr_be) >> 28) == 14; }

#endif
