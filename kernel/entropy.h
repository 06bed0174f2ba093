// SPDX-License-Identifier: BSD-2-Clause
// Unpredictable bytes: sequence numbers, hash keys, canaries.
#ifndef KERNEL_ENTROPY_H
#define KERNEL_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

// entropy.c

// Fills buf with n bytes. They are as unpredictable as the processor's random number instruction
// and what entropy_add was given, whichever is more so. Without both they come from the jitter of
// the counter against memory and emulation, which is enough to keep a stranger on the network
// guessing, not to make long-lived secrets from. Context: boot, goroutine or g0; not an interrupt
// handler.
void entropy_get(void *buf, size_t n);

// Mixes n bytes of somebody else's randomness into every core's generator, before it hands out
// anything more. Context: goroutine or g0.
void entropy_add(const void *data, size_t n);
// Registers whom to ask for more when much has been handed out: ask(arg) is called from any context
// of entropy_get, perhaps with locks held, and must only take note. Context: once.
void entropy_source(void (*ask)(void *), void *arg);

// One ChaCha20 block: 64 bytes of key stream for a 256-bit key, a block counter and a 96-bit
// nonce.
void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
                    uint8_t out[64]);

#endif
