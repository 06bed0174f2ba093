// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=tests/host/explore/machine.c,kernel/spinlock.c,sched/[a-r]*.c,sched/s[ey]*.c
// test: srcs+=sched/ti*.c,sched/urgent.c,sched/world.c
// test: cflags="-include tests/host/explore/machine.h -DRUNQ_SIZE=4" args="seeds=6000"
// test: timeout=120
//
// The scheduler, channels, select, sync and timers on the explored machine
// (tests/host/explore/machine.h), with a queue of four slots so that it overflows. Each seed is one
// run of one scenario on two or three cores; explore_sched-0 seed=N repeats a run that failed.
//
// The explorer is tested, too: each mutant is the scheduler with one mistake in it, and has to be
// found out.
// mutant: sched/idle.c: if (!runq_empty(ps[i])) => if (false)
// mutant: sched/idle.c: if (!atomic_load_explicit(&m->nextp, memory_order_acquire) &&\n => if (\n
// mutant: sched/runq.c: &head, head + n,\n           => &head, head + n - 1,
// mutant: sched/chan.h: if (likely(!sg->wait) || select_claim(sg->wait)) => if (true)
// mutant: sched/select.c: if (sg->queued)\n            waitq_remove => waitq_remove
// mutant: sched/sync_mutex.c: WOKEN | (m->queue.head ? WAITERS : 0); => WOKEN;
// mutant: sched/sync_cond.c: if (me.queued) { => if (true) {
// mutant: sched/sync_rwmutex.c: leaving, 1, memory_order_acq_rel) == 1 => leaving, 1, 4) == 2
// mutant: sched/sync_waitgroup.c: } while (!atomic => } while (0 && !atomic

#include <errno.h>
#include <heddle/chan.h>
#include <heddle/go.h>
#include <heddle/sync.h>
#include <heddle/time.h>

#include "sched/netpoll.h"
#include "sched/park.h"
#include "sched/sched.h"

static struct waitgroup all;
static _Atomic(int) done;

static void start(void (*fn)(void *), int n)
{
    waitgroup_add(&all, n);
    for (intptr_t i = 0; i < n; i++)
        check(go(fn, (void *)i) == 0);
}

// ---- spawn and join, more than a queue holds ----

static void leaf(void *arg)
{
    atomic_fetch_add(&done, 1);
    waitgroup_done(&all);
}

static void branch(void *arg)
{
    start(leaf, 3);
    if (explore_choose(2))
        go_yield();
    waitgroup_done(&all);
}

static void tree(void *arg)
{
    start(branch, 3);
    waitgroup_wait(&all);
    check(done == 9);
    explore_done();
}

// ---- a goroutine that computes for ever must not keep one that is queued behind it ----

static _Atomic(bool) stop;

static void stops_it(void *arg) { atomic_store_explicit(&stop, true, memory_order_release); }

static void computes(void)
{
    while (!atomic_load_explicit(&stop, memory_order_acquire))
        explore_relax("computes", 0);
}

static void hog(void *arg)
{
    if (explore_choose(2))
        time_sleep(explore_choose(3000));
    check(go(stops_it, NULL) == 0);
    computes();
    explore_done();
}

static struct chan *ch[2];

static void relays(void *arg)
{
    int v;
    check(chan_recv(ch[0], &v));
    stops_it(NULL);
}

static void hog_that_readies(void *arg)
{
    ch[0] = chan_make(sizeof(int), explore_choose(2));
    check(go(relays, NULL) == 0);
    if (explore_choose(2))
        go_yield();
    chan_send(ch[0], &(int){ 1 });
    computes();
    explore_done();
}

// ---- channels ----

static _Atomic(int) sum;

static void produces(void *arg)
{
    for (int i = 1; i <= 4; i++) {
        int v = i + 10 * (int)(intptr_t)arg;
        if (explore_choose(4) != 0 || !chan_try_send(ch[0], &v))
            chan_send(ch[0], &v);
    }
    waitgroup_done(&all);
}

static void consumes(void *arg)
{
    for (int v; chan_recv(ch[0], &v); atomic_fetch_add(&sum, v))
        ;
    chan_send(ch[1], NULL);
}

static void pipes(void *arg)
{
    ch[0] = chan_make(sizeof(int), explore_choose(3));
    ch[1] = chan_make(0, 0);
    for (intptr_t i = 0; i < 2; i++)
        check(go(consumes, (void *)i) == 0);
    start(produces, 2);
    waitgroup_wait(&all);
    chan_close(ch[0]);
    for (int i = 0; i < 2; i++)
        check(chan_recv(ch[1], NULL));
    check(sum == 2 * 10 + 4 * 10);
    chan_free(ch[0]);
    explore_done();
}

