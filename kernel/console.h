// SPDX-License-Identifier: BSD-2-Clause
// Bringing the console up; reading and writing it stands in print.h.
#ifndef KERNEL_CONSOLE_H
#define KERNEL_CONSOLE_H

// console.c
void console_init(void);      // Context: first of all
// Ends the line that somebody who has been stopped for good was writing. Context: while panicking.
void console_take_over(void);
void console_configure(void); // once the command line is known

#endif
