// SPDX-License-Identifier: BSD-2-Clause
// The end of the machine.
#ifndef KERNEL_POWER_H
#define KERNEL_POWER_H

// power.c

// Stops the other cores, reports the exit status to whoever started the machine, and powers off.
// Only the low 8 bits of status count, as on POSIX. Context: any.
_Noreturn void machine_exit(int status);

// Registers what machine_exit calls first, in its caller's context; one at most.
void machine_at_exit(void (*fn)(void));

#endif
