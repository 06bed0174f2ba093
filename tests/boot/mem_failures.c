// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 timeout=120 expect="^each of [0-9]+ and [0-9]+ "
//
// The n-th allocation fails, of the heap and then of the pages, for every n there is in a run
// through all calls that need memory. Each either does what it says or refuses with ENOMEM; what
// was begun is finished once memory is back, and nothing is lost.

#include <errno.h>
#include <heddle.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "net/tcp.h"

static unsigned refused;

// True for a result; false for an honest refusal.
static bool had(bool ok)
{
    if (!ok) {
        check(errno == ENOMEM || errno == ENOBUFS);
        refused++;
    }
    return ok;
}

static void wait_for(void *wg)
{
    waitgroup_wait(&((struct waitgroup *)wg)[1]);
    waitgroup_done(wg);
}

// One more than ever before, so that a G and a stack have to be made.
static void goroutines(void)
{
    static unsigned crowd;
    struct go_attr attr = { .stack_max = 16384 };
    struct waitgroup wg[2] = { 0 };
    waitgroup_add(&wg[1], 1);
    crowd++;
    for (unsigned i = 0; i < crowd; i++) {
        waitgroup_add(&wg[0], 1);
        errno = 0;
        if (!had(go_with(&attr, wait_for, wg) == 0))
            waitgroup_done(&wg[0]);
    }
    waitgroup_done(&wg[1]);
    waitgroup_wait(&wg[0]);
}

static void channels(void)
{
    enum { CASES = 40 };
    struct chan *c[CASES];
    struct chan_case cases[CASES];
    unsigned n = 0;
    errno = 0;
    while (n < CASES && had(c[n] = chan_make(8, 1 + n * 10)))
        n++;
    for (unsigned i = 0; i < n; i++)
        cases[i] = (struct chan_case){ .c = c[i], .op = CHAN_RECV };
    if (n > 32) {
        uint64_t value = 7;
        chan_send(c[n - 1], &value);
        int which = chan_select(cases, (int)n, true);
        check(had(which >= 0) ? which == (int)n - 1 : chan_len(c[n - 1]) == 1);
    }
    while (n > 0)
        chan_free(c[--n]);
}

static void set(void *flag) { atomic_store((_Atomic(bool) *)flag, true); }

static void timers(void)
{
    static struct timer t;
    static struct ticker k;
    _Atomic(bool) fired = false;
    // Cannot fail: the goroutine is started as soon as there is memory.
    timer_start(&t, TIME_US, set, &fired);
    check_soon(fired);
    struct chan *c;
    errno = 0;
    if (had(c = time_after(TIME_US))) {
        check(chan_recv(c, NULL));
        chan_free(c);
    }
    if (had(ticker_start(&k, 10 * TIME_US) == 0)) {
        check(chan_recv(k.c, NULL));
        ticker_free(&k);
    }
}

static void nothing(void *unused) { (void)unused; }

static void defer_it(void *unused)
{
    (void)unused;
    go_defer(nothing, NULL);
}

static unsigned disposed;
static void dispose(void *obj) { disposed += obj != NULL; }

static void pools(void)
{
    struct pool p = { 0 };
    int objects[40];
    unsigned kept = 0, n = 0;
    for (int i = 0; i < 40; i++)
        kept += pool_put(&p, &objects[i]);
    for (int *o; (o = pool_get(&p)) != NULL; n++)
        check(o >= objects && o < objects + 40);
    // A core keeps one to itself, and this goroutine may have moved.
    disposed = 0;
    pool_clear(&p, dispose);
    check(n + disposed == kept);
    struct go_panic_info info;
    if (!go_try(defer_it, NULL, &info))
        check(strcmp(info.message, "go_defer: out of memory") == 0);
}

