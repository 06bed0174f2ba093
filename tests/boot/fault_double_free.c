// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 exit=2
// test: expect="^fatal error: free: 0x[0-9a-f]+.* (is free already|has been freed at .*) *"
//
// A second free of an object is found at once, also on another core than that of the first.

#include <heddle.h>
#include <stdlib.h>

static void free_it(void *object)
{
    free(object);
}

int main(void)
{
    void *volatile object = malloc(100);
    go(free_it, object);
    time_sleep(20000000);
    free(object);
    return 0;
}
