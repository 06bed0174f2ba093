// SPDX-License-Identifier: BSD-2-Clause
// What the boot tests of the runtime's semantics share.
#ifndef TESTS_BOOT_CHECK_H
#define TESTS_BOOT_CHECK_H

#include <heddle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/sched.h"

#define check(cond)                                                        \
    do {                                                                   \
        if (!(cond)) {                                                     \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);      \
            exit(1);                                                       \
        }                                                                  \
    } while (0)

// How many goroutines are parked for that reason. A look at what is theirs, not kept from changing.
__attribute__((no_sanitize("thread"))) static inline unsigned parked(enum wait_reason reason)
{
    unsigned n = 0;
    for (struct g *gp = g_all(); gp; gp = gp->all_next)
        n += atomic_load_explicit(&gp->status, memory_order_acquire) == G_WAITING &&
             gp->wait_reason == reason;
    return n;
}

// For what other goroutines are about to bring about.
#define check_soon(cond)                                   \
    do {                                                   \
        for (int i_ = 0; i_ < 10000 && !(cond); i_++)      \
            time_sleep(i_ < 100 ? 10 * TIME_US : TIME_MS); \
        check(cond);                                       \
    } while (0)

// True if fn(arg) panics with exactly that message.
static inline bool panics(const char *message, void (*fn)(void *), void *arg)
{
    struct go_panic_info info;
    if (go_try(fn, arg, &info))
        return false;
    if (strcmp(info.message, message) == 0)
        return true;
    printf("panicked with: %s\n", info.message);
    return false;
}

// Gives other goroutines the time to do what they should not do, or to get where they wait.
static inline void settle(void)
{
    time_sleep(3 * TIME_MS);
}

static inline uint32_t rand_below(uint32_t *s, uint32_t n)
{
    *s = *s * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)*s * n) >> 32);
}

#endif
