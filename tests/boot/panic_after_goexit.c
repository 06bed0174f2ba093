// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 exit=2 reject="no goroutines|never" expect="^panic: hello\n"
// A deferred call panics while main ends by go_exit, and nobody recovers it.

#include "check.h"

static void panics_so(void *arg) { go_panic("hello"); }

int main(void)
{
    go_defer(panics_so, NULL);
    go_exit();
    printf("never\n");
}
