// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 exit=3 expect="5 4 late 3 2 many 1 done"
//
// What atexit and on_exit have registered runs in reverse order, more of it than fits one table of
// newlib's; a function may register another, and may wait for a goroutine that does.

#include <stdio.h>
#include <stdlib.h>

#include <heddle.h>

#include "tests/boot/check.h"

int on_exit(void (*fn)(int, void *), void *arg);

static unsigned called;
static struct chan *registered;

static void bump(void) { called++; }
static void one(void) { printf("1 done\n"); }

static void two(void)
{
    check(called == 100);
    printf("2 many ");
}

static void three(void) { printf("3 "); }
static void late(void) { printf("late "); }

static void registrar(void *unused)
{
    check(atexit(late) == 0);
    chan_send(registered, NULL);
}

static void four(int status, void *arg)
{
    check(status == 3 && arg == &called);
    printf("4 ");
    go(registrar, NULL);
    chan_recv(registered, NULL); // with the list's lock held, both would wait for ever
}

static void five(void) { printf("5 "); }

int main(void)
{
    registered = chan_make(0, 0);
    check(atexit(one) == 0);
    check(atexit(two) == 0);
    for (int i = 0; i < 100; i++)
        check(atexit(bump) == 0);
    check(atexit(three) == 0);
    check(on_exit(four, &called) == 0);
    check(atexit(five) == 0);
    return 3;
}
