// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=120 expect="stdio_streams: survived"
// Streams are opened, written and closed on all cores while others flush all streams, and
// goroutines that used the C library's buffers end: nothing of theirs stays behind.

#include <heddle.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/boot/check.h"

enum { OPENERS = 3, FLUSHERS = 2, TIMES = 300 };

static struct waitgroup wg;

static void opens(void *unused)
{
    (void)unused;
    for (int i = 0; i < TIMES; i++) {
        FILE *f = fdopen(1, "w");
        check(f);
        setvbuf(f, NULL, _IOFBF, 64);
        fprintf(f, "%s", i % 100 == 99 ? ".\n" : "");
        fclose(f);
    }
    waitgroup_done(&wg);
}

static void flushes(void *unused)
{
    (void)unused;
    for (int i = 0; i < TIMES; i++)
        fflush(NULL);
    waitgroup_done(&wg);
}

static void uses_everything(void *unused)
{
    char b[400];
    (void)unused;
    snprintf(b, sizeof(b), "%.17g %s", 1.2345e200, "x");
    check(strtod("1.2345678901234567e-250", NULL) > 0);
    signal(SIGUSR1, SIG_IGN);
    waitgroup_done(&wg);
}

int main(void)
{
    waitgroup_add(&wg, OPENERS + FLUSHERS);
    for (int i = 0; i < OPENERS; i++)
        check(go(opens, NULL) == 0);
    for (int i = 0; i < FLUSHERS; i++)
        check(go(flushes, NULL) == 0);
    waitgroup_wait(&wg);

    size_t before = 0;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 200; i++) {
            waitgroup_add(&wg, 1);
            check(go(uses_everything, NULL) == 0);
            waitgroup_wait(&wg);
        }
        // The last one ends a moment after its waitgroup_done.
        check_soon(go_count() <= 3);
        if (round == 1)
            before = mallinfo().uordblks;
    }
    // Two rounds of leaks would be 400 times some hundreds of bytes.
    check(mallinfo().uordblks < before + 20000);
    printf("stdio_streams: survived\n");
    return 0;
}
