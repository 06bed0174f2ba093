// SPDX-License-Identifier: BSD-2-Clause
// test: arch=x86_64 smp=2 mem=6G timeout=90
// Memory above 4 GiB, behind the hole for devices: all of it is counted, and what is handed out
// there holds what is written to it.

#include "check.h"
#include "kernel/page.h"

#define HIGH (1ull << 32)

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    check(page_total() > (6ull << 30) / PAGE_SIZE * 98 / 100);
    // Blocks of 1 GiB first, so that what is below 4 GiB is taken.
    void *huge[8];
    unsigned n = 0;
    uint64_t low = 0, high = 0;
    while (n < 8 && (huge[n] = page_alloc(PAGE_MAX_ORDER)) != NULL) {
        uint64_t pa = virt_to_phys(huge[n]);
        check(pa % (1 << 30) == 0 && (pa + (1 << 30) <= 3ull << 30 || pa >= HIGH));
        pa >= HIGH ? high++ : low++;
        memset((char *)huge[n] + (1 << 29), (int)n + 1, PAGE_SIZE);
        n++;
    }
    printf("%u GiB in one piece each, %lu of them high\n", n, (unsigned long)high);
    check(high >= 2);
    for (unsigned i = 0; i < n; i++) {
        char *p = (char *)huge[i] + (1 << 29);
        check(p[0] == (char)(i + 1) && p[PAGE_SIZE - 1] == (char)(i + 1));
        page_free(huge[i], PAGE_MAX_ORDER);
    }
    return 0;
}
