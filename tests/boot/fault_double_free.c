// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 exit=2
// test: expect="^fatal error: free: 0x[0-9a-f]+(.*:main.*:free_it[^ ]* already| is free already) *"
//
// A second free of an object is found at once, also on another core than that of the first; the
// debug build says who allocated it and who freed it.

#include <heddle.h>
#include <stdlib.h>

static volatile bool freed;

static void free_it(void *object)
{
    free(object);
    freed = true;
}

int main(void)
{
    void *volatile object = malloc(100);
    go(free_it, object);
    time_sleep(20000000);
    free(object);
    return 0;
}
