// SPDX-License-Identifier: BSD-2-Clause
// Timers of each P.
//
// The heap is a leftist tree linked through the timers themselves, so arming allocates nothing and
// cannot fail, and every operation, taking out from the middle included, is O(log n) in the worst
// case: no long pause with the lock held however many timers there are. (An array heap copies
// itself when it grows and must write each moved timer's index into the timer anyway; a pairing
// heap arms faster but may then spend O(n) in one go.) In a leftist tree the rank of a node is the
// length of its rightmost path; a left child's rank is never below the right one's, so that path
// has at most log2(n + 1) nodes, and melding walks only rightmost paths.
//
// Who guards a timer: t->home is the P whose timers lock guards every other member, from the first
// arming on for ever. It changes only under the old home's lock and only while the timer is not
// armed (pairs: TIMER-HOME); so whoever locks a home must look again whether it still is the home.
// One timers lock is held at a time.
//
// Firing: the timer leaves the heap under the lock and counts as not armed; then its function is
// called without the lock, and t is not touched again, since the function may free it. A timer is
// therefore started once per arming, however many cores run one P's timers. For timer_disarm_sync
// the core says in m->timer_running whose function it is in: set under the lock, cleared with
// release after the function (pairs: TIMER-RUNNING).
//
// An application's timer (TIMER_SPAWN) has its function run in a goroutine. That goroutine is made
// under the lock, so that for timer_stop the timer has either fired or not; when there is no memory
// for it, the timer stays armed.

#include "sched/timer.h"

#include <heddle/go.h>

#include "kernel/clock.h"
#include "kernel/panic.h"
#include "kernel/preempt.h"
#include "sched/sched.h"

enum { TIMER_IDLE, TIMER_ARMED };
// flags of a timer: its function runs in a goroutine; it counts for the deadlock verdict.
enum { TIMER_SPAWN = 1, TIMER_VITAL = 2 };

// Timers run with the lock given up in between at most, before the scheduler looks at other things.
enum { RUN_BATCH = HOSTILE ? 1 : 256 };
#define SPAWN_RETRY_NS (1 * TIME_MS)

static inline unsigned rank_of(const struct timer *t)
{
    return t ? t->rank : 0;
}

// Restores order between t's children and t's rank; true if the rank changed.
static inline bool fix(struct timer *t)
{
    if (rank_of(t->left) < rank_of(t->right)) {
        struct timer *tmp = t->left;
        t->left = t->right;
        t->right = tmp;
    }
    unsigned rank = rank_of(t->right) + 1;
    bool changed = rank != t->rank;
    t->rank = (uint16_t)rank;
    return changed;
}

// Joins two trees whose roots have no parent; at equal times a's timers stay in front.
static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->when_ns < a->when_ns) {
        struct timer *tmp = a;
        a = b;
        b = tmp;
    }
    // Down: merges the two rightmost paths by time. b's tree is yet to be hung somewhere below a.
    struct timer *root = a;
    for (;;) {
        struct timer *right = a->right;
        if (!right || b->when_ns < right->when_ns) {
            a->right = b;
            b->parent = a;
            if (!right)
                break;
            a = b;
            b = right;
        } else {
            a = right;
        }
    }
    // Up: the right child of every node on the way is another one now.
    for (; a; a = a->parent)
        fix(a);
    return root;
}

static inline void count_vital(struct timers *ts, int32_t by)
{
    uint32_t n = atomic_load_explicit(&ts->n_vital, memory_order_relaxed);
    atomic_store_explicit(&ts->n_vital, n + (uint32_t)by, memory_order_relaxed);
}

static inline void heap_insert(struct timers *ts, struct timer *t)
{
    t->left = t->right = t->parent = NULL;
    t->rank = 1;
    t->state = TIMER_ARMED;
    ts->root = meld(ts->root, t);
    ts->len++;
    if (t->flags & TIMER_VITAL)
        count_vital(ts, 1);
}

static void heap_remove(struct timers *ts, struct timer *t)
{
    struct timer *left = t->left, *right = t->right, *parent = t->parent;
    if (left)
        left->parent = NULL;
    if (right)
        right->parent = NULL;
    struct timer *sub = meld(left, right);
    if (sub)
        sub->parent = parent;
    if (!parent) {
        if (unlikely(ts->root != t))
            throw("timer: the root of a heap is not this P's");
        ts->root = sub;
    } else {
        if (parent->left == t)
            parent->left = sub;
        else
            parent->right = sub;
        while (parent && fix(parent))
            parent = parent->parent;
    }
    t->state = TIMER_IDLE;
    ts->len--;
    if (t->flags & TIMER_VITAL)
        count_vital(ts, -1);
}

