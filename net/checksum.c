// SPDX-License-Identifier: BSD-2-Clause
// The Internet checksum, eight bytes at a time with the carry brought round. The sum of 64-bit
// words folds to the same 16 bits as the sum of 16-bit words, in whatever byte order memory has.
#include "net/checksum.h"

struct word { uint64_t v; } __attribute__((packed, may_alias));
struct half { uint32_t v; } __attribute__((packed, may_alias));
struct quarter { uint16_t v; } __attribute__((packed, may_alias));

static inline uint64_t get(const uint8_t *b) { return ((const struct word *)b)->v; }
static inline void put(uint8_t *b, uint64_t v) { ((struct word *)b)->v = v; }

static inline uint64_t plus(uint64_t a, uint64_t b)
{
    a += b;
    return a + (a < b);
}

static inline uint32_t narrow(uint64_t s)
{
    s = (s >> 32) + (s & 0xffffffff);
    return (uint32_t)((s >> 32) + s);
}

// Fewer than eight bytes: words that begin at even offsets add up alike, whatever their width.
static inline uint64_t plus_tail(uint64_t s, const uint8_t *b, uint32_t n)
{
    if (n & 4) {
        s = plus(s, ((const struct half *)b)->v);
        b += 4;
    }
    if (n & 2) {
        s = plus(s, ((const struct quarter *)b)->v);
        b += 2;
    }
    if (n & 1)
        s = plus(s, be16((uint16_t)(*b << 8)));
    return s;
}

static inline void copy_tail(uint8_t *d, const uint8_t *b, uint32_t n)
{
    if (n & 4) {
        ((struct half *)d)->v = ((const struct half *)b)->v;
        d += 4;
        b += 4;
    }
    if (n & 2) {
        ((struct quarter *)d)->v = ((const struct quarter *)b)->v;
        d += 2;
        b += 2;
    }
    if (n & 1)
        *d = *b;
}

uint32_t csum_add(uint32_t sum, const void *data, uint32_t n)
{
    const uint8_t *b = data;
    uint64_t s = sum;
    for (; n >= 32; n -= 32, b += 32) {
        s = plus(s, get(b));
        s = plus(s, get(b + 8));
        s = plus(s, get(b + 16));
        s = plus(s, get(b + 24));
    }
    for (; n >= 8; n -= 8, b += 8)
        s = plus(s, get(b));
    return narrow(plus_tail(s, b, n));
}

uint32_t csum_copy(uint32_t sum, void *dst, const void *src, uint32_t n)
{
    const uint8_t *b = src;
    uint8_t *d = dst;
    uint64_t s = sum;
    for (; n >= 32; n -= 32, b += 32, d += 32) {
        uint64_t v0 = get(b), v1 = get(b + 8), v2 = get(b + 16), v3 = get(b + 24);
        put(d, v0);
        put(d + 8, v1);
        put(d + 16, v2);
        put(d + 24, v3);
        s = plus(plus(s, v0), v1);
        s = plus(plus(s, v2), v3);
    }
    for (; n >= 8; n -= 8, b += 8, d += 8) {
        uint64_t v = get(b);
        put(d, v);
        s = plus(s, v);
    }
    copy_tail(d, b, n);
    return narrow(plus_tail(s, b, n));
}

uint32_t csum_pbuf(uint32_t sum, const struct pbuf *p, uint32_t off, uint32_t n)
{
    uint32_t done = 0;
    for (; n; p = p->chain) {
        if (off >= p->len) {
            off -= p->len;
            continue;
        }
        uint32_t here = n < p->len - off ? n : p->len - off;
        sum = csum_combine(sum, csum_add(0, p->data + off, here), done);
        done += here;
        n -= here;
        off = 0;
    }
    return sum;
}
