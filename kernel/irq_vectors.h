// SPDX-License-Identifier: BSD-2-Clause
// The range of interrupt numbers that devices get.
#ifndef KERNEL_IRQ_VECTORS_H
#define KERNEL_IRQ_VECTORS_H

#define IRQ_FIRST_VECTOR 32
#define IRQ_VECTORS 192

#endif