// Publishes the earliest time for timers_next. Context: ts->lock is held.
static inline int64_t publish(struct timers *ts)
{
    int64_t next = ts->root ? ts->root->when_ns : INT64_MAX;
    atomic_store_explicit(&ts->next_ns, next, memory_order_relaxed);
    return next;
}

// The calling core's P. Context: preemption is off.
static inline struct p *my_p(void)
{
    return getg()->m->p;
}

// Locks t's home, which a timer that was never armed has not got: then NULL. Context: preemption is
// off.
static struct p *lock_home(struct timer *t)
{
    for (;;) {
        // What was written to t under an earlier home's lock. pairs: TIMER-HOME
        struct p *p = atomic_load_explicit(&t->home, memory_order_acquire);
        if (!p)
            return NULL;
        spin_lock(&p->timers.lock);
        if (likely(atomic_load_explicit(&t->home, memory_order_relaxed) == p))
            return p;
        spin_unlock(&p->timers.lock);
    }
}

// Locks t's home after moving t to the calling core's P, unless it is armed elsewhere. Context:
// preemption is off.
static struct p *lock_to_arm(struct timer *t)
{
    struct p *mine = my_p();
    for (;;) {
        struct p *p = lock_home(t);
        if (likely(p == mine))
            return p;
        if (!p) {
            // The first arming; another core may be doing the same. pairs: TIMER-HOME
            atomic_compare_exchange_strong_explicit(&t->home, &p, mine, memory_order_release,
                                                    memory_order_relaxed);
            continue;
        }
        if (t->state == TIMER_ARMED)
            return p;
        // pairs: TIMER-HOME
        atomic_store_explicit(&t->home, mine, memory_order_release);
        spin_unlock(&p->timers.lock);
    }
}

// Puts t, not armed, into the heap of p, whose lock is held; releases the lock.
static void insert_unlock(struct p *p, struct timer *t, int64_t when_ns)
{
    struct timers *ts = &p->timers;
    int64_t before = atomic_load_explicit(&ts->next_ns, memory_order_relaxed);
    t->when_ns = when_ns < INT64_MAX ? when_ns : INT64_MAX - 1;
    heap_insert(ts, t);
    int64_t next = publish(ts);
    spin_unlock(&ts->lock);
    if (next < before)
        sched_timer_earlier(p, next);
}

// fn NULL: keeps function and argument. Returns 1 if t was armed, 0 if not, -1 if there is no
// function.
static int arm(struct timer *t, int64_t when_ns, void (*fn)(void *), void *arg, uint8_t flags)
{
    preempt_disable();
    struct p *p = lock_to_arm(t);
    int was = t->state == TIMER_ARMED;
    if (was)
        heap_remove(&p->timers, t);
    if (fn) {
        t->fn = fn;
        t->arg = arg;
        t->flags = flags;
    }
    if (t->fn) {
        insert_unlock(p, t, when_ns);
    } else {
        was = -1;
        spin_unlock(&p->timers.lock);
    }
    preempt_enable();
    return was;
}

void timer_arm(struct timer *t, int64_t when_ns, void (*fn)(void *), void *arg)
{
    require(fn != NULL);
    arm(t, when_ns, fn, arg, 0);
}

void timer_arm_vital(struct timer *t, int64_t when_ns, void (*fn)(void *), void *arg)
{
    require(fn != NULL);
    arm(t, when_ns, fn, arg, TIMER_VITAL);
}

void timer_arm_new(struct timer *t, int64_t when_ns, void (*fn)(void *), void *arg, bool vital)
{
    preempt_disable();
    struct p *p = my_p();
    t->fn = fn;
    t->arg = arg;
    t->flags = vital ? TIMER_VITAL : 0;
    t->runner = 0;
    atomic_store_explicit(&t->home, p, memory_order_relaxed);
    spin_lock(&p->timers.lock);
    insert_unlock(p, t, when_ns);
    preempt_enable();
}

// Context: preemption is off; p's lock is held.
static bool disarm_locked(struct p *p, struct timer *t)
{
    if (t->state != TIMER_ARMED)
        return false;
    heap_remove(&p->timers, t);
    publish(&p->timers);
    return true;
}

bool timer_disarm(struct timer *t)
{
    bool was = false;
    preempt_disable();
    struct p *p = lock_home(t);
    if (p) {
        was = disarm_locked(p, t);
        spin_unlock(&p->timers.lock);
    }
    preempt_enable();
    return was;
}

