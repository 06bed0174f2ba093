// SPDX-License-Identifier: BSD-2-Clause
// Random numbers that come again with the same seed (xoroshiro128+, filled by splitmix64).
#include "tools/lab/lab.h"

static uint64_t mix(uint64_t *x)
{
    uint64_t z = *x += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

void chance_seed(struct chance *c, uint64_t seed, uint64_t stream)
{
    uint64_t x = seed + stream * 0xd1342543de82ef95ull;
    c->s[0] = mix(&x);
    c->s[1] = mix(&x);
}

static uint64_t rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }

uint64_t chance_next(struct chance *c)
{
    uint64_t a = c->s[0], b = c->s[1], result = a + b;
    b ^= a;
    c->s[0] = rotl(a, 24) ^ b ^ b << 16;
    c->s[1] = rotl(b, 37);
    return result;
}

uint64_t chance_below(struct chance *c, uint64_t n)
{
    return n ? (uint64_t)((unsigned __int128)chance_next(c) * n >> 64) : 0;
}

bool chance_strikes(struct chance *c, double probability)
{
    return probability > 0 && (double)(chance_next(c) >> 11) * 0x1p-53 < probability;
}
