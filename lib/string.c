// SPDX-License-Identifier: BSD-2-Clause
// The memory and string functions of every room below libc/, in general registers only: newlib's
// may use vector registers, which belong to the interrupted goroutine while an interrupt is
// handled.
//
// The mem functions are the application's as well. They move 8 bytes at a time, unaligned where
// need be: the string instructions are several times slower under an emulator, and newlib's large
// copies bypass the caches. Overlap costs memmove nothing: the far end of the block is read before
// the loop and written after it, so memcpy is the same function.
//
// Compiled so that a loop here does not become a call of the function it is in.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/util.h"

#define EXPORT __attribute__((visibility("default")))

// A word at any address, part of an object of any type.
struct word {
    uint64_t v;
} __attribute__((packed, may_alias));

struct half {
    uint32_t v;
} __attribute__((packed, may_alias));

struct quarter {
    uint16_t v;
} __attribute__((packed, may_alias));

#define LOAD(p, i) (((const struct word *)(p))[i].v)
#define STORE(p, i, x) (((struct word *)(p))[i].v = (x))
#define ONES UINT64_C(0x0101010101010101)

// n < 32. All of it is read before anything is written.
static inline void move_small(char *d, const char *s, size_t n)
{
    if (n >= 16) {
        uint64_t a = LOAD(s, 0), b = LOAD(s, 1), c = LOAD(s + n - 16, 0), e = LOAD(s + n - 16, 1);
        STORE(d, 0, a);
        STORE(d, 1, b);
        STORE(d + n - 16, 0, c);
        STORE(d + n - 16, 1, e);
    } else if (n >= 8) {
        uint64_t a = LOAD(s, 0), b = LOAD(s + n - 8, 0);
        STORE(d, 0, a);
        STORE(d + n - 8, 0, b);
    } else if (n >= 4) {
        uint32_t a = ((const struct half *)s)->v, b = ((const struct half *)(s + n - 4))->v;
        ((struct half *)d)->v = a;
        ((struct half *)(d + n - 4))->v = b;
    } else if (n >= 2) {
        uint16_t a = ((const struct quarter *)s)->v;
        uint16_t b = ((const struct quarter *)(s + n - 2))->v;
        ((struct quarter *)d)->v = a;
        ((struct quarter *)(d + n - 2))->v = b;
    } else if (n == 1) {
        *d = *s;
    }
}

// n >= 32, upwards: right when d is below s or they do not overlap.
static inline void move_up(char *d, const char *s, size_t n)
{
    const char *s_tail = s + n - 32;
    char *d_tail = d + n - 32;
    uint64_t t0 = LOAD(s_tail, 0), t1 = LOAD(s_tail, 1);
    uint64_t t2 = LOAD(s_tail, 2), t3 = LOAD(s_tail, 3);
    for (; d < d_tail; d += 32, s += 32) {
        uint64_t a = LOAD(s, 0), b = LOAD(s, 1), c = LOAD(s, 2), e = LOAD(s, 3);
        STORE(d, 0, a);
        STORE(d, 1, b);
        STORE(d, 2, c);
        STORE(d, 3, e);
    }
    STORE(d_tail, 0, t0);
    STORE(d_tail, 1, t1);
    STORE(d_tail, 2, t2);
    STORE(d_tail, 3, t3);
}

// n >= 32, downwards: for d inside [s, s + n).
static inline void move_down(char *d, const char *s, size_t n)
{
    uint64_t h0 = LOAD(s, 0), h1 = LOAD(s, 1), h2 = LOAD(s, 2), h3 = LOAD(s, 3);
    for (size_t left = n; left > 32; left -= 32) {
        const char *from = s + left - 32;
        char *to = d + left - 32;
        uint64_t a = LOAD(from, 0), b = LOAD(from, 1), c = LOAD(from, 2), e = LOAD(from, 3);
        STORE(to, 0, a);
        STORE(to, 1, b);
        STORE(to, 2, c);
        STORE(to, 3, e);
    }
    STORE(d, 0, h0);
    STORE(d, 1, h1);
    STORE(d, 2, h2);
    STORE(d, 3, h3);
}

EXPORT void *memmove(void *dst, const void *src, size_t n)
{
    if (n < 32)
        move_small(dst, src, n);
    else if ((uintptr_t)dst - (uintptr_t)src >= n)
        move_up(dst, src, n);
    else
        move_down(dst, src, n);
    return dst;
}

EXPORT void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    if (n < 32)
        move_small(dst, src, n);
    else
        move_up(dst, src, n);
    return dst;
}

EXPORT void *memset(void *dst, int byte, size_t n)
{
    char *d = dst;
    uint64_t w = (uint8_t)byte * ONES;
    if (n < 16) {
        if (n >= 8) {
            STORE(d, 0, w);
            STORE(d + n - 8, 0, w);
        } else {
            while (n-- > 0)
                *d++ = (char)byte;
        }
        return dst;
    }
    char *last = d + n - 16;
    for (; d + 16 < last; d += 32) {
        STORE(d, 0, w);
        STORE(d, 1, w);
        STORE(d, 2, w);
        STORE(d, 3, w);
    }
    if (d < last) {
        STORE(d, 0, w);
        STORE(d, 1, w);
    }
    STORE(last, 0, w);
    STORE(last, 1, w);
    return dst;
}

EXPORT int memcmp(const void *left, const void *right, size_t n)
{
    const unsigned char *a = left, *b = right;
    for (; n >= 8 && LOAD(a, 0) == LOAD(b, 0); a += 8, b += 8)
        n -= 8;
    for (; n > 0; n--, a++, b++)
        if (*a != *b)
            return *a < *b ? -1 : 1;
    return 0;
}

void *memchr(const void *s, int byte, size_t n)
{
    for (const unsigned char *p = s; n > 0; n--, p++)
        if (*p == (unsigned char)byte)
            return (void *)(uintptr_t)p;
    return NULL;
}

size_t strlen(const char *s)
{
    const char *p = s;
    while (*p)
        p++;
    return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && s[i])
        i++;
    return i;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n > 0; n--, a++, b++)
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

int strcmp(const char *a, const char *b)
{
    for (; *a == *b && *a; a++, b++)
        ;
    return (unsigned char)*a - (unsigned char)*b;
}

size_t strspn(const char *s, const char *accept)
{
    size_t n = 0;
    while (s[n] && strchr(accept, s[n]))
        n++;
    return n;
}

char *strchr(const char *s, int byte)
{
    for (; *s != (char)byte; s++)
        if (!*s)
            return NULL;
    return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int byte)
{
    const char *last = NULL;
    for (;; s++) {
        if (*s == (char)byte)
            last = s;
        if (!*s)
            return (char *)(uintptr_t)last;
    }
}
