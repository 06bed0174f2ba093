// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=kernel/entropy.c cflags=-fsanitize=address,undefined timeout=60
//
// The generator of unpredictable bytes: its cipher against the example of RFC 8439, section
// 2.3.2, and its output for what can be seen from outside: no two requests alike, on no two
// cores, bits evenly spread, with and without a random number instruction.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/entropy.h"
#include "kernel/spinlock.h"
#include "sched/g.h"

_Thread_local struct g *host_g;
static struct m ms[2];
static struct g gs[2];
static bool hardware;
static int failures;

#define CHECK(cond)                                                   \
    do {                                                              \
        if (!(cond) && failures++ < 20)                               \
            printf("%s:%d: not so: %s\n", __func__, __LINE__, #cond); \
    } while (0)

void preempt_yield(void) {}
void spin_lock(struct spinlock *l) { (void)l; }
void spin_unlock(struct spinlock *l) { (void)l; }

bool arch_random_u64(uint64_t *out)
{
    static uint64_t n;
    if (hardware)
        *out = n++ * 0x9e3779b97f4a7c15ull;
    return hardware;
}

static void test_cipher(void)
{
    static const uint8_t expected[64] = {
        0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f,
        0xa3, 0x20, 0x71, 0xc4, 0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03,
        0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e, 0xd2, 0x82, 0x64, 0x46,
        0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2,
        0xb5, 0x12, 0x9c, 0xd1, 0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8,
        0xa2, 0x50, 0x3c, 0x4e,
    };
    uint32_t key[8];
    for (uint32_t i = 0; i < 8; i++)
        key[i] = (4 * i) | (4 * i + 1) << 8 | (4 * i + 2) << 16 | (4 * i + 3) << 24;
    static const uint32_t nonce[3] = { 0x09000000, 0x4a000000, 0 };
    uint8_t out[64];
    chacha20_block(key, 1, nonce, out);
    CHECK(memcmp(out, expected, 64) == 0);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

static void test_output(void)
{
    enum { WORDS = 40000 };
    static uint64_t words[WORDS];
    for (unsigned i = 0; i < WORDS; i++) {
        host_g = &gs[i & 1];
        entropy_get(&words[i], 8);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        unsigned ones = 0;
        for (unsigned i = 0; i < WORDS; i++)
            ones += words[i] >> bit & 1;
        CHECK(ones > WORDS / 2 - 1000 && ones < WORDS / 2 + 1000); // ten standard deviations
    }
    qsort(words, WORDS, 8, compare);
    for (unsigned i = 1; i < WORDS; i++)
        CHECK(words[i] != words[i - 1]);
}

// Odd lengths, longer than the pool; the bytes around stay as they are.
static void test_lengths(void)
{
    for (size_t n = 0; n < 1500; n += 1 + n / 7) {
        uint8_t *b = malloc(n + 2);
        memset(b, 0xee, n + 2);
        entropy_get(b + 1, n);
        CHECK(b[0] == 0xee && b[n + 1] == 0xee);
        unsigned same = 0;
        for (size_t i = 1; i <= n; i++)
            same += b[i] == 0xee;
        CHECK(same <= 8 + n / 32);
        free(b);
    }
    CHECK(gs[0].preempt_off == 0 && gs[1].preempt_off == 0);
}

static unsigned asked;

static void ask(void *arg) { asked += arg == &asked; }

// What a device gives counts at once, on every core, and whatever its length; after much output the
// device is asked for more.
static void test_devices(void)
{
    uint8_t before[32], after[32], given[100] = { 1, 2, 3 };
    for (unsigned core = 0; core < 2; core++) {
        host_g = &gs[core];
        entropy_get(before, sizeof before);
    }
    for (size_t n = 1; n <= sizeof given; n += 33) {
        entropy_add(given, n);
        for (unsigned core = 0; core < 2; core++) {
            host_g = &gs[core];
            entropy_get(after, sizeof after);
            CHECK(memcmp(before, after, sizeof after) != 0);
            memcpy(before, after, sizeof after);
        }
    }
    host_g = &gs[0];
    entropy_source(ask, &asked);
    for (unsigned i = 0; i < 3u << 15; i++)
        entropy_get(after, sizeof after);
    CHECK(asked >= 2 && asked < 10);
}

int main(void)
{
    for (unsigned i = 0; i < 2; i++) {
        ms[i].id = i;
        gs[i].m = &ms[i];
    }
    host_g = &gs[0];
    test_cipher();
    test_output();
    hardware = true;
    test_output();
    test_lengths();
    test_devices();
    printf("entropy: cipher, output, lengths, devices: %d failures\n", failures);
    return failures != 0;
}
