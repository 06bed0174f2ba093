// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 machines=q35,microvm mem=16M expect="^most of it is free$"
//
// The machine runs in 16 MB and leaves most of them to the application.

#include <heddle.h>
#include <stdio.h>

#include "kernel/page.h"

int main(void)
{
    size_t free = page_free_count() * PAGE_SIZE;
    printf("%zu KiB free of %zu\n", free >> 10, page_total() * PAGE_SIZE >> 10);
    if (free < 11u << 20)
        return 1;
    puts("most of it is free");
    return 0;
}
