// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 exit=2 reject="panic: one|never"
// test: expect="deferred(.|\n)*error: no goroutines \(main called runtime.Goexit\) - deadlock!"
// main panics, and a deferred call ends it by go_exit: the panic is over, the other deferred calls
// run, and then there is nobody left. So is a panic during that exit which a go_try has caught.

#include "check.h"

static void panics_again(void *arg) { go_panic("two"); }

static void says_it(void *arg)
{
    check(panics("two", panics_again, NULL));
    printf("deferred\n");
}

static void ends(void *arg) { go_exit(); }

static void panics_one(void *arg)
{
    go_defer(ends, NULL);
    go_panic("one");
}

int main(void)
{
    go_defer(says_it, NULL);
    go_try(panics_one, NULL, NULL);
    printf("never\n");
    return 0;
}
