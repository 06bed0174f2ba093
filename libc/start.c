// SPDX-License-Identifier: BSD-2-Clause
// From the main goroutine's first instruction to main, and from exit to the machine's end.
//
// exit runs what atexit registered, then flushes every stream under its lock, since other
// goroutines may be writing at that moment; streams are not closed, for the same reason. Newlib's
// own exit would close them without their locks, and only those of the goroutine that first used
// stdio.

#include <reent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/app.h"
#include "kernel/cmdline.h"
#include "kernel/panic.h"
#include "kernel/power.h"
#include "libc/libc.h"
#include "libc/reent.h"
#include "sched/sched.h"

extern void (*const init_array_start[])(int, char **, char **);
extern void (*const init_array_end[])(int, char **, char **);
extern void (*const fini_array_start[])(void);
extern void (*const fini_array_end[])(void);

int main(int argc, char **argv);

// newlib's, without headers of their own.
void __call_exitprocs(int status, void *dso);
void __sinit(struct _reent *r);
int _fwalk_reent(struct _reent *r, int (*fn)(struct _reent *, FILE *));

static void run_destructors(void)
{
    for (void (*const *fn)(void) = fini_array_end; fn != fini_array_start;)
        (*--fn)();
}

void libc_start(void *unused)
{
    // First of all: done later, by the first fopen, it would take the three standard streams off
    // the list that exit and a read of the console flush.
    __sinit(_GLOBAL_REENT);
    sched_goroutine_exit_hook = reent_goroutine_exit;
    char **argv;
    int argc = cmdline_args(&argv);
    if (&fini_array_start[0] != &fini_array_end[0])
        atexit(run_destructors);
    for (void (*const *fn)(int, char **, char **) = init_array_start; fn != init_array_end; fn++)
        (*fn)(argc, argv, environ);
    exit(main(argc, argv));
}

EXPORT _Noreturn void exit(int status)
{
    static _Atomic(struct g *) leaving;
    struct g *nobody = NULL;
    // The first caller ends the machine; an exit inside an atexit function goes on with the rest.
    if (!atomic_compare_exchange_strong_explicit(&leaving, &nobody, getg(), memory_order_relaxed,
                                                 memory_order_relaxed) &&
        nobody != getg())
        gopark(NULL, NULL, WAIT_NONE);
    __call_exitprocs(status, NULL);
    _fwalk_reent(_GLOBAL_REENT, _fflush_r);
    machine_exit(status);
}

EXPORT _Noreturn void _exit(int status)
{
    machine_exit(status);
}

EXPORT _Noreturn void _Exit(int status)
{
    machine_exit(status);
}

EXPORT _Noreturn void abort(void)
{
    fatal_panic("abort called");
}
