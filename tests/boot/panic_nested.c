// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1 exit=2 expect="panic: first\r?\n\tpanic: second\r?\n\tpanic: third"
// Panics of deferred calls while panicking: all are reported, oldest first; one that was recovered
// is not.

#include "check.h"

static void panic_with(void *arg) { go_panic("%s", (const char *)arg); }

static void recovers_one(void *arg)
{
    check(panics("recovered", panic_with, arg));
    go_panic("second");
}

int main(void)
{
    go_defer(panic_with, "third");
    go_defer(recovers_one, "recovered");
    go_panic("first");
}