bool timer_disarm_sync(struct timer *t)
{
    bool was = false;
    for (;;) {
        preempt_disable();
        struct p *p = lock_home(t);
        if (!p) {
            preempt_enable();
            return false;
        }
        was |= disarm_locked(p, t);
        struct m *runner = &ms[t->runner];
        bool running = atomic_load_explicit(&runner->timer_running, memory_order_relaxed) == t;
        spin_unlock(&p->timers.lock);
        if (likely(!running)) {
            // What the function did, when another core has just left it. pairs: TIMER-RUNNING
            atomic_load_explicit(&runner->timer_running, memory_order_acquire);
            preempt_enable();
            return was;
        }
        if (unlikely(runner == getg()->m))
            throw("timer_disarm_sync: called by the timer's own function");
        // pairs: TIMER-RUNNING
        while (atomic_load_explicit(&runner->timer_running, memory_order_acquire) == t)
            arch_relax();
        preempt_enable();
    }
}

bool timer_is_armed(struct timer *t)
{
    bool armed = false;
    preempt_disable();
    struct p *p = lock_home(t);
    if (p) {
        armed = t->state == TIMER_ARMED;
        spin_unlock(&p->timers.lock);
    }
    preempt_enable();
    return armed;
}

// Starts the goroutine of an application's timer, the root. Context: p's lock is held.
static void fire_spawn(struct timers *ts, struct timer *t, int64_t now_ns)
{
    heap_remove(ts, t);
    if (likely(go(t->fn, t->arg) == 0))
        return;
    t->when_ns = now_ns + SPAWN_RETRY_NS;
    heap_insert(ts, t);
}

// Calls the function of a timer of the runtime's, the root. Context: the lock is held, given up for
// the call, and held again on return; by then t may be gone.
static void fire_call(struct timers *ts, struct timer *t)
{
    struct m *m = getg()->m;
    void (*fn)(void *) = t->fn;
    void *arg = t->arg;
    heap_remove(ts, t);
    publish(ts);
    t->runner = m->id;
    atomic_store_explicit(&m->timer_running, t, memory_order_relaxed);
    spin_unlock(&ts->lock);
    fn(arg);
    // pairs: TIMER-RUNNING
    atomic_store_explicit(&m->timer_running, NULL, memory_order_release);
    spin_lock(&ts->lock);
}

int64_t timers_run(struct p *p, int64_t now_ns)
{
    struct timers *ts = &p->timers;
    spin_lock(&ts->lock);
    for (unsigned n = 0; n < RUN_BATCH; n++) {
        struct timer *t = ts->root;
        if (!t || t->when_ns > now_ns)
            break;
        if (t->flags & TIMER_SPAWN)
            fire_spawn(ts, t, now_ns);
        else
            fire_call(ts, t);
    }
    int64_t next = publish(ts);
    spin_unlock(&ts->lock);
    return next;
}

void timers_init(struct p *p)
{
    spin_init(&p->timers.lock, LOCK_TIMERS);
    p->timers.root = NULL;
    p->timers.len = 0;
    atomic_store_explicit(&p->timers.next_ns, INT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&p->timers.n_vital, 0, memory_order_relaxed);
}

// The next timer after t in a walk over the whole tree, parents first.
static struct timer *walk_next(struct timer *t)
{
    if (t->left)
        return t->left;
    if (t->right)
        return t->right;
    for (struct timer *up = t->parent; up; t = up, up = up->parent) {
        if (up->left == t && up->right)
            return up->right;
    }
    return NULL;
}

void timers_move(struct p *from)
{
    preempt_disable();
    struct p *to = my_p();
    require(from != to);
    spin_lock(&from->timers.lock);
    struct timer *root = from->timers.root;
    uint32_t len = from->timers.len;
    uint32_t vital = atomic_load_explicit(&from->timers.n_vital, memory_order_relaxed);
    from->timers.root = NULL;
    from->timers.len = 0;
    atomic_store_explicit(&from->timers.n_vital, 0, memory_order_relaxed);
    publish(&from->timers);
    for (struct timer *t = root; t; t = walk_next(t))
        atomic_store_explicit(&t->home, to, memory_order_release); // pairs: TIMER-HOME
    spin_unlock(&from->timers.lock);

    spin_lock(&to->timers.lock);
    to->timers.root = meld(to->timers.root, root);
    to->timers.len += len;
    count_vital(&to->timers, (int32_t)vital);
    int64_t next = publish(&to->timers);
    spin_unlock(&to->timers.lock);
    if (root)
        sched_timer_earlier(to, next);
    preempt_enable();
}

void timer_start(struct timer *t, int64_t ns, void (*fn)(void *), void *arg)
{
    if (!fn)
        go_panic("timer_start: nil function");
    arm(t, time_after_ns(ns), fn, arg, TIMER_SPAWN | TIMER_VITAL);
}

bool timer_stop(struct timer *t)
{
    return timer_disarm(t);
}

bool timer_reset(struct timer *t, int64_t ns)
{
    int was = arm(t, time_after_ns(ns), NULL, NULL, 0);
    if (was < 0)
        go_panic("time: Reset called on uninitialized Timer");
    return was;
}
