// SPDX-License-Identifier: BSD-2-Clause
// Device registers in memory. A write is ordered after everything the program did before it, a
// read before everything it does next; the device sees writes in program order.
#ifndef DRIVERS_MMIO_H
#define DRIVERS_MMIO_H

#include <stdint.h>

#include <arch_inline.h>

typedef volatile uint8_t mmio_t;

static inline uint8_t mmio_read8(mmio_t *r) { return arch_mmio_read8(r); }
static inline uint16_t mmio_read16(mmio_t *r) { return arch_mmio_read16(r); }
static inline uint32_t mmio_read32(mmio_t *r) { return arch_mmio_read32(r); }
static inline void mmio_write8(mmio_t *r, uint8_t v) { arch_mmio_write8(r, v); }
static inline void mmio_write16(mmio_t *r, uint16_t v) { arch_mmio_write16(r, v); }
static inline void mmio_write32(mmio_t *r, uint32_t v) { arch_mmio_write32(r, v); }

#endif
