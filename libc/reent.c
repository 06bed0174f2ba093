// SPDX-License-Identifier: BSD-2-Clause
// newlib's struct _reent, errno within, lives in each G and is made ready by its first use, so that
// goroutines that never touch the C library's state pay nothing for it. Only its own goroutine
// touches it.

#include <errno.h>
#include <malloc.h>
#include <reent.h>
#include <string.h>

#include "kernel/panic.h"
#include "libc/libc.h"
#include "libc/reent.h"
#include "sched/g.h"

_Static_assert(sizeof(struct _reent) <= G_REENT_SIZE, "struct _reent must fit into struct g");

static __attribute__((noinline)) void make_ready(struct g *gp)
{
    _REENT_INIT_PTR((struct _reent *)gp->reent);
    gp->reent_ready = true;
}

EXPORT struct _reent *__getreent(void)
{
    struct g *gp = getg();
    if (unlikely(!gp->reent_ready))
        make_ready(gp);
    return (struct _reent *)gp->reent;
}

EXPORT int *__errno(void)
{
    return &__getreent()->_errno;
}

void reent_goroutine_exit(struct g *gp)
{
    if (gp->libc_locks)
        fatal_panic("a goroutine ends while it holds a lock of the C library (flockfile)");
    struct _reent *r = (struct _reent *)gp->reent;
    // What _reclaim_reent leaves: the powers of five kept by the conversion of floating point.
    struct _Bigint *b = r->_mp ? _REENT_MP_P5S(r) : NULL;
    while (b) {
        struct _Bigint *next = b->_next;
        _free_r(r, b);
        b = next;
    }
    _free_r(r, r->_sig_func);
    _reclaim_reent(r);
}
