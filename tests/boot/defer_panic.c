// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 timeout=30 expect="defer: all as it should be"
// Deferred calls, panics, go_try and go_exit in all their combinations; `trace` records who ran in
// which order.

#include "check.h"

static char trace[64];
static size_t traced;
static _Atomic(int) ended;

static void mark(void *arg)
{
    trace[traced++] = (char)(intptr_t)arg;
    trace[traced] = '\0';
}

static void defer_mark(char c) { go_defer(mark, (void *)(intptr_t)c); }

static bool traced_as(const char *expect)
{
    bool same = strcmp(trace, expect) == 0;
    if (!same)
        printf("ran: %s, not %s\n", trace, expect);
    traced = 0;
    trace[0] = '\0';
    return same;
}

static void end(void *arg)
{
    (void)arg;
    ended++;
}

// Runs fn as a goroutine and waits until it and its deferred calls are through.
static void in_goroutine(void (*fn)(void *))
{
    struct chan *never = chan_make(0, 0);
    ended = 0;
    go(fn, end);
    for (int i = 0; i < 5000 && !ended; i++)
        time_sleep(TIME_MS);
    check(ended == 1);
    chan_free(never);
}

static void three(void *arg)
{
    (void)arg;
    defer_mark('1');
    defer_mark('2');
    defer_mark('3');
    mark((void *)'f');
}

static void three_and_panic(void *arg)
{
    three(arg);
    go_panic("number %d of %s", 42, "many");
}

static void panics_in_defer(void *arg)
{
    mark((void *)'p');
    go_panic("second after %s", (const char *)arg);
}

static void nested_panic(void *arg)
{
    (void)arg;
    defer_mark('a');
    go_defer(panics_in_defer, "first");
    defer_mark('b');
    go_panic("first");
}

static void recovers(void *arg)
{
    (void)arg;
    check(panics("number 42 of many", three_and_panic, NULL));
    mark((void *)'r');
}

// A deferred call that recovers a panic of its own does not disturb the one under way.
static void recovers_in_defer(void *arg)
{
    (void)arg;
    defer_mark('x');
    go_defer(recovers, NULL);
    go_panic("outer");
}

static void defers_in_defer(void *arg)
{
    (void)arg;
    mark((void *)'d');
    defer_mark('e');
}

static void adds_in_defer(void *arg)
{
    (void)arg;
    defer_mark('1');
    go_defer(defers_in_defer, NULL);
}

static void tries(void)
{
    struct go_panic_info info;
    check(go_try(three, NULL, &info) && traced_as("f321"));
    check(go_try(three, NULL, NULL) && traced_as("f321"));
    check(!go_try(three_and_panic, NULL, NULL) && traced_as("f321"));
    check(!go_try(three_and_panic, NULL, &info) && traced_as("f321"));
    check(strcmp(info.message, "number 42 of many") == 0 && info.pc);
    check(!go_try(nested_panic, NULL, &info) && traced_as("bpa"));
    check(strcmp(info.message, "second after first") == 0);
    check(!go_try(recovers_in_defer, NULL, &info) && traced_as("f321rx"));
    check(strcmp(info.message, "outer") == 0);
    check(go_try(adds_in_defer, NULL, &info) && traced_as("de1"));
    check(go_try(recovers, NULL, &info) && traced_as("f321r"));
    for (int i = 0; i < 1000; i++)
        check(!go_try(three_and_panic, NULL, &info) && traced_as("f321"));
}

static void long_message(void *arg)
{
    char text[1000];
    (void)arg;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    go_panic("%s", text);
}

static void messages(void)
{
    struct go_panic_info info;
    memset(&info, 0xff, sizeof(info));
    check(!go_try(long_message, NULL, &info));
    check(strlen(info.message) == sizeof(info.message) - 1);
}

// go_exit passes every go_try by, running all that is deferred.
static void exits(void *arg)
{
    (void)arg;
    defer_mark('3');
    go_exit();
}

static void exits_in_try(void *arg)
{
    (void)arg;
    defer_mark('2');
    go_try(exits, NULL, NULL);
    mark((void *)'!');
}

