// SPDX-License-Identifier: BSD-2-Clause
// The rooms above the kernel that it starts without knowing them: the one place where it calls
// upwards. The main goroutine calls them in this order.
#ifndef KERNEL_APP_H
#define KERNEL_APP_H

// net/netif.c: tables and the loopback interface.
void net_init(void);

// drivers/drivers.c: finds devices and registers them with the rooms that use them.
void drivers_init(void);

// libc/start.c: constructors, main with the arguments of the command line, the machine's end.
void libc_start(void *unused);

#endif
