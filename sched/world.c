// SPDX-License-Identifier: BSD-2-Clause
// Stop the world, start the world, and GOMAXPROCS, which is what changes in between.
//
// To stop it is to own every P. The stopper sets sched.stopping and then takes the Ps one by one in
// whatever state it finds them: an idle one by its bit in idle_p; one in a blocking call by
// compare-and-swap; the M of a running one is told by resched and an interrupt, comes to
// proc.c:attend, gives the P up as P_STOPPED, which makes it the stopper's, and sleeps as an idle M
// (idle.c:stop_m). A P on its way between two Ms is waited for: acquirep looks at sched.stopping
// after it has stored p->m, and the stopper stores sched.stopping before it reads p->m, each with a
// full fence in between, so the new owner sees the one or the stopper the other.
//
// The stopper waits busily: what it waits for are sections that may not be preempted, tens of
// instructions each. One goroutine stops the world at a time (stop_mutex, taken before preemption
// is turned off).
//
// GOMAXPROCS: a P exists for each core from boot on; those whose number is not below GOMAXPROCS are
// P_DEAD. What such a P owned is moved on: goroutines to the global queue, timers to the P of the
// caller, dead Gs to the global list. Objects in a struct pool are found where they are
// (sync_pool.c). A P that comes back is as it was left: empty, its counters going on.
//
// Rejected: more Ps than cores. The surplus could only ever be idle: an M is a core.

#include "sched/world.h"

#include <heddle/go.h>
#include <heddle/sync.h>

#include "kernel/panic.h"
#include "sched/netpoll.h"
#include "sched/sched.h"
#include "sched/timer.h"

static struct mutex stop_mutex;
static struct g *stopper; // guard: stop_mutex

bool world_is_stopped(void)
{
    return stopper == getg();
}

bool world_mutex_is(const struct mutex *m)
{
    return m == &stop_mutex;
}

// The P's claim by its bit.
static bool take_idle(struct p *p)
{
    uint64_t bit = (uint64_t)1 << p->id;
    // pairs: IDLE-CLAIM
    if (!(atomic_fetch_and_explicit(&sched.idle_p, ~bit, memory_order_seq_cst) & bit))
        return false;
    p_set_status(p, P_IDLE, P_STOPPED);
    return true;
}

// True once p is ours. Tells the M that has it, if somebody does; *told: who has been told.
static bool take(struct p *p, struct m **told)
{
    // Acquire: what its last owner did. pairs: P-STOPPED
    uint32_t status = atomic_load_explicit(&p->status, memory_order_acquire);
    if (status == P_STOPPED || status == P_DEAD)
        return true;
    if (status == P_IDLE)
        return take_idle(p);
    if (status == P_SYSCALL)
        return block_take(p, P_STOPPED);
    struct m *m = atomic_load_explicit(&p->m, memory_order_seq_cst);
    if (m && m != *told) {
        m_resched(m);
        arch_send_ipi(m->id, IPI_WAKE);
        *told = m;
    }
    return false;
}

void world_stop(void)
{
    require(getg()->preempt_off == 0);
    mutex_lock(&stop_mutex);
    preempt_disable();
    stopper = getg();
    struct p *mine = stopper->m->p;
    // Before any p->m is read. pairs: WORLD-STOPPING
    atomic_store_explicit(&sched.stopping, true, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
    struct m *told[MAX_CORES] = { NULL };
    for (bool all = false; !all;) {
        all = true;
        for (unsigned i = 0; i < sched.n_m; i++)
            if (ps[i] != mine && !take(ps[i], &told[i]))
                all = false;
        arch_relax();
    }
}

void world_start(void)
{
    require(world_is_stopped());
    struct p *mine = stopper->m->p;
    atomic_store_explicit(&sched.stopping, false, memory_order_seq_cst);
    for (unsigned i = 0; i < sched.n_m; i++) {
        struct p *p = ps[i];
        if (p == mine || atomic_load_explicit(&p->status, memory_order_relaxed) == P_DEAD)
            continue;
        p_set_status(p, P_STOPPED, P_IDLE);
        pidle_put(p);
        nudge_guard(p);
    }
    // A core without a P may have passed its interrupt on to nobody while there was none (idle.c).
    if (netpoll_pending())
        m_resched(stopper->m);
    // Whoever is woken wakes the next while it finds work.
    searched_with_success();
    wakep();
    stopper = NULL;
    preempt_enable();
    mutex_unlock(&stop_mutex);
}

// Moves the caller to P 0, which stays whatever GOMAXPROCS becomes.
static void move_to_first(void)
{
    struct m *m = getg()->m;
    if (m->p->id == 0)
        return;
    p_set_status(ps[0], P_STOPPED, P_IDLE);
    p_set_status(releasep(m), P_IDLE, P_STOPPED);
    acquirep(m, ps[0]);
    // A tick that came in between found no P and ended, and this goroutine goes on without run().
    if (m->tick_ns == INT64_MAX)
        preempt_start_tick(m, m->p);
}

// Moves what p owns to where it will be found. Context: the world is stopped, p is not the
// caller's.
static void empty_p(struct p *p)
{
    struct g *gp;
    while ((gp = runq_get(p, &(bool){ false })) != NULL)
        globrunq_put(gp);
    timers_move(p);
    gfree_purge(p);
}

// Context: the world is stopped.
static void resize(unsigned n)
{
    move_to_first();
    for (unsigned i = 0; i < sched.n_m; i++) {
        struct p *p = ps[i];
        enum p_status status = atomic_load_explicit(&p->status, memory_order_relaxed);
        if (i >= n && status == P_STOPPED) {
            empty_p(p);
            p_set_status(p, P_STOPPED, P_DEAD);
        } else if (i < n && status == P_DEAD) {
            p_set_status(p, P_DEAD, P_STOPPED);
        }
    }
    sched_set_p_count(n);
}

int go_maxprocs(int n)
{
    if (n <= 0)
        return (int)p_count();
    world_stop();
    unsigned was = p_count(), want = MIN((unsigned)n, sched.n_m);
    if (want != was)
        resize(want);
    world_start();
    return (int)was;
}
