// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1 exit=2 expect="panic: sync: unlock of unlocked mutex"
// Unlocking a mutex that is not locked ends the program.

#include "check.h"

static struct mutex m;

int main(void)
{
    mutex_lock(&m);
    mutex_unlock(&m);
    mutex_unlock(&m);
    return 0;
}
