// SPDX-License-Identifier: BSD-2-Clause
// Bringing the console up; reading and writing it stands in print.h.
#ifndef KERNEL_CONSOLE_H
#define KERNEL_CONSOLE_H

// console.c
void console_init(void);      // Context: first of all
void console_configure(void); // once the command line is known

#endif
