// SPDX-License-Identifier: BSD-2-Clause
// Device interrupts. A handler runs on its core's interrupt stack with interrupts off; it may set
// flags, call netpoll_mark and write device registers; it takes no lock and touches no scheduler
// state.
#ifndef KERNEL_IRQ_H
#define KERNEL_IRQ_H

#include <stdbool.h>
#include <stdint.h>

typedef void irq_handler_fn(void *arg);

// irq.c

// A free vector for handler(arg); -1 (and errno ENOSPC) when they have run out.
int irq_alloc(irq_handler_fn *handler, void *arg, const char *name);
void irq_free(int vector);
// Called by the trap code with interrupts off.
void irq_dispatch(int vector);

// arch/*/intr.c

// The address and data with which a device raises vector on core by message; `device` is the number
// it sends with (segment, bus, device, function: 16, 8, 5, 3 bits). False: the machine has no such
// interrupts, or none left. Context: boot or the goroutine that configures devices; not concurrent.
bool arch_msi_message(uint32_t device, int vector, unsigned core, uint64_t *addr, uint32_t *data);
// Wires global system interrupt gsi to vector on core; level or edge as given. -1 if no controller
// has that gsi.
int arch_irq_route(uint32_t gsi, int vector, unsigned core, bool level, bool active_low);

#endif
