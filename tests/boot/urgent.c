// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=60 kopts="slice_us=10000000" expect="urgent: nobody was in the way"
// Slices are of ten seconds, so whoever waits for the end of one is too late. An urgent goroutine
// that is started, readied by another, by a timer or by a packet runs at once in place of an
// ordinary one and before those that are queued; several of them find several cores. A mutex lends
// urgency to its holder in a run queue, along a chain of mutexes, and takes it back.

#include <stdatomic.h>

#include "check.h"
#include "net/netif.h"
#include "sched/netpoll.h"

static const struct go_attr urgent = { .name = "urgent", .urgent = true };

static _Atomic(int) ran, ordinary, left;
static _Atomic(bool) stop, polled;

static void once(void *unused)
{
    atomic_fetch_add(&ran, 1);
}

static void in_line(void *unused)
{
    atomic_fetch_add(&ordinary, 1);
}

static void receive(void *c)
{
    while (chan_recv(c, NULL))
        atomic_fetch_add(&ran, 1);
    atomic_fetch_sub(&left, 1);
}

// On one P, of which main never lets go.
static void started_and_readied(void)
{
    atomic_store(&ran, 0);
    check(go_with(&urgent, once, NULL) == 0);
    check(atomic_load(&ran) == 1);

    struct chan *c = chan_make(0, 0);
    atomic_store(&left, 1);
    check(go_with(&urgent, receive, c) == 0);
    for (int i = 0; i < 5; i++)
        check(HOSTILE || go(in_line, NULL) == 0);
    for (int i = 1; i <= 20; i++) {
        chan_send(c, NULL);
        check(atomic_load(&ran) == 1 + i);
    }
    check(atomic_load(&ordinary) == 0);
    chan_close(c);
    check(atomic_load(&left) == 0);
    chan_free(c);
    while (!HOSTILE && atomic_load(&ordinary) < 5)
        go_yield();
}

static void doze(void *unused)
{
    for (int i = 0; i < 5; i++) {
        time_sleep(2 * TIME_MS);
        atomic_fetch_add(&ran, 1);
    }
    atomic_fetch_sub(&left, 1);
}

static void hog(void *unused)
{
    while (!atomic_load(&stop))
        arch_relax();
    atomic_fetch_sub(&left, 1);
}

// Behind main there are hogs in the queue, and main does not wait: only urgency gets the sleeper
// past them.
static void by_timer(void)
{
    atomic_store(&ran, 0);
    atomic_store(&stop, false);
    atomic_store(&left, 4);
    check(go_with(&urgent, doze, NULL) == 0);
    for (int i = 0; i < 3; i++)
        check(go(hog, NULL) == 0);
    while (atomic_load(&ran) < 5)
        arch_relax();
    atomic_store(&stop, true);
    while (atomic_load(&left) > 0)
        go_yield();
}

static struct chan *inbox;

static bool poll(struct poller *pl)
{
    if (atomic_load(&polled))
        chan_try_send(inbox, NULL);
    return false;
}

static struct poller poller = { .poll = poll, .name = "test" };

// Every other P runs a hog; each urgent one readied finds a P of its own to run on.
static struct chan *gate;

static void spin_together(void *all)
{
    chan_recv(gate, NULL);
    atomic_fetch_add(&ran, 1);
    while (atomic_load(&ran) < *(int *)all)
        arch_relax();
    atomic_fetch_sub(&left, 1);
}

static void on_all(int n)
{
    go_maxprocs(n);
    atomic_store(&ran, 0);
    atomic_store(&stop, false);
    atomic_store(&left, 2 * n - 1);
    gate = chan_make(0, 0);
    for (int i = 0; i < n; i++)
        check(go_with(&urgent, spin_together, &n) == 0);
    for (int i = 1; i < n; i++)
        check(go(hog, NULL) == 0);
    time_sleep(TIME_MS);
    preempt_disable(); // or the first of them would keep main from readying the others
    chan_close(gate);
    preempt_enable();
    while (atomic_load(&ran) < n)
        arch_relax();
    atomic_store(&stop, true);
    while (atomic_load(&left) > 0)
        go_yield();
    go_maxprocs(1);
}