static void library(void)
{
    void *p[24];
    unsigned n = 0;
    errno = 0;
    while (n < 24 && had(p[n] = n % 2 ? malloc((size_t)50 << n % 16) : calloc(3, 100 * n + 1)))
        n++;
    if (n > 0) {
        memset(p[0], 1, 3);
        void *q = realloc(p[0], 70000);
        if (had(q))
            p[0] = q;
        check(!memcmp(p[0], "\1\1\1", 3));
    }
    while (n > 0)
        free(p[--n]);
    char *text = NULL;
    if (asprintf(&text, "%d %s %f", 42, "words", 2.5) >= 0) {
        check(strcmp(text, "42 words 2.500000") == 0);
        free(text);
    }
    char line[64];
    int length = snprintf(line, sizeof(line), "%.3e", 1e100 / 3);
    check(length < 0 || strcmp(line, "3.333e+99") == 0);
}

static struct listener *served;

static void serve(void *wg)
{
    struct conn *c = net_accept(served);
    char b[64];
    ssize_t r;
    if (c) {
        while ((r = net_read(c, b, sizeof(b))) > 0)
            if (!had(net_write(c, b, (size_t)r) == r))
                break;
        net_close(c);
    }
    waitgroup_done(wg);
}

static void connections(void)
{
    struct waitgroup wg = { 0 };
    errno = 0;
    if (!had(served = net_listen("tcp", "127.0.0.1:80")))
        return;
    waitgroup_add(&wg, 1);
    if (!had(go(serve, &wg) == 0))
        waitgroup_done(&wg);
    struct conn *c = net_dial_deadline("tcp", "127.0.0.1:80", time_mono() + 10 * TIME_S);
    if (had(c)) {
        char b[64];
        net_set_deadline(c, time_mono() + 10 * TIME_S);
        ssize_t r = net_write(c, "hello", 5);
        if (had(r == 5))
            r = net_read(c, b, sizeof(b));
        if (r > 0)
            check(memcmp(b, "hello", (size_t)r) == 0);
        net_close(c);
    }
    settle(); // no call of the server's may begin after this one
    net_close_listener(served);
    waitgroup_wait(&wg);
}

static void datagrams(void)
{
    struct packet_conn *a, *b;
    char in[16];
    errno = 0;
    if (!had(a = net_listen_packet("udp", "127.0.0.1:7")))
        return;
    if (had(b = net_listen_packet("udp", "127.0.0.1:0"))) {
        net_set_packet_deadline(a, time_mono() + 20 * TIME_MS);
        if (had(net_send_to(b, "hi", 2, "127.0.0.1:7") == 2))
            check(net_recv_from(a, in, sizeof(in), NULL, 0) == 2 || errno == ETIMEDOUT);
        net_close_packet(b);
    }
    net_close_packet(a);
}

static void everything(void)
{
    goroutines();
    channels();
    timers();
    pools();
    library();
    datagrams();
    connections();
}

// Objects in use but for Gs, which are kept for ever, and connections in TIME_WAIT.
static size_t objects(void)
{
    struct heap_stats s;
    heap_stats(&s);
    size_t n = s.allocs - s.frees - tcp_tw_count();
    for (struct g *gp = g_all(); gp; gp = gp->all_next)
        n--;
    return n;
}

// Fails every allocation of `everything` once; returns how many there were.
static unsigned fail_each(int64_t (*arm)(int64_t))
{
    unsigned n = 0, before = refused;
    int64_t left;
    do {
        arm(++n);
        everything();
        left = arm(0);
    } while (left == 0);
    printf("%u allocations, %u calls refused\n", n - 1, refused - before);
    return n - 1;
}

int main(void)
{
    everything();
    fail_each(heap_fail_after); // tables have grown, pools are warm
    check_soon(go_count() == 1);
    time_sleep(2 * TIME_S);
    size_t before = objects();
    unsigned heap = fail_each(heap_fail_after), pages = fail_each(page_fail_after);
    check(heap > 50 && pages > 2);
    check_soon(go_count() == 1);
    for (int i = 0; i < 5000 && objects() > before; i++)
        time_sleep(TIME_MS);
    if (objects() > before)
        printf("%zu objects are lost\n", objects() - before);
    check(objects() <= before);
    printf("each of %u and %u allocations failed once\n", heap, pages);
    return 0;
}
