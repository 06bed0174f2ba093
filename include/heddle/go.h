// SPDX-License-Identifier: BSD-2-Clause
// Goroutines: starting and ending them, deferred calls, panics.
//
// A goroutine runs on any core, may move between cores whenever it is not running, and is preempted
// when its time slice is over. A call described as blocking parks the calling goroutine only; its
// core goes on with others. Calls that can fail return -1 (or NULL) and set errno, which is per
// goroutine.
#ifndef HEDDLE_GO_H
#define HEDDLE_GO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

// Starts a goroutine that calls fn(arg) and ends when fn returns. It runs after the caller blocks,
// yields or is preempted, or on another core at once. Never blocks. 0, or -1 with errno ENOMEM when
// memory is exhausted (nothing else has changed then). A NULL fn panics.
int go(void (*fn)(void *), void *arg);

struct go_attr {
    const char *name; // shown in tracebacks; not copied, must outlive the goroutine. NULL: none
    size_t stack_max; // bytes the stack may grow to; 0: the default of 256 KiB
    bool urgent; // runs at once when it is started or readied, in place of an ordinary goroutine,
                 // for a slice; whoever holds a mutex it waits for is urgent meanwhile
};

// As go(), with attributes; attr may be NULL. EINVAL when stack_max is beyond what can be reserved.
int go_with(const struct go_attr *attr, void (*fn)(void *), void *arg);

// Lets other goroutines run; the caller continues later, behind those that are waiting to run.
void go_yield(void);

// Ends the calling goroutine after running its deferred calls, those registered inside go_try
// included; no go_try that encloses the call returns. The main goroutine may call it: the others
// run on, and the machine with them.
_Noreturn void go_exit(void);

// The calling goroutine's number: unique for ever, 1 for main.
uint64_t go_id(void);

// Cores of the machine.
int go_numcpu(void);

// Sets how many cores run goroutines at one time, if n > 0; more than there are cores is as many as
// there are. Returns what it was before. Begins as go_numcpu(). Stops every goroutine for a moment,
// so it may block; must not be called with a spinlock of the kernel held.
int go_maxprocs(int n);

// Goroutines that exist: running, runnable or blocked, those of the runtime's own not counted.
size_t go_count(void);

// From here to go_block_exit the caller may keep its core for long without letting others run: a
// blocking call, as one that waits for a device in a loop. Other goroutines run on another core
// meanwhile; if none is free they share this one, and the caller is stopped for the length of their
// turns as though it computed. In between the caller may use memory and clocks, but may not start,
// wake or wait for goroutines, arm timers, or use the network or stdio. Not nested: panics.
void go_block_enter(void);
// Ends it; blocks until the caller may run again as an ordinary goroutine. Panics when there is
// nothing to end.
void go_block_exit(void);

// Registers fn(arg) to be called when the innermost go_try around the call ends, or else when the
// goroutine ends: by return, by panic or by go_exit. Last registered, first called. Never blocks.
void go_defer(void (*fn)(void *), void *arg);

// Panics with a message formatted as by printf, without floating point. Deferred calls run, then
// the innermost go_try returns false; without one the machine prints "panic: " with the message and
// every goroutine's traceback and ends with exit status 2. A deferred call may itself panic; its
// panic replaces the first.
_Noreturn void go_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define GO_PANIC_MESSAGE 240

struct go_panic_info {
    char message[GO_PANIC_MESSAGE]; // what go_panic was given, cut off at the end if it was longer
    const void *pc;                 // the return address of the go_panic call
};

// Calls fn(arg), then what it registered with go_defer. True: fn returned. False: it panicked, the
// deferred calls have run, and *info (unless NULL) says how. Nests. A go_exit inside does not
// return here. Locals of a caller that fn changes through pointers have their new values
// afterwards.
bool go_try(void (*fn)(void *), void *arg, struct go_panic_info *info);

#pragma GCC visibility pop

#endif
