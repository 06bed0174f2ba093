// SPDX-License-Identifier: BSD-2-Clause
// The rooms above the kernel that it starts without knowing them: the one place where it calls upwards. Both are
// called by the main goroutine, in this order.
#ifndef KERNEL_APP_H
#define KERNEL_APP_H

// drivers/drivers.c: finds devices and registers them with the rooms that use them.
void drivers_init(void);

// libc/start.c: constructors, main with the arguments of the command line, the machine's end.
void libc_start(void *unused);

#endif
