// SPDX-License-Identifier: BSD-2-Clause
// A generator a core: ChaCha20 in fast-key-erasure form. A refill makes four blocks from the
// key; the first 32 bytes become the next key, the rest is handed out, and bytes handed out are
// wiped. So what was given earlier cannot be reconstructed from a core's memory, and no lock is
// needed: a core's state is touched only by code running there with preemption off.
//
// Seeding: four hardware random numbers where the processor has them, and 64 samples of the
// counter around memory accesses in any case, all run through the cipher. Fresh hardware numbers
// are mixed into the key at each refill.
//
// What devices give (entropy_add) is absorbed into one shared seed, under a lock, and its number
// goes up. A core that finds the number changed throws away what it has in store and absorbs the
// seed, which does not tell what the core's key was nor is told by it.

#include "kernel/entropy.h"

#include <string.h>

#include "arch/arch.h"
#include "kernel/preempt.h"
#include "kernel/spinlock.h"
#include "lib/le.h"
#include "sched/g.h"

#define POOL_BLOCKS 4u
#define POOL_BYTES (POOL_BLOCKS * 64u - 32u)
#define JITTER_SAMPLES 64u

#define ASK_EVERY 4096u // refills of a core between two requests to the source

static struct spinlock shared_lock = SPINLOCK_INIT(LOCK_ENTROPY);
static uint32_t shared[8];              // guard: shared_lock
static _Atomic(uint32_t) shared_number; // pairs: ENTROPY-SHARED. Changes under shared_lock
static void (*_Atomic source)(void *);  // pairs: ENTROPY-SOURCE. The last one registered
static void *source_arg;

struct generator {
    // Owner: the core, preemption off.
    uint32_t key[8];
    uint32_t number;  // of the shared seed it has absorbed
    uint32_t refills;
    uint32_t left; // unused bytes at the end of pool
    bool seeded;
    uint8_t pool[POOL_BYTES];
} __attribute__((aligned(CACHE_LINE)));

static struct generator generators[MAX_CORES];

static uint32_t rotl(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a += *b;
    *d = rotl(*d ^ *a, 16);
    *c += *d;
    *b = rotl(*b ^ *c, 12);
    *a += *b;
    *d = rotl(*d ^ *a, 8);
    *c += *d;
    *b = rotl(*b ^ *c, 7);
}

void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
                    uint8_t out[64])
{
    uint32_t in[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }; // "expand 32-byte k"
    memcpy(in + 4, key, 32);
    in[12] = counter;
    memcpy(in + 13, nonce, 12);
    uint32_t x[16];
    memcpy(x, in, sizeof x);
    for (int i = 0; i < 10; i++) {
        for (unsigned c = 0; c < 4; c++)
            quarter_round(&x[c], &x[4 + c], &x[8 + c], &x[12 + c]);
        for (unsigned c = 0; c < 4; c++)
            quarter_round(&x[c], &x[4 + (c + 1) % 4], &x[8 + (c + 2) % 4], &x[12 + (c + 3) % 4]);
    }
    for (int i = 0; i < 16; i++)
        le32_put(out + 4 * i, x[i] + in[i]);
}

// Replaces the key by one that depends on it and on all of data.
static void absorb(uint32_t key[8], const uint32_t *data, size_t words)
{
    static const uint32_t nonce[3] = { 0x64656573 };
    uint8_t block[64];
    for (size_t i = 0; i < words; i++) {
        key[i % 8] ^= data[i];
        if (i % 8 == 7 || i == words - 1) {
            chacha20_block(key, (uint32_t)i, nonce, block);
            memcpy(key, block, 32);
        }
    }
    memset(block, 0, sizeof block);
    __asm__ volatile("" : : "r"(block) : "memory"); // the wiping is for real
}

