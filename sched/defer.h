// SPDX-License-Identifier: BSD-2-Clause
// Deferred calls and unwinding, for the runtime's own use.
#ifndef SCHED_DEFER_H
#define SCHED_DEFER_H

#include "sched/g.h"

// A deferred call. guard: the goroutine itself.
struct defer {
    struct defer *next; // the one registered before
    void (*fn)(void *);
    void *arg;
    bool on_heap;
};

// defer.c

// Registers fn(arg) in a record of the caller's, which must call defer_pop before it returns
// normally.
void defer_push(struct defer *d, void (*fn)(void *), void *arg);
// Takes the record out again, uncalled, wherever in the list it is.
void defer_pop(struct defer *d);

// Runs every deferred call of gp, the calling goroutine, because it is about to end: by return of
// its function or by go_exit. May not return, if a deferred call panics. No go_try is active
// afterwards.
void defer_run_all(struct g *gp);

#endif