enum { LINKS = 4 };
static struct mutex links[LINKS];
static _Atomic(int) locked;

static uint8_t urgency(struct g *gp)
{
    return atomic_load(&gp->urgency);
}

// Holds one mutex and waits for the next; the last one just gives way.
static void link_of(void *arg)
{
    long n = (long)arg;
    mutex_lock(&links[n]);
    atomic_fetch_add(&locked, 1);
    if (n + 1 < LINKS) {
        mutex_lock(&links[n + 1]);
        mutex_unlock(&links[n + 1]);
    } else {
        while (!atomic_load(&stop))
            go_yield();
        check(HOSTILE || atomic_load(&ordinary) == 0);
    }
    mutex_unlock(&links[n]);
    check(urgency(getg()) == 0);
    atomic_fetch_sub(&left, 1);
}

static void want_first(void *unused)
{
    mutex_lock(&links[0]);
    check(HOSTILE || atomic_load(&ordinary) == 0);
    mutex_unlock(&links[0]);
    check(urgency(getg()) == URGENT_OWN);
    atomic_fetch_add(&ran, 1);
}

static void lent(void)
{
    atomic_store(&ran, 0);
    atomic_store(&locked, 0);
    atomic_store(&stop, false);
    atomic_store(&left, LINKS);
    for (long n = LINKS - 1; n >= 0; n--) {
        check(go(link_of, (void *)n) == 0);
        while (atomic_load(&locked) < LINKS - n)
            go_yield();
    }
    // The holder of the last is in the queue; so are those that must not come before it.
    atomic_store(&ordinary, 0);
    go_yield();
    for (int i = 0; i < 10; i++)
        check(go(in_line, NULL) == 0);
    atomic_store(&stop, true);
    check(go_with(&urgent, want_first, NULL) == 0);
    check(atomic_load(&ran) == 1);
    check(HOSTILE || atomic_load(&ordinary) == 0);
    while (atomic_load(&left) > 0 || atomic_load(&ordinary) < 10)
        go_yield();
}

// Many, urgent and not, and the counts are right in the end.
static struct mutex shared[3];

static void fight(void *arg)
{
    uint32_t seed = (uint32_t)(uintptr_t)arg;
    uint8_t mine = urgency(getg());
    for (int i = 0; i < 300; i++) {
        unsigned a = rand_below(&seed, 3);
        mutex_lock(&shared[a]);
        if (a < 2 && rand_below(&seed, 2)) {
            mutex_lock(&shared[a + 1]);
            if (rand_below(&seed, 4) == 0)
                go_yield();
            mutex_unlock(&shared[a + 1]);
        }
        if (rand_below(&seed, 16) == 0)
            time_sleep(rand_below(&seed, 50000));
        mutex_unlock(&shared[a]);
    }
    check_soon(urgency(getg()) == mine);
    atomic_fetch_sub(&left, 1);
}

int main(void)
{
    int n_cpu = go_numcpu();
    // Else its goroutine gets in between, and main behind whoever is queued.
    check_soon(!netif_configuring());
    go_maxprocs(1);
    started_and_readied();
    if (!HOSTILE) // where main goes behind the hogs whenever it unlocks something
        by_timer();
    inbox = chan_make(0, 0);
    netpoll_register(&poller);
    atomic_store(&polled, true);
    atomic_store(&ran, 0);
    check(go_with(&urgent, receive, inbox) == 0);
    for (int i = 1; i <= 5; i++) {
        preempt_disable();
        netpoll_mark(&poller);
        arch_send_ipi(getg()->m->id, IPI_WAKE);
        preempt_enable();
        while (atomic_load(&ran) < i)
            arch_relax();
    }
    atomic_store(&polled, false);
    lent();
    for (int n = 1; n <= n_cpu; n++)
        on_all(n);
    go_maxprocs(n_cpu);
    atomic_store(&left, 12);
    for (uintptr_t i = 0; i < 12; i++)
        check(go_with(i % 3 ? NULL : &urgent, fight, (void *)(i + 1)) == 0);
    check_soon(atomic_load(&left) == 0);
    printf("urgent: nobody was in the way\n");
    return 0;
}
