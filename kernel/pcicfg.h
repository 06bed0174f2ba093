// SPDX-License-Identifier: BSD-2-Clause
// PCI configuration space where no memory window to it is known.
#ifndef KERNEL_PCICFG_H
#define KERNEL_PCICFG_H

#include <stdint.h>

// arch/*/pci.c

// The first 256 bytes of a function's configuration space; size is 1, 2 or 4 and off a multiple
// of it. All ones where nothing answers or the architecture has no such way. Context: goroutine
// or boot; callers take turns by themselves.
uint32_t arch_pci_cfg_read(uint8_t bus, uint8_t dev, uint8_t fn, unsigned off, unsigned size);
void arch_pci_cfg_write(uint8_t bus, uint8_t dev, uint8_t fn, unsigned off, unsigned size,
                        uint32_t value);

#endif
