// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=120 kopts="slice_us=1000" expect="block: all came back"
// Blocking calls: nothing is taken as long as nobody needs the P; the P goes to another core when
// goroutines, timers or packets wait for it and GOMAXPROCS leaves cores free; where no core is free
// the call shares its core. Never do more goroutines run outside blocking calls than there are Ps.
// Then all of it at once, with GOMAXPROCS changing.

#include <stdatomic.h>

#include "check.h"
#include "sched/netpoll.h"
#include "sched/world.h"

static _Atomic(bool) flag;
static _Atomic(int) outside, worst, finished;

static void spin_until(_Atomic(bool) *f)
{
    while (!atomic_load(f))
        arch_relax();
}

static void set_flag(void *unused)
{
    atomic_store(&flag, true);
}

static void wait_in_block(void (*start)(void))
{
    atomic_store(&flag, false);
    start();
    go_block_enter();
    spin_until(&flag);
    check(atomic_load(&getg()->status) == G_SYSCALL && !getg()->m->p);
    go_block_exit();
    check(atomic_load(&getg()->status) == G_RUNNING && getg()->m->p);
}

static void by_goroutine(void)
{
    go(set_flag, NULL);
}

static void sleep_and_set(void *unused)
{
    time_sleep(5 * TIME_MS);
    atomic_store(&flag, true);
}

static void by_sleeper(void)
{
    go(sleep_and_set, NULL);
    go_yield();
}

static struct timer timer;

static void by_timer(void)
{
    timer_start(&timer, 5 * TIME_MS, set_flag, NULL);
}

static bool poll(struct poller *pl)
{
    atomic_store(&flag, true);
    return false;
}

static struct poller poller = { .poll = poll, .name = "test" };

static void by_poller(void)
{
    atomic_store(&poller.pending, 1); // and nobody is told: as an interrupt that found no P
}

static void untaken(void)
{
    if (HOSTILE)
        return;
    struct p *p = NULL;
    int kept = 0;
    for (int i = 0; i < 1000; i++) {
        preempt_disable();
        struct p *was = getg()->m->p;
        preempt_enable();
        go_block_enter();
        go_block_exit();
        preempt_disable();
        kept += was == (p = getg()->m->p);
        preempt_enable();
    }
    // Now and then it may be stopped in between for something else.
    check(p && kept > 950);
}

static void nested(void *unused)
{
    go_block_enter();
}

static void misuse(void)
{
    check(panics("go_block_exit: not in a blocking call", (void (*)(void *))go_block_exit, NULL));
    go_block_enter();
    check(panics("go_block_enter: already in a blocking call", nested, NULL));
    go_block_exit();
}

// Who runs outside a blocking call; stopping may leave more inside than there are Ps, since it can
// happen between the two lines.
static void worker(void *arg)
{
    uint32_t seed = (uint32_t)(uintptr_t)arg;
    for (int i = 0; i < 150; i++) {
        go_block_enter();
        for (uint32_t n = rand_below(&seed, 3000); n; n--)
            arch_relax();
        go_block_exit();
        if (rand_below(&seed, 8) == 0)
            time_sleep(rand_below(&seed, 300000));
        if (rand_below(&seed, 4) == 0)
            go_yield();
    }
    atomic_fetch_add(&finished, 1);
}

static void count_outside(void *unused)
{
    for (int i = 0; i < 30; i++) {
        go_block_enter();
        for (volatile int n = 0; n < 3000; n++)
            ;
        go_block_exit();
        preempt_disable(); // cannot be stopped from here on
        int n = atomic_fetch_add(&outside, 1) + 1;
        for (int w = atomic_load(&worst); n > w && !atomic_compare_exchange_weak(&worst, &w, n);)
            ;
        for (volatile int k = 0; k < 500; k++)
            ;
        atomic_fetch_sub(&outside, 1);
        preempt_enable();
    }
    atomic_fetch_add(&finished, 1);
}

static void with_p_count(int n)
{
    enum { MANY = 6 };
    go_maxprocs(n);
    wait_in_block(by_goroutine);
    wait_in_block(by_sleeper);
    wait_in_block(by_timer);
    wait_in_block(by_poller);
    atomic_store(&finished, 0);
    atomic_store(&worst, 0);
    for (int i = 0; i < MANY; i++)
        check(go(count_outside, NULL) == 0);
    check_soon(atomic_load(&finished) == MANY);
    check(atomic_load(&worst) <= n);
}

int main(void)
{
    enum { WORKERS = 12 };
    uint32_t seed = 99;
    int n_cpu = go_numcpu();
    netpoll_register(&poller);
    untaken();
    misuse();
    for (int n = 1; n <= n_cpu; n++)
        with_p_count(n);
    atomic_store(&finished, 0);
    for (uintptr_t i = 1; i <= WORKERS; i++)
        check(go(worker, (void *)i) == 0);
    while (atomic_load(&finished) < WORKERS) {
        go_maxprocs(1 + (int)rand_below(&seed, (uint32_t)n_cpu));
        time_sleep(2 * TIME_MS);
    }
    printf("block: all came back\n");
    return 0;
}
