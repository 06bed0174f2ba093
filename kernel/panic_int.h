// SPDX-License-Identifier: BSD-2-Clause
// Between panic.c, the trap code and the scheduler.
#ifndef KERNEL_PANIC_INT_H
#define KERNEL_PANIC_INT_H

struct g;
struct trap_frame;

// panic.c

// This core has been told to stop because another one reports. Context: the stop interrupt.
_Noreturn void panic_stop_here(const struct trap_frame *tf);
// Every living goroutine but one, with state, wait reason and backtrace. Context: everything else
// is stopped.
void panic_print_goroutines(const struct g *except);

#endif