static void exit_through_tries(void *fn)
{
    go_defer((void (*)(void *))fn, NULL);
    defer_mark('1');
    go_try(exits_in_try, NULL, NULL);
    mark((void *)'!');
}

// A panic of a deferred call during the exit, recovered by a go_try that the exit passes: the exit
// goes on.
static void exits_with_panic(void *arg)
{
    (void)arg;
    defer_mark('4');
    go_defer(panics_in_defer, "exit");
    defer_mark('5');
    go_exit();
}

static void exit_with_recovered_panic(void *fn)
{
    go_defer((void (*)(void *))fn, NULL);
    defer_mark('1');
    go_try(exits_with_panic, NULL, NULL);
    mark((void *)'!');
}

// go_exit inside a deferred call, while panicking: the goroutine ends, the panic with it.
static void just_exits(void *arg)
{
    (void)arg;
    mark((void *)'e');
    go_exit();
}

static void exit_while_panicking(void *fn)
{
    go_defer((void (*)(void *))fn, NULL);
    defer_mark('1');
    go_defer(just_exits, NULL);
    go_panic("not seen");
}

static void exit_twice(void *fn)
{
    go_defer((void (*)(void *))fn, NULL);
    go_defer(just_exits, NULL);
    go_defer(just_exits, NULL);
    defer_mark('1');
    go_exit();
}

static void plain_return(void *fn)
{
    go_defer((void (*)(void *))fn, NULL);
    defer_mark('1');
    defer_mark('2');
}

static void goroutines(void)
{
    in_goroutine(plain_return);
    check(traced_as("21"));
    in_goroutine(exit_through_tries);
    check(traced_as("321"));
    in_goroutine(exit_with_recovered_panic);
    check(traced_as("5p41"));
    in_goroutine(exit_while_panicking);
    check(traced_as("e1"));
    in_goroutine(exit_twice);
    check(traced_as("1ee"));
}

static struct once once_panics, once_exits;
static int once_calls;

static void counts_and_panics(void *arg)
{
    (void)arg;
    once_calls++;
    defer_mark('d');
    go_panic("once");
}

static void once_with_panic(void *arg)
{
    (void)arg;
    once_do(&once_panics, counts_and_panics, NULL);
}

static void counts_and_exits(void *arg)
{
    (void)arg;
    once_calls++;
    go_exit();
}

static void once_with_exit(void *fn)
{
    go_defer((void (*)(void *))fn, NULL);
    once_do(&once_exits, counts_and_exits, NULL);
}

static void once_counts(void *arg)
{
    (void)arg;
    once_calls++;
    defer_mark('o');
}

static void once_with_defer(void *arg)
{
    struct once o = { 0 };
    (void)arg;
    defer_mark('1');
    once_do(&o, once_counts, NULL);
    once_do(&o, once_counts, NULL);
    mark((void *)'f');
}

static void onces(void)
{
    check(panics("once", once_with_panic, NULL) && once_calls == 1 && traced_as("d"));
    once_do(&once_panics, counts_and_panics, NULL);
    check(once_calls == 1);
    in_goroutine(once_with_exit);
    once_do(&once_exits, counts_and_exits, NULL);
    check(once_calls == 2);
    // What fn defers belongs to the goroutine, and outlives the call.
    check(go_try(once_with_defer, NULL, NULL) && once_calls == 3 && traced_as("fo1"));
}

static void lots(void *arg)
{
    for (int i = 0; i < 10000; i++)
        go_defer((void (*)(void *))arg, NULL);
}

static void start_nil(void *arg) { go(NULL, arg); }
static void defer_nil(void *arg) { go_defer(NULL, arg); }

int main(void)
{
    tries();
    messages();
    goroutines();
    onces();
    ended = 0;
    check(go_try(lots, end, NULL) && ended == 10000);
    check(panics("go of nil func value", start_nil, NULL));
    check(panics("go_defer: nil function", defer_nil, NULL));
    printf("defer: all as it should be\n");
    return 0;
}