// ---- select against a send, a close and a deadline ----

static _Atomic(int) received, ended;

static void selects(void *arg)
{
    int v = 0;
    struct chan_case k[2] = { { ch[0], CHAN_RECV, &v, false }, { ch[1], CHAN_RECV, NULL, false } };
    int64_t when = arg ? time_mono() + explore_choose(2000) : INT64_MAX;
    int ran = chan_select_deadline(k, 2, when);
    if (ran == 0 && k[0].ok) {
        check(v == 7);
        atomic_fetch_add(&received, 1);
    } else {
        check(ran == 1 ? !k[1].ok : ran == -1 && errno == ETIMEDOUT && arg);
    }
    waitgroup_done(&all);
}

static void sends_or_not(void *arg)
{
    int v = 7;
    struct chan_case k[2] = { { ch[0], CHAN_SEND, &v, false }, { ch[1], CHAN_RECV, NULL, false } };
    if (chan_select(k, 2, true) == 0)
        atomic_fetch_add(&ended, 1);
    waitgroup_done(&all);
}

static void closes(void *arg)
{
    if (explore_choose(2))
        time_sleep(explore_choose(3000));
    chan_close(ch[1]);
    waitgroup_done(&all);
}

static void selection(void *arg)
{
    ch[0] = chan_make(sizeof(int), 0);
    ch[1] = chan_make(0, 0);
    start(selects, 2);
    start(sends_or_not, 2);
    start(closes, 1);
    waitgroup_wait(&all);
    check(received == ended);
    chan_free(ch[0]);
    chan_free(ch[1]);
    explore_done();
}

// ---- sync ----

static struct mutex m;
static struct cond cond;
static struct rwmutex rw;
static struct sema sema = SEMA_INIT(2);
static int guarded, turn;
static _Atomic(int) inside, writers;

static void takes_turns(void *arg)
{
    for (int i = 0; i < 2; i++) {
        mutex_lock(&m);
        int was = guarded;
        explore_point("takes_turns", i);
        guarded = was + 1;
        mutex_unlock(&m);
        rwmutex_rlock(&rw);
        check(writers == 0);
        explore_point("takes_turns", i);
        rwmutex_runlock(&rw);
        sema_acquire(&sema);
        check(atomic_fetch_add(&inside, 1) < 2);
        explore_point("takes_turns", i);
        atomic_fetch_sub(&inside, 1);
        sema_release(&sema);
    }
    rwmutex_lock(&rw);
    check(atomic_fetch_add(&writers, 1) == 0);
    explore_point("takes_turns", 9);
    atomic_fetch_sub(&writers, 1);
    rwmutex_unlock(&rw);
    mutex_lock(&m);
    turn++;
    cond_signal(&cond);
    mutex_unlock(&m);
    waitgroup_done(&all);
}

static void locks(void *arg)
{
    start(takes_turns, 3);
    mutex_lock(&m);
    while (turn < 3)
        cond_wait(&cond, &m);
    check(guarded == 6);
    mutex_unlock(&m);
    waitgroup_wait(&all);
    explore_done();
}

static void contends(void *arg)
{
    for (int i = 0; i < 3; i++) {
        mutex_lock(&m);
        int was = guarded;
        if (explore_choose(2))
            go_yield();
        guarded = was + 1;
        mutex_unlock(&m);
    }
    waitgroup_done(&all);
}

static void contention(void *arg)
{
    start(contends, 4);
    waitgroup_wait(&all);
    check(guarded == 12 && mutex_trylock(&m));
    explore_done();
}

// ---- timers ----

static struct timer timer;
static _Atomic(int) fired, owed;

static void fires(void *arg) { atomic_fetch_add(&fired, 1); }

static void changes_timer(void *arg)
{
    for (int i = 0; i < 3; i++) {
        mutex_lock(&m);
        if (explore_choose(3) == 0)
            atomic_fetch_sub(&owed, timer_stop(&timer));
        else
            atomic_fetch_add(&owed, !timer_reset(&timer, explore_choose(1500)));
        mutex_unlock(&m);
        int64_t ns = explore_choose(2000), before = time_mono();
        time_sleep(ns);
        int64_t slept = time_mono() - before;
        check(slept >= ns && slept < 100 * TIME_MS);
    }
    waitgroup_done(&all);
}

static void timing(void *arg)
{
    owed = 1;
    timer_start(&timer, explore_choose(1000), fires, NULL);
    start(changes_timer, 2);
    waitgroup_wait(&all);
    struct chan *c = time_after(5000);
    chan_recv(c, NULL);
    chan_free(c);
    while (fired < owed)
        time_sleep(1000);
    check(fired == owed);
    explore_done();
}

