// SPDX-License-Identifier: BSD-2-Clause
// Console output of the kernel's own. Understands %d %i %u %x %X %p %s %c %% with 0, - and width,
// precision on %s, and the lengths l, ll, z, t, h, hh; no floating point.
#ifndef KERNEL_PRINT_H
#define KERNEL_PRINT_H

#include <stdarg.h>
#include <stddef.h>

// print.c

// Formats into buf, always terminated when n > 0; returns the length the whole would have had.
int kvsnprintf(char *buf, size_t n, const char *fmt, va_list ap);
int ksnprintf(char *buf, size_t n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// Prints unconditionally. Context: any, also before the scheduler and while panicking.
void kprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// One line of the boot log, prefixed with the time since boot; silent with log=0. No newline
// needed.
void klog(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// console.c

// Writes n bytes to every console. Context: any except an interrupt handler.
void console_write(const char *s, size_t n);
// Up to n bytes of input without waiting; 0 when there is none.
size_t console_read(char *buf, size_t n);

#endif
