// SPDX-License-Identifier: BSD-2-Clause
// Random numbers of the network, and SipHash-2-4 for what a stranger must not be able to guess or
// collide: initial sequence numbers, SYN cookies, places in hash tables.
#include <string.h>

#include "kernel/entropy.h"
#include "net/ip.h"

uint64_t net_random(void)
{
    uint64_t r;
    entropy_get(&r, sizeof(r));
    return r;
}

static inline uint64_t rotl(uint64_t x, int n) { return x << n | x >> (64 - n); }

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

// Eight bytes as a little-endian number; fewer at the end.
static inline uint64_t le64(const uint8_t *b, uint32_t n)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < n; i++)
        v |= (uint64_t)b[i] << (8 * i);
    return v;
}

uint64_t siphash(const uint64_t key[2], const void *data, uint32_t n)
{
    const uint8_t *b = data;
    uint64_t v[4] = {
        key[0] ^ 0x736f6d6570736575ull,
        key[1] ^ 0x646f72616e646f6dull,
        key[0] ^ 0x6c7967656e657261ull,
        key[1] ^ 0x7465646279746573ull,
    };
    uint32_t left = n;
    for (;; left -= 8, b += 8) {
        uint64_t m = left >= 8 ? le64(b, 8) : le64(b, left) | (uint64_t)n << 56;
        v[3] ^= m;
        sip_round(v);
        sip_round(v);
        v[0] ^= m;
        if (left < 8)
            break;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