// ---- a device ----

static _Atomic(int) arrived, taken;
static struct spinlock inbox_lock = SPINLOCK_INIT(LOCK_UNRANKED);
static struct gqueue readers;

static bool poll_device(struct poller *pl)
{
    spin_lock(&inbox_lock);
    struct g *gp = arrived > taken ? gqueue_pop(&readers) : NULL;
    spin_unlock(&inbox_lock);
    if (gp)
        goready_tail(gp);
    return false;
}

static struct poller device = { .poll = poll_device, .name = "explored" };

static void packet(void *arg)
{
    atomic_store_explicit(&arrived, (int)arrived + 1, memory_order_seq_cst);
    netpoll_mark(&device);
}

static void reads(void *arg)
{
    for (int i = 0; i < 3; i++) {
        explore_interrupt(explore_choose(4000), packet, NULL);
        spin_lock(&inbox_lock);
        while (arrived <= taken) {
            gqueue_push(&readers, getg());
            goparkunlock(&inbox_lock, WAIT_NET_READ);
            spin_lock(&inbox_lock);
        }
        taken = taken + 1;
        spin_unlock(&inbox_lock);
    }
    waitgroup_done(&all);
}

static void polling(void *arg)
{
    netpoll_register(&device);
    start(reads, 1);
    for (uint32_t n = explore_choose(4); n > 0; n--) {
        go_maxprocs(1 + (int)explore_choose(2));
        go_yield();
    }
    waitgroup_wait(&all);
    explore_done();
}

// ---- GOMAXPROCS changes under way ----

static void bounces(void *arg)
{
    int v = 0;
    for (int i = 0; i < 3; i++) {
        if (arg)
            chan_send(ch[0], &v);
        else
            chan_recv(ch[0], &v);
        if (explore_choose(4) == 0)
            time_sleep(explore_choose(1000));
    }
    waitgroup_done(&all);
}

static void resizing(void *arg)
{
    ch[0] = chan_make(sizeof(int), 0);
    netpoll_register(&device);
    start(bounces, 2);
    for (int i = 0; i < 5; i++) {
        explore_interrupt(explore_choose(600), packet, NULL);
        go_maxprocs(1 + (int)explore_choose(3));
        if (explore_choose(2))
            go_yield();
    }
    waitgroup_wait(&all);
    explore_done();
}

// ---- blocking calls: the P goes to others and comes back, or does not ----

static void blocks(void *arg)
{
    for (int i = 0; i < 3; i++) {
        go_block_enter();
        for (uint32_t n = explore_choose(200); n > 0; n--)
            explore_relax("blocks", i);
        go_block_exit();
        if (explore_choose(2))
            chan_send(ch[0], &i);
        else if (explore_choose(2))
            time_sleep(explore_choose(3000));
    }
    waitgroup_done(&all);
}

static void drains(void *arg)
{
    while (chan_recv(ch[0], NULL))
        ;
    chan_send(ch[1], NULL);
}

static void blocking(void *arg)
{
    ch[0] = chan_make(sizeof(int), explore_choose(2));
    ch[1] = chan_make(0, 0);
    check(go(drains, NULL) == 0);
    start(blocks, 3);
    if (explore_choose(2))
        go_maxprocs(1 + (int)explore_choose(2));
    waitgroup_wait(&all);
    chan_close(ch[0]);
    chan_recv(ch[1], NULL);
    explore_done();
}

// Every core but one is in a blocking call, which ends when somebody else has run there.
static void blocks_until(void *arg)
{
    go_block_enter();
    computes();
    go_block_exit();
    waitgroup_done(&all);
}

static void blocked_hog(void *arg)
{
    if (explore_choose(2))
        go_maxprocs(1 + (int)explore_choose(2));
    start(blocks_until, go_numcpu() - 1);
    if (explore_choose(2))
        time_sleep(explore_choose(3000));
    else
        go_yield();
    check(go(stops_it, NULL) == 0);
    waitgroup_wait(&all);
    explore_done();
}

static const struct scenario scenarios[] = {
    { "tree", tree },
    { "hog", hog },
    { "hog that readies", hog_that_readies },
    { "pipes", pipes },
    { "select", selection },
    { "locks", locks },
    { "mutex", contention },
    { "timers", timing },
    { "device", polling },
    { "maxprocs", resizing },
    { "blocking", blocking },
    { "blocked hog", blocked_hog },
};

int main(int argc, char **argv)
{
    return explore_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
