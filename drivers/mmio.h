// SPDX-License-Identifier: BSD-2-Clause
// Device registers in memory. A write is ordered after everything the program did before it, a
// read before everything it does next; the device sees writes in program order.
#ifndef DRIVERS_MMIO_H
#define DRIVERS_MMIO_H

#include <stdatomic.h>
#include <stdint.h>

typedef volatile uint8_t mmio_t;

static inline uint8_t mmio_read8(mmio_t *r)
{
    uint8_t v = *r;
    atomic_thread_fence(memory_order_acquire);
    return v;
}

static inline uint16_t mmio_read16(mmio_t *r)
{
    uint16_t v = *(volatile uint16_t *)r;
    atomic_thread_fence(memory_order_acquire);
    return v;
}

static inline uint32_t mmio_read32(mmio_t *r)
{
    uint32_t v = *(volatile uint32_t *)r;
    atomic_thread_fence(memory_order_acquire);
    return v;
}

static inline void mmio_write8(mmio_t *r, uint8_t v)
{
    atomic_thread_fence(memory_order_release);
    *r = v;
}

static inline void mmio_write16(mmio_t *r, uint16_t v)
{
    atomic_thread_fence(memory_order_release);
    *(volatile uint16_t *)r = v;
}

static inline void mmio_write32(mmio_t *r, uint32_t v)
{
    atomic_thread_fence(memory_order_release);
    *(volatile uint32_t *)r = v;
}

#endif
