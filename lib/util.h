// SPDX-License-Identifier: BSD-2-Clause
// Small helpers every room uses; nothing here has state.
#ifndef LIB_UTIL_H
#define LIB_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define CACHE_LINE 64
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

// n must be a power of two.
#define ROUND_UP(x, n) (((x) + ((n) - 1)) & ~((__typeof__(x))(n) - 1))
#define ROUND_DOWN(x, n) ((x) & ~((__typeof__(x))(n) - 1))

// Keeps the compiler, not the processor, from moving memory accesses across.
#define barrier() __asm__ volatile("" ::: "memory")

#endif
