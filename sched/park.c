// SPDX-License-Identifier: BSD-2-Clause
// Park and ready.
//
// A goroutine parks in two steps: on its own stack it goes to g0; on g0, once its registers are
// saved and its state is G_WAITING, commit makes it visible to whoever will wake it (by releasing
// the lock of the wait queue it is on). So goready never sees a goroutine that is still running.
// The lock's release and acquire order the saved context before its use on another core.

#include "sched/park.h"

#include <heddle/go.h>

#include "kernel/panic.h"
#include "sched/schedule_inline.h"

static const char *const wait_reason_names[WAIT_REASONS] = {
    [WAIT_NONE] = "",
    [WAIT_CHAN_RECV] = "chan receive",
    [WAIT_CHAN_SEND] = "chan send",
    [WAIT_CHAN_RECV_NIL] = "chan receive (nil chan)",
    [WAIT_CHAN_SEND_NIL] = "chan send (nil chan)",
    [WAIT_SELECT] = "select",
    [WAIT_SELECT_EMPTY] = "select (no cases)",
    [WAIT_SLEEP] = "sleep",
    [WAIT_MUTEX] = "mutex lock",
    [WAIT_RWMUTEX_READ] = "rwmutex read lock",
    [WAIT_RWMUTEX_WRITE] = "rwmutex write lock",
    [WAIT_WAITGROUP] = "waitgroup wait",
    [WAIT_COND] = "cond wait",
    [WAIT_SEMA] = "semacquire",
    [WAIT_ONCE] = "once",
    [WAIT_ACCEPT] = "net accept",
    [WAIT_DIAL] = "net dial",
    [WAIT_NET_READ] = "net read",
    [WAIT_NET_WRITE] = "net write",
    [WAIT_PACKET] = "net packet read",
    [WAIT_ARP] = "neighbour resolution",
    [WAIT_DHCP] = "dhcp",
    [WAIT_CONSOLE] = "console read",
    [WAIT_STDIO] = "stdio lock",
    [WAIT_DISK] = "disk",
};

const char *wait_reason_name(enum wait_reason r)
{
    return (unsigned)r < WAIT_REASONS && wait_reason_names[r] ? wait_reason_names[r] : "?";
}

bool gqueue_remove(struct gqueue *q, struct g *gp)
{
    struct g *prev = NULL;
    for (struct g *at = q->head; at; prev = at, at = at->link) {
        if (at != gp)
            continue;
        if (prev)
            prev->link = gp->link;
        else
            q->head = gp->link;
        if (q->tail == gp)
            q->tail = prev;
        gp->link = NULL;
        return true;
    }
    return false;
}

// Context: g0, gp has just left its stack.
static void park_m(struct g *gp)
{
    struct m *m = getg()->m;
    gp->preempt_off--;
    trace_hot(TRACE_LEAVE, LEAVE_BLOCK, gp);
    g_set_status(gp, G_RUNNING, G_WAITING);
    dropg(m, gp);
    if (m->park_commit && !m->park_commit(gp, m->park_arg)) {
        g_set_status(gp, G_WAITING, G_RUNNABLE);
        execute(gp, true);
    }
    schedule_inline(m);
}

void park_unlock_m(struct g *gp)
{
    struct m *m = getg()->m;
    trace_hot(TRACE_LEAVE, LEAVE_BLOCK, gp);
    g_set_status(gp, G_RUNNING, G_WAITING);
    dropg(m, gp);
    // From the release on gp may run elsewhere.
    spin_unlock_g_inline(gp, m->park_arg);
    schedule_inline(m);
}

void gopark(park_commit_fn *commit, void *arg, enum wait_reason reason)
{
    // The commit function travels in the M, so the goroutine may not change Ms before park_m has
    // read it.
    preempt_disable();
    struct g *gp = getg();
    struct m *m = gp->m;
    if (unlikely(gp == m->g0))
        throw("gopark: called on g0");
    atomic_store_explicit(&gp->wait_reason, reason, memory_order_relaxed);
    gp->wait_since_ns = m->now_ns;
    m->park_commit = commit;
    m->park_arg = arg;
    arch_mcall(park_m);
}

void goparkunlock(struct spinlock *l, enum wait_reason reason)
{
    struct g *gp = getg();
    if (unlikely(gp == gp->m->g0))
        throw("goparkunlock: called on g0");
    goparkunlock_inline(l, reason);
}

__attribute__((noinline)) bool ready_rest(struct g *kicked)
{
    if (kicked)
        runq_put_ring(getg()->m->p, kicked);
    wakep();
    preempt_enable();
    return true;
}

void goready(struct g *gp)
{
    preempt_disable();
    ready_and_enable(gp);
}

void goready_tail(struct g *gp)
{
    preempt_disable();
    trace_hot(TRACE_READY, 0, gp);
    g_set_status(gp, G_WAITING, G_RUNNABLE);
    if (unlikely(is_urgent(gp))) {
        ready_urgent(gp);
        return;
    }
    runq_put_ring(getg()->m->p, gp);
    wakep();
    preempt_enable();
}

// Context: g0.
static void yield_m(struct g *gp)
{
    struct m *m = getg()->m;
    struct p *p = m->p;
    trace_hot(TRACE_LEAVE, LEAVE_YIELD, gp);
    g_set_status(gp, G_RUNNING, G_RUNNABLE);
    dropg(m, gp);
    if (likely(queue_comes_first(m, p)) && runq_put_unfenced(p, gp)) {
        // Taking the next is the fence that publishing this one needs. If thieves have left
        // nothing, this one is published by theirs.
        bool inherit;
        struct g *next = runq_take(p, &inherit);
        arch_fence_after_rmw();
        wakep();
        if (likely(next != NULL)) {
            p->global_in -= !inherit;
            run(m, next, inherit);
        }
        schedule();
    }
    runq_put_ring(p, gp);
    wakep();
    schedule();
}

void go_yield(void)
{
    arch_mcall(yield_m);
}
