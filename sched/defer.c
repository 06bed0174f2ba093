// SPDX-License-Identifier: BSD-2-Clause
// Deferred calls, panics and their recovery.
//
// A goroutine has three lists, newest first, that only it touches: deferred calls (g->defers),
// active go_try calls (g->tries), and unwindings under way (g->panics), one for each go_panic or
// go_exit that is running deferred calls right now. Records of the last two lie on the goroutine's
// stack, in the order of their age, so a go_try can tell by position which unwindings started
// inside it.
//
// go_panic runs the deferred calls registered inside the innermost go_try, on top of the stack as
// it is, and then jumps to that go_try. A deferred call that panics starts another go_panic, which
// goes on where the first was; the first never continues. Without a go_try all deferred calls run
// and the machine ends, all panics that led there printed oldest first.
//
// go_exit cannot be stopped by a go_try. It runs all deferred calls, leaving each go_try behind
// when the calls inside it are done. If one of them panics and a go_try catches it, that go_try
// finds the exit among the unwindings that started inside it and resumes the exit instead of
// returning.

#include "sched/defer.h"

#include <heddle/go.h>
#include <stdarg.h>
#include <string.h>

#include "arch/arch.h"
#include "kernel/heap.h"
#include "kernel/panic.h"
#include "kernel/print.h"

struct try_frame {
    struct arch_jmp jump;
    struct try_frame *outer;
    struct defer *defers;  // g->defers when the try began: its own are those before
    struct unwind *panics; // g->panics when it began
    struct go_panic_info *info;
    bool exiting;          // set by a panic that jumps here: it interrupted a go_exit
};

struct unwind {
    struct unwind *older;
    bool is_exit;
    struct go_panic_info info; // of a panic
};

void defer_push(struct defer *d, void (*fn)(void *), void *arg)
{
    struct g *gp = getg();
    d->fn = fn;
    d->arg = arg;
    d->on_heap = false;
    d->next = gp->defers;
    gp->defers = d;
}

void defer_pop(struct defer *d)
{
    struct defer **at = &getg()->defers;
    while (*at != d) {
        if (unlikely(!*at))
            throw("defer_pop: the record is not in the list");
        at = &(*at)->next;
    }
    *at = d->next;
}

void go_defer(void (*fn)(void *), void *arg)
{
    struct g *gp = getg();
    if (!fn)
        go_panic("go_defer: nil function");
    if (unlikely(gp == gp->m->g0))
        throw("go_defer: called on g0");
    struct defer *d = heap_alloc(sizeof(*d));
    if (unlikely(!d))
        go_panic("go_defer: out of memory");
    defer_push(d, fn, arg);
    d->on_heap = true;
}

// Calls the newest deferred call, which is off the list by then.
static void run_one(struct g *gp)
{
    struct defer *d = gp->defers;
    void (*fn)(void *) = d->fn;
    void *arg = d->arg;
    gp->defers = d->next;
    if (d->on_heap)
        heap_free(d);
    fn(arg);
}

// Runs deferred calls until those are left that were there when `end` was the newest.
static void run_until(struct g *gp, struct defer *end)
{
    while (gp->defers != end)
        run_one(gp);
}

void defer_run_all(struct g *gp)
{
    if (!gp->defers && !gp->tries) {
        gp->panics = NULL;
        return;
    }
    struct unwind exit = { .older = gp->panics, .is_exit = true };
    gp->panics = &exit;
    while (gp->tries) {
        struct try_frame *inner = gp->tries;
        run_until(gp, inner->defers);
        gp->tries = inner->outer;
    }
    run_until(gp, NULL);
    gp->panics = NULL;
}

bool go_try(void (*fn)(void *), void *arg, struct go_panic_info *info)
{
    struct g *gp = getg();
    struct try_frame tf;
    tf.outer = gp->tries;
    tf.defers = gp->defers;
    tf.panics = gp->panics;
    tf.info = info;
    gp->tries = &tf;
    if (arch_setjmp(&tf.jump) == 0) {
        fn(arg);
        run_until(gp, tf.defers);
        gp->tries = tf.outer;
        return true;
    }
    gp = getg();
    gp->tries = tf.outer;
    if (tf.exiting)
        go_exit();
    return false;
}

// All panics under way, oldest first, in Go's layout, ends the machine.
static _Noreturn void die(const struct unwind *newest)
{
    enum { SHOWN = 8 };
    const struct unwind *chain[SHOWN];
    unsigned n = 0;
    for (const struct unwind *u = newest; u && n < SHOWN; u = u->older) {
        if (!u->is_exit)
            chain[n++] = u;
    }
    char text[1024];
    size_t used = 0;
    text[0] = '\0';
    while (n-- > 0 && used < sizeof(text) - 1) {
        ksnprintf(text + used, sizeof(text) - used, "%s%s", used ? "\n\tpanic: " : "",
                  chain[n]->info.message);
        used = strlen(text);
    }
    fatal_panic("%s", text);
}

// Everything that started inside tf is over. To be done before the jump, which gives up the stack
// they lie on.
static void leave_unwindings(struct g *gp, struct try_frame *tf)
{
    tf->exiting = false;
    for (struct unwind *u = gp->panics; u != tf->panics; u = u->older)
        tf->exiting |= u->is_exit;
    gp->panics = tf->panics;
}

void go_panic(const char *fmt, ...)
{
    struct g *gp = getg();
    struct unwind u;
    va_list ap;
    va_start(ap, fmt);
    kvsnprintf(u.info.message, sizeof(u.info.message), fmt, ap);
    va_end(ap);
    u.info.pc = __builtin_return_address(0);
    u.is_exit = false;
    u.older = gp->panics;
    if (gp->m && gp == gp->m->g0)
        throw("go_panic: on g0: %s", u.info.message);
    if (gp->preempt_off != 0)
        throw("go_panic: with a lock held: %s", u.info.message);
    gp->panics = &u;

    struct try_frame *tf = gp->tries;
    run_until(gp, tf ? tf->defers : NULL);
    if (!tf)
        die(&u);
    leave_unwindings(gp, tf);
    if (tf->info)
        *tf->info = u.info;
    arch_longjmp(&tf->jump);
}
