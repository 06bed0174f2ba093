// SPDX-License-Identifier: BSD-2-Clause
// From the main goroutine's first instruction to main, and from exit to the machine's end.
//
// exit runs what atexit registered. The list is newlib's; its loop is not used, since it holds the
// list's lock meanwhile: a function that waits for a goroutine which registers another, or makes a
// static object, would wait for ever. Then every stream is flushed under its lock, since other
// goroutines may be writing at that moment; streams are not closed, for the same reason. Newlib's
// own exit would close them without their locks, and only those of the goroutine that first used
// stdio.

#include <reent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/lock.h>
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

extern struct __lock __lock___atexit_recursive_mutex;

int main(int argc, char **argv);

// newlib's, without headers of their own.
void __sinit(struct _reent *r);
int _fwalk_reent(struct _reent *r, int (*fn)(struct _reent *, FILE *));

// A registered function, and what it is called with.
struct exit_call {
    void (*fn)(void);
    void *arg;
    enum { PLAIN, ON_EXIT, CXA } kind;
};

// Takes the latest off the list. False: none is left.
static bool next_exit_call(struct exit_call *c)
{
    bool found = false;
    __retarget_lock_acquire_recursive(&__lock___atexit_recursive_mutex);
    for (struct _atexit *p = _GLOBAL_ATEXIT; p && !found; p = p->_next) {
        struct _on_exit_args *args = p->_on_exit_args_ptr;
        if (p->_ind == 0)
            continue;
        int n = --p->_ind;
        __ULong bit = (__ULong)1 << n;
        *c = (struct exit_call){.fn = p->_fns[n]};
        if (args && (args->_fntypes & bit)) {
            c->kind = args->_is_cxa & bit ? CXA : ON_EXIT;
            c->arg = args->_fnargs[n];
            // The place may be a plain function's next.
            args->_fntypes &= ~bit;
            args->_is_cxa &= ~bit;
        }
        found = true;
    }
    __retarget_lock_release_recursive(&__lock___atexit_recursive_mutex);
    return found;
}

static void run_exit_calls(int status)
{
    struct exit_call c;
    while (next_exit_call(&c)) {
        if (c.kind == CXA)
            ((void (*)(void *))c.fn)(c.arg);
        else if (c.kind == ON_EXIT)
            ((void (*)(int, void *))c.fn)(status, c.arg);
        else if (c.fn)
            c.fn();
    }
}

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
    run_exit_calls(status);
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
