// SPDX-License-Identifier: BSD-2-Clause
// Stack canaries.
#ifndef KERNEL_CANARY_H
#define KERNEL_CANARY_H

// Draws the word that functions keep below their return addresses. Context: boot core, from a
// function that never returns, before any other core runs.
void canary_init(void);

#endif
