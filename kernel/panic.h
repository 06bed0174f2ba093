// SPDX-License-Identifier: BSD-2-Clause
// How the machine ends when something is wrong. All of these print to the console even with log=0.
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include <stdint.h>

#include "lib/util.h"

struct trap_frame;

// panic.c

// A broken invariant of the runtime itself: "fatal error: ..." with registers, backtrace and every
// goroutine, exit status 2. The wording is "function: fact". Callable from any context.
_Noreturn void throw(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// An unrecovered panic of the application ("panic: ..."), the same report, exit status 2.
_Noreturn void fatal_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// A trap nobody can handle. Context: the trap's own stack.
_Noreturn void fatal_trap(const struct trap_frame *tf, const char *what);

// True once some core has begun to die; others stop where they are.
bool panicking(void);

// A cheap assertion that is always on.
#define require(cond)                                                            \
    do {                                                                         \
        if (unlikely(!(cond)))                                                   \
            throw("%s: violated: %s (%s:%d)", __func__, #cond, __FILE__, __LINE__); \
    } while (0)

#endif
