// SPDX-License-Identifier: BSD-2-Clause
// The Internet checksum (RFC 1071). Sums are kept unfolded and in memory order, so no byte is
// swapped.
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

#include "net/pbuf.h"
#include "net/wire.h"

// checksum.c

// Adds n bytes to sum, a value of these functions or 0. The bytes count as beginning at an even
// offset.
uint32_t csum_add(uint32_t sum, const void *data, uint32_t n);
// Copies n bytes and adds them to sum in one pass.
uint32_t csum_copy(uint32_t sum, void *dst, const void *src, uint32_t n);
// Adds n bytes of the packet (chain included) from offset off on. The packet has them.
uint32_t csum_pbuf(uint32_t sum, const struct pbuf *p, uint32_t off, uint32_t n);
// The sum of bytes that stand at an odd offset, made fit for adding to others: csum_combine(a, b,
// len of a).
static inline uint32_t csum_combine(uint32_t a, uint32_t b, uint32_t a_len);

// Adds two sums.
static inline uint32_t csum_join(uint32_t a, uint32_t b)
{
    uint32_t s = a + b;
    return s + (s < a);
}

// Folds to 16 bits without complement: 0xffff over data that carries its right checksum.
static inline uint16_t csum_fold(uint32_t sum)
{
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)((sum >> 16) + sum);
}

// What belongs in a checksum field.
static inline uint16_t csum_finish(uint32_t sum) { return (uint16_t)~csum_fold(sum); }

// The pseudo-header of TCP and UDP over IPv4; len counts the transport header and data.
static inline uint32_t csum_pseudo(uint32_t src_be, uint32_t dst_be, uint8_t proto, uint32_t len)
{
    uint64_t s = (uint64_t)src_be + dst_be + BE16(proto) + be16((uint16_t)len);
    return (uint32_t)s + (uint32_t)(s >> 32);
}

static inline uint32_t csum_combine(uint32_t a, uint32_t b, uint32_t a_len)
{
    if (a_len & 1)
        b = b << 8 | b >> 24;
    return csum_join(a, b);
}

#endif
