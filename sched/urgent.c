// SPDX-License-Identifier: BSD-2-Clause
// Urgent goroutines.
//
// One that is urgent when it is readied goes to a queue of its own, which every M looks at before
// any other, and an ordinary goroutine makes room for it at once: the one that readied it, or, when
// that one is urgent itself or there are several, one on another core. It is urgent for one slice;
// then it queues with the others, so that those are not kept from running for ever.
//
// Urgency is lent, too: an urgent goroutine that waits for a mutex lends its own to whoever holds
// the mutex, and if that one waits for another mutex, to whoever holds that (sync_lend.c). Lent
// urgency does not end with the slice but with the unlock.
//
// g->urgency: URGENT_OWN, by go_attr, and in the low bits how often it is lent. Changed by atomic
// addition, read without order: it is a hint for the moment the goroutine is queued.
//
// Nobody tests for the queue when there is nothing in it: m->look is set on every M after
// urgent_len, and kept set by sched_poll while sched_attention holds.
//
// Rejected: a run queue of each priority in each P. A goroutine is urgent because it is to run now,
// not when the P it is on comes round to it; and stealing would have to know.

#include "sched/sched.h"

#include "sched/world.h"

static struct {
    struct spinlock lock;
    struct gqueue queue; // guard: lock
} urgent = { .lock = SPINLOCK_INIT(LOCK_SCHED) };

static void put(struct g *gp)
{
    spin_lock(&urgent.lock);
    gqueue_push(&urgent.queue, gp);
    uint32_t n = atomic_load_explicit(&sched.urgent_len, memory_order_relaxed);
    atomic_store_explicit(&sched.urgent_len, n + 1, memory_order_seq_cst);
    spin_unlock(&urgent.lock);
    // After urgent_len: an M that clears look after this sees it. pairs: M-LOOK
    for (unsigned i = 0; i < sched.n_m; i++)
        atomic_store_explicit(&ms[i].look, true, memory_order_release);
}

struct g *urgent_get(struct p *p)
{
    if (atomic_load_explicit(&sched.urgent_len, memory_order_seq_cst) == 0)
        return NULL;
    spin_lock(&urgent.lock);
    struct g *gp = gqueue_pop(&urgent.queue);
    if (gp) {
        uint32_t n = atomic_load_explicit(&sched.urgent_len, memory_order_relaxed);
        atomic_store_explicit(&sched.urgent_len, n - 1, memory_order_seq_cst);
        // run() counts on by one.
        uint64_t now = atomic_load_explicit(&p->n_switch, memory_order_relaxed);
        atomic_store_explicit(&p->urgent_switch, now + 1, memory_order_relaxed);
    }
    spin_unlock(&urgent.lock);
    return gp;
}

// Whether the M of p runs an ordinary goroutine, or did just now.
static bool runs_ordinary(struct p *p)
{
    return atomic_load_explicit(&p->status, memory_order_relaxed) == P_RUNNING &&
           atomic_load_explicit(&p->n_switch, memory_order_relaxed) !=
               atomic_load_explicit(&p->urgent_switch, memory_order_relaxed);
}

static void tell(struct m *m)
{
    m_resched(m);
    arch_send_ipi(m->id, IPI_WAKE);
}

// Has another core come for the queue: one that sleeps, else one with an ordinary goroutine, else
// all: one may just be about to run an ordinary one.
static void tell_another(struct m *mine)
{
    // Beside a blocking call a P is idle and no core may be.
    if (atomic_load_explicit(&sched.idle_p, memory_order_seq_cst) != 0 &&
        atomic_load_explicit(&sched.idle_m, memory_order_seq_cst) != 0) {
        wake_now();
        return;
    }
    for (unsigned i = 0; i < sched.n_m; i++) {
        struct m *m = atomic_load_explicit(&ps[i]->m, memory_order_relaxed);
        if (m && m != mine && runs_ordinary(ps[i])) {
            tell(m);
            return;
        }
    }
    for (unsigned i = 0; i < sched.n_m; i++)
        if (&ms[i] != mine)
            tell(&ms[i]);
}

void urgent_put(struct g *gp)
{
    struct g *me = getg();
    struct m *m = me->m;
    bool more = atomic_load_explicit(&sched.urgent_len, memory_order_relaxed) != 0;
    put(gp);
    if (more || (me != m->g0 && is_urgent(me))) {
        tell_another(m);
    } else if (me != m->g0) {
        m_resched(m);
        atomic_store_explicit(&me->preempt_pending, true, memory_order_relaxed);
    }
}

void urgent_put_elsewhere(struct g *gp)
{
    put(gp);
    tell_another(getg()->m);
}

bool ready_urgent(struct g *gp)
{
    urgent_put(gp);
    preempt_enable();
    return true;
}

// Takes gp out of p's queue; runnext goes to its end. Context: the world is stopped.
static bool take_from(struct p *p, struct g *gp)
{
    bool found = false;
    for (uint32_t n = runq_len(p); n > 0; n--) {
        bool was_next;
        struct g *at = runq_get(p, &was_next);
        if (at == gp)
            found = true;
        else
            runq_put(p, at, false);
    }
    return found;
}

void urgent_expedite(struct g *gp)
{
    world_stop();
    bool found = false;
    if (atomic_load_explicit(&gp->status, memory_order_relaxed) == G_RUNNABLE) {
        for (unsigned i = 0; !found && i < sched.n_m; i++)
            found = take_from(ps[i], gp);
        found = found || globrunq_remove(gp);
    }
    if (found)
        put(gp);
    world_start();
}
