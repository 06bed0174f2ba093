// SPDX-License-Identifier: BSD-2-Clause
// Clearing and copying of aligned blocks, 64 bytes a turn with plain 8-byte moves: string
// instructions are several times slower than that under an emulator, and no slower than needed
// for blocks of a page.
#ifndef LIB_WORDS_H
#define LIB_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/util.h"

// A word that may be part of an object of any type.
typedef uint64_t __attribute__((may_alias)) alias_word;

// p aligned to 16, bytes a multiple of 16.
static inline void words_zero(void *p, size_t bytes)
{
    alias_word *w = p, *end = w + bytes / 8;
    for (; end - w >= 8; w += 8) {
        w[0] = 0, w[1] = 0, w[2] = 0, w[3] = 0;
        w[4] = 0, w[5] = 0, w[6] = 0, w[7] = 0;
        barrier(); // or the compiler would make a call of memset from the loop
    }
    for (; w < end; w += 2) {
        w[0] = 0, w[1] = 0;
        barrier();
    }
}

// Both aligned to 16, bytes a multiple of 16; the blocks do not overlap.
static inline void words_copy(void *dst, const void *src, size_t bytes)
{
    alias_word *d = dst, *end = d + bytes / 8;
    const alias_word *s = src;
    for (; end - d >= 8; d += 8, s += 8) {
        d[0] = s[0], d[1] = s[1], d[2] = s[2], d[3] = s[3];
        d[4] = s[4], d[5] = s[5], d[6] = s[6], d[7] = s[7];
        barrier();
    }
    for (; d < end; d += 2, s += 2) {
        d[0] = s[0], d[1] = s[1];
        barrier();
    }
}

#endif
