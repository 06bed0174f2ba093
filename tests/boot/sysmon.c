// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=40 kopts="slice_us=1000" expect="sysmon: nobody was forgotten"
// No tick on a core with one goroutine as long as nobody waits, and a tick again as soon as
// somebody does: by its own doing, by another core's, by a timer. A core whose own timer does not
// stop its goroutine is stopped by another's interrupt. A device whose interrupt was lost is
// polled.

#include <stdatomic.h>

#include "check.h"
#include "sched/netpoll.h"
#include "sched/timer.h"

static _Atomic(bool) stop;
static _Atomic(int) ran, polls;

static void count_one(void *unused)
{
    atomic_fetch_add(&ran, 1);
}

static void spin_us(int us)
{
    for (int64_t until = time_mono() + us * TIME_US; time_mono() < until;)
        arch_relax();
}

// What the core of the caller has counted, and whether it has a tick.
static uint64_t interrupts(bool *ticks)
{
    preempt_disable();
    struct m *m = getg()->m;
    uint64_t n = atomic_load(&m->n_irq);
    *ticks = !m->tickless;
    preempt_enable();
    return n;
}

// main alone on one P: no tick, no interrupts.
static void alone(void)
{
    bool ticks = true;
    go_maxprocs(1);
    for (int i = 0; ticks && i < 1000; i++) {
        spin_us(500);
        interrupts(&ticks);
    }
    check(!ticks);
    // Packets and what the network does by itself may come; 50 ms of ticks would be 50 interrupts.
    uint64_t fewest = UINT64_MAX;
    for (int i = 0; i < 5; i++) {
        uint64_t before = interrupts(&ticks);
        spin_us(50000);
        fewest = MIN(fewest, interrupts(&ticks) - before);
    }
    check(fewest < 10);
}

// Whoever runs alone and readies another shares from then on, though it never waits.
static void no_more_alone(void)
{
    for (int i = 0; i < 20; i++) {
        bool ticks = true;
        atomic_store(&ran, 0);
        for (int k = 0; ticks && k < 1000; k++) {
            spin_us(500);
            interrupts(&ticks);
        }
        check(!ticks);
        check(go(count_one, NULL) == 0);
        while (atomic_load(&ran) == 0)
            arch_relax();
    }
    static struct timer t;
    atomic_store(&ran, 0);
    timer_start(&t, 5 * TIME_MS, count_one, NULL);
    while (atomic_load(&ran) == 0)
        arch_relax();
    go_maxprocs(go_numcpu());
}

static void hog(void *unused)
{
    while (!atomic_load(&stop))
        arch_relax();
    count_one(NULL);
}

// A hog that takes its core's timer away, time and again.
static void deaf_hog(void *rounds)
{
    while (!atomic_load(&stop)) {
        bool on = arch_irq_save();
        getg()->m->tick_ns = INT64_MAX;
        arch_irq_restore(on);
        atomic_fetch_add((_Atomic(int) *)rounds, 1);
        arch_relax();
    }
    count_one(NULL);
}

// One core more goroutines than cores, of which all but one core's cannot be stopped by their own
// timers: main gets its turns all the same.
static void deaf(void)
{
    static _Atomic(int) rounds[64];
    int n = go_numcpu();
    if (n < 2)
        return;
    atomic_store(&stop, false);
    atomic_store(&ran, 0);
    check(go(hog, NULL) == 0);
    for (int i = 1; i < n; i++)
        check(go(deaf_hog, &rounds[i]) == 0);
    for (int i = 0; i < 10; i++) {
        int before = atomic_load(&rounds[1]);
        check_soon(atomic_load(&rounds[1]) > before);
    }
    atomic_store(&stop, true);
    check_soon(atomic_load(&ran) == n);
}

static bool poll(struct poller *pl)
{
    atomic_fetch_add(&polls, 1);
    return false;
}

static struct poller poller = { .poll = poll, .name = "deaf" };

static void lost_interrupt(void)
{
    netpoll_register(&poller);
    atomic_store(&stop, false);
    atomic_store(&ran, 0);
    for (int i = 0; i < go_numcpu() + 1; i++)
        check(go(hog, NULL) == 0);
    check_soon(atomic_load(&polls) >= 3);
    atomic_store(&stop, true);
    check_soon(atomic_load(&ran) == go_numcpu() + 1);
}

int main(void)
{
    if (!HOSTILE) {
        alone();
        no_more_alone();
    }
    deaf();
    lost_interrupt();
    printf("sysmon: nobody was forgotten\n");
    return 0;
}
