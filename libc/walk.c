// SPDX-License-Identifier: BSD-2-Clause
// newlib's walk over all streams, for fflush(NULL), exit and the read of a terminal, made safe
// against goroutines that close or read streams at the same time.
//
// fclose gives a stream's lock back to the heap while it holds the lock of the list of streams; so
// a stream found open under the latter may be locked without waiting for it, and then stays. Only
// streams that are written are visited: of one that only reads there is nothing to flush, and its
// lock may be held by a reader that waits for ever. Streams in memory have nothing behind them.

#include <heddle.h>
#include <reent.h>
#include <stdio.h>
#include <sys/lock.h>

#include "libc/libc.h"

// newlib's, without headers of their own.
void __sfp_lock_acquire(void);
void __sfp_lock_release(void);
int _fwalk(struct _reent *r, int (*fn)(FILE *));
int _fwalk_reent(struct _reent *r, int (*fn)(struct _reent *, FILE *));
int __retarget_lock_try_acquire_recursive(_LOCK_T l);
void __retarget_lock_release_recursive(_LOCK_T l);

static bool is_written(const FILE *fp)
{
    return (fp->_flags & __SWR) && fp->_flags != 1 && fp->_file != -1;
}

// True: *fp is open for writing and its lock is held.
static bool hold(FILE *fp)
{
    for (int tries = 0;; tries++) {
        __sfp_lock_acquire();
        bool there = is_written(fp);
        bool held = there && __retarget_lock_try_acquire_recursive(fp->_lock);
        __sfp_lock_release();
        if (held || !there)
            return held;
        if (tries < 10)
            go_yield();
        else
            time_sleep(TIME_MS);
    }
}

static int walk(struct _reent *r, int (*fn)(FILE *), int (*fn_reent)(struct _reent *, FILE *))
{
    int result = 0;
    for (struct _glue *g = &r->__sglue; g; g = g->_next) {
        for (int i = 0; i < g->_niobs; i++) {
            FILE *fp = &g->_iobs[i];
            if (!is_written(fp) || !hold(fp))
                continue;
            result |= fn ? fn(fp) : fn_reent(r, fp);
            __retarget_lock_release_recursive(fp->_lock);
        }
    }
    return result;
}

EXPORT int _fwalk(struct _reent *r, int (*fn)(FILE *))
{
    return walk(r, fn, NULL);
}

EXPORT int _fwalk_reent(struct _reent *r, int (*fn)(struct _reent *, FILE *))
{
    return walk(r, NULL, fn);
}