static void seed(struct generator *gen)
{
    uint32_t samples[JITTER_SAMPLES];
    volatile uint8_t *walk = gen->pool;
    for (size_t i = 0; i < JITTER_SAMPLES; i++) {
        size_t steps = 8 + (i ? samples[i - 1] & 7 : 0);
        for (size_t k = 0; k < steps; k++)
            walk[(k * 97 + i * 61) % POOL_BYTES]++;
        samples[i] = (uint32_t)arch_counter();
    }
    absorb(gen->key, samples, JITTER_SAMPLES);
    uint64_t who = (uint64_t)(gen - generators);
    for (int i = 0; i < 4; i++) {
        uint64_t hw = 0;
        arch_random_u64(&hw);
        uint32_t words[4] = { (uint32_t)hw, (uint32_t)(hw >> 32), (uint32_t)who, (uint32_t)i };
        absorb(gen->key, words, 4);
    }
    gen->seeded = true;
}

static void take_shared(struct generator *gen, uint32_t number)
{
    uint32_t copy[8];
    spin_lock(&shared_lock);
    memcpy(copy, shared, sizeof copy);
    spin_unlock(&shared_lock);
    absorb(gen->key, copy, 8);
    memset(copy, 0, sizeof copy);
    __asm__ volatile("" : : "r"(copy) : "memory"); // the wiping is for real
    gen->number = number;
}

void entropy_add(const void *data, size_t n)
{
    const uint8_t *p = data;
    spin_lock(&shared_lock);
    while (n > 0) {
        uint32_t words[8] = { 0 };
        size_t now = MIN(n, sizeof words);
        memcpy(words, p, now);
        absorb(shared, words, 8);
        p += now;
        n -= now;
    }
    uint32_t number = atomic_load_explicit(&shared_number, memory_order_relaxed) + 1;
    // pairs: ENTROPY-SHARED
    atomic_store_explicit(&shared_number, number ? number : 1, memory_order_release);
    spin_unlock(&shared_lock);
}

void entropy_source(void (*ask)(void *), void *arg)
{
    source_arg = arg;
    atomic_store_explicit(&source, ask, memory_order_release); // pairs: ENTROPY-SOURCE
}

static void refill(struct generator *gen, uint32_t number)
{
    static const uint32_t nonce[3] = { 0x6c6f6f70 };
    if (!gen->seeded)
        seed(gen);
    if (gen->number != number)
        take_shared(gen, number);
    // pairs: ENTROPY-SOURCE
    void (*ask)(void *) = atomic_load_explicit(&source, memory_order_acquire);
    if (++gen->refills % ASK_EVERY == 0 && ask)
        ask(source_arg);
    uint64_t hw = 0;
    arch_random_u64(&hw);
    uint64_t now = arch_counter();
    gen->key[0] ^= (uint32_t)hw;
    gen->key[1] ^= (uint32_t)(hw >> 32);
    gen->key[2] ^= (uint32_t)now;
    gen->key[3] ^= (uint32_t)(now >> 32);
    uint8_t first[64];
    chacha20_block(gen->key, 0, nonce, first);
    memcpy(gen->pool, first + 32, 32);
    for (uint32_t i = 1; i < POOL_BLOCKS; i++)
        chacha20_block(gen->key, i, nonce, gen->pool + 64 * i - 32);
    memcpy(gen->key, first, 32);
    memset(first, 0, sizeof first);
    __asm__ volatile("" : : "r"(first) : "memory");
    gen->left = POOL_BYTES;
}

void entropy_get(void *buf, size_t n)
{
    uint8_t *out = buf;
    while (n) {
        // One piece at a time with preemption off, so that a long request holds nobody up.
        preempt_disable();
        struct generator *gen = &generators[getg()->m->id];
        // pairs: ENTROPY-SHARED
        uint32_t number = atomic_load_explicit(&shared_number, memory_order_acquire);
        if (gen->left == 0 || unlikely(gen->number != number))
            refill(gen, number);
        size_t take = MIN(n, gen->left);
        uint8_t *from = gen->pool + POOL_BYTES - gen->left;
        memcpy(out, from, take);
        memset(from, 0, take);
        gen->left -= (uint32_t)take;
        preempt_enable();
        out += take;
        n -= take;
    }
}
