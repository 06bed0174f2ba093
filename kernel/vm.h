// SPDX-License-Identifier: BSD-2-Clause
// The address space above the page tables: mappings of device registers and goroutine stacks.
#ifndef KERNEL_VM_H
#define KERNEL_VM_H

#include <stddef.h>
#include <stdint.h>

// vm.c

// Device registers at physical [pa, pa + len), uncached; any alignment. NULL when memory for page
// tables is exhausted or the range is absurd. Never unmapped; mapping the same registers twice is
// harmless.
void *vm_map_mmio(uint64_t pa, size_t len);

// The same for a screen's memory: writes may be gathered and come late.
void *vm_map_screen(uint64_t pa, size_t len);

#endif
