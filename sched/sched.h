// SPDX-License-Identifier: BSD-2-Clause
// The scheduler's own interfaces, under the name of the file that implements them.
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "arch/arch.h"
#include "kernel/preempt.h"
#include "sched/g.h"
#include "sched/park.h"

struct sched {
    // Set before other cores start, or with the world stopped.
    unsigned n_m; // cores that are Ms; as many Ps exist, of which the first n_p are not P_DEAD
    _Atomic(unsigned) n_p; // GOMAXPROCS; changes while the world is stopped
    uint8_t coprimes[MAX_CORES]; // step widths that visit all n_p Ps. Read by Ms that hold a P
    unsigned n_coprimes;

    _Alignas(CACHE_LINE) struct spinlock lock;
    struct gqueue global;         // guard: lock
    _Atomic(uint32_t) global_len; // written under lock, read as a hint

    // Bit n: M n sleeps or is about to, and P n is owned by nobody. Taken by clearing a bit.
    _Alignas(CACHE_LINE) _Atomic(uint64_t) idle_m;
    _Atomic(uint64_t) idle_p;
    _Atomic(uint32_t) nmspinning; // Ms looking for work; at most half the busy Ps

    // How long wakep holds back after searches in vain, and until when. Hints, written by any M.
    // See idle.c.
    _Atomic(int64_t) quiet_ns;
    _Atomic(int64_t) quiet_until_ns;

    // What an M is to attend to before it picks a goroutine; see sched_attention.
    _Alignas(CACHE_LINE) _Atomic(bool) stopping; // somebody stops the world. pairs: WORLD-STOPPING
    _Atomic(uint32_t) urgent_len; // written under the lock of urgent.c
    _Atomic(uint64_t) tickless; // bit n: the tick of M n has ended. pairs: TICKLESS

    // Set once.
    int64_t slice_ns;
};

extern struct sched sched;
extern struct m ms[MAX_CORES];
extern struct p *ps[MAX_CORES];

// A counter of the owner's that others may read.
static inline __attribute__((always_inline)) void count(_Atomic(uint64_t) *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

// GOMAXPROCS. Constant for whoever holds a P and is not preemptible, a hint for others.
static inline unsigned p_count(void)
{
    return atomic_load_explicit(&sched.n_p, memory_order_relaxed);
}

// Has m stop its goroutine if it can, and look round. An interrupt must follow if m is not the
// calling core's. Context: any.
static inline void m_resched(struct m *m)
{
    atomic_store_explicit(&m->resched, true, memory_order_seq_cst);
    // pairs: M-LOOK
    atomic_store_explicit(&m->look, true, memory_order_release);
}

// Something goes before the run queues. Context: any; who makes it true sets every m->look next.
static inline bool sched_attention(void)
{
    return atomic_load_explicit(&sched.stopping, memory_order_seq_cst) ||
           atomic_load_explicit(&sched.urgent_len, memory_order_seq_cst) != 0;
}

// proc.c

// The scheduler loop. Context: g0 of an M that holds a P; never returns.
_Noreturn void schedule(void);
// Runs gp on this M. Context: g0 with a P; gp is G_RUNNABLE and on no queue.
_Noreturn void execute(struct g *gp, bool inherit_slice);
// Looks at the timers and at what devices announced; true if it may have readied something.
// Context: g0 with p.
bool sched_poll(struct m *m, struct p *p);
_Noreturn void g_bad_status(const struct g *gp, enum g_status from, enum g_status to);

// Checked change of a G's state by its owner.
static inline __attribute__((always_inline)) void g_set_status(struct g *gp, enum g_status from,
                                                               enum g_status to)
{
    if (unlikely(atomic_load_explicit(&gp->status, memory_order_relaxed) != from))
        g_bad_status(gp, from, to);
    atomic_store_explicit(&gp->status, to, memory_order_relaxed);
}

// The M and its goroutine part. Context: g0, just after the goroutine left its stack.
static inline void dropg(struct m *m, struct g *gp)
{
    gp->m = NULL;
    m->curg = NULL;
}

_Noreturn void p_bad_status(const struct p *p, enum p_status from, enum p_status to);

// Checked change of a P's state by its owner.
static inline void p_set_status(struct p *p, enum p_status from, enum p_status to)
{
    if (unlikely(atomic_load_explicit(&p->status, memory_order_relaxed) != from))
        p_bad_status(p, from, to);
    // What its owner did with it. pairs: P-STOPPED
    atomic_store_explicit(&p->status, to, memory_order_release);
}
void globrunq_put(struct g *gp);
// Takes gp out of the global queue; false if it is not there. Context: the world is stopped.
bool globrunq_remove(struct g *gp);
void globrunq_put_list(struct gqueue *q, uint32_t n);
// Takes a fair share of the global queue: one is returned, the rest go to p's queue (at most max, 0
// for half a ring).
struct g *globrunq_get(struct p *p, uint32_t max);

// idle.c

// The slow half of wakep. Context: not preemptible; also from the timer interrupt.
void wake_one(void);
// The same, even if searches have been in vain lately.
void wake_now(void);

// Whether there is an idle P, and m does not hold a wake back, with its timer armed to look again.
// Context: own M, not preemptible, what there is to do is published.
static inline __attribute__((always_inline)) bool wake_wanted(struct m *m)
{
    return atomic_load_explicit(&sched.idle_p, memory_order_seq_cst) != 0 &&
           (HOSTILE || !m->wake_later ||
            atomic_load_explicit(&sched.quiet_until_ns, memory_order_relaxed) == 0);
}

// If an idle P exists and nobody is looking for work, wakes an M to look. Context: as wake_one.
static inline __attribute__((always_inline)) void wakep(void)
{
    if (unlikely(wake_wanted(getg()->m)) &&
        atomic_load_explicit(&sched.nmspinning, memory_order_seq_cst) == 0)
        wake_one();
}

// Has every sleeping M look round once: for memory pressure. Context: any.
void wake_sleepers(void);
// Told by an M that looked for work and found some.
void searched_with_success(void);
// When the earliest timer of the idle Ps is due that m guards; INT64_MAX: none. Context: any.
int64_t guarded_next(struct m *m);
// Runs those that are due. Context: g0 with a P.
void run_guarded_timers(struct m *m, int64_t now);
void acquirep(struct m *m, struct p *p);
// The part of it that makes p, which is m->p and P_RUNNING, known as m's.
void own(struct m *m, struct p *p);
// Makes m, which has no P, idle; returns when it holds one. Context: g0.
void idle_without_p(struct m *m);
// Anything to do for an M that would have to find a P first?
bool work_published(struct m *m);
// A device announced work on a core that can get no P: asks a core that has one to look.
void pass_on_netpoll(struct m *m);
// The P of m, which has none afterwards; P_IDLE, but not in the idle mask.
struct p *releasep(struct m *m);
// Gives p, P_IDLE and the caller's, to whoever wants it; afterwards the caller sees to it that work
// which could run there is found (wakep).
void pidle_put(struct p *p);
// Has the guard of p, which is or was idle, arm its core's timer for p's timers.
void nudge_guard(struct p *p);
// A P nobody owns, wanted first if it is idle; NULL when there is none.
struct p *pidle_get(struct p *wanted);
// Gives the P up and sleeps until there is work; on return the M holds a P.
void stop_m(struct m *m);
// Entry of an M that has no P yet: sleeps until it is given one, then schedules.
void m_main(void);
unsigned pidle_count(void);

// block.c

// Takes p out of a blocking call, if it is in one; p is the caller's then.
bool block_take(struct p *p, enum p_status to);
// When the timers of the P are due that m, in a blocking call, still has; INT64_MAX: none.
int64_t block_timers_next(struct m *m);
// At the end of an interrupt that has something for m, in a blocking call of gp. True: gp is to be
// stopped. Context: interrupt.
bool block_irq(struct m *m, struct g *gp);
// gp was stopped in a blocking call. Returns if m has got a P for what is to be done: gp then is
// G_RUNNING. Context: g0 of m, without a P.
void block_stopped(struct m *m, struct g *gp);
// gp, the caller, goes on in its blocking call after it was stopped there.
void block_resume(struct g *gp);

// urgent.c

static inline bool is_urgent(struct g *gp)
{
    return atomic_load_explicit(&gp->urgency, memory_order_relaxed) != 0;
}

// Queues gp, G_RUNNABLE and urgent, and sees to it that somebody runs it now. Context: as goready,
// not preemptible.
void urgent_put(struct g *gp);
// The same for an M that gives up what it did: another core is to run gp. Context: g0, perhaps
// without a P.
void urgent_put_elsewhere(struct g *gp);
// urgent_put and the preempt_enable owed for it; always true.
bool ready_urgent(struct g *gp);
// The first urgent goroutine, for the M of p to run next; NULL: there is none.
struct g *urgent_get(struct p *p);
// If gp waits in a run queue, it is urgent from now on. Blocks. Context: as world_stop.
void urgent_expedite(struct g *gp);

// sysmon.c

// To be called at each interrupt of m's timer. Context: that interrupt.
void sysmon(struct m *m, int64_t now);
// When m is to be interrupted for it if its tick has ended; INT64_MAX: never.
int64_t sysmon_next(int64_t now);
// The tick of m ends if nobody waits; then true. Context: the timer interrupt, gp runs on m with p.
bool tick_stop(struct m *m, struct p *p, struct g *gp);
// It goes on.
void tick_resumed(struct m *m);
// preempt_pending was found set on gp, perhaps for this reason; takes that back if it was. Context:
// gp, not preemptible.
void tick_look(struct g *gp);
// Somebody waits: all ticks go on.
void tick_kick_all(void);
// Asks m, another core's, to stop its goroutine as at the end of its slice. Context: any.
void preempt_request(struct m *m);

// deadlock.c

// Ends the machine if nothing can ever happen again. True: it has carried the Ps about, so m must
// look for work once more. Context: g0 of m, which holds no P and is idle; it has found no work.
bool checkdead(struct m *m);

// runq.c; the owner's operations expanded in place: runq_inline.h

// Context: the owner M of p, not preemptible. gp is G_RUNNABLE.
void runq_put(struct p *p, struct g *gp, bool next);
// *was_next: it stood in runnext. Context: as runq_put.
struct g *runq_get(struct p *p, bool *was_next);
// Steals half of victim's queue into p's; one of them is returned. take_next: also runnext if there
// is nothing else.
struct g *runq_steal(struct p *p, struct p *victim, bool take_next);
bool runq_empty(struct p *p);
uint32_t runq_len(struct p *p);
// Called by runq_put with half of a full queue, a chain of n through g->link.
void runq_overflow(struct g *first, struct g *last, uint32_t n);

// park.c; for schedule_inline.h

// The rest of a goready and preempt_enable: queues the goroutine that was pushed out of runnext, if
// any, and wakes an idle P. Always true.
bool ready_rest(struct g *kicked);
// What goparkunlock does on g0.
void park_unlock_m(struct g *gp);

// preempt.c

// preempt_yield; always true.
bool preempt_yield_true(void);

// Interrupt-side. Context: an interrupt handler, interrupts off.
void preempt_timer_irq(void);
void preempt_wake_irq(void);
// Whether the interrupted goroutine is to be stopped now; called as the last thing of an interrupt.
bool preempt_irq_exit(void);
// The preempted goroutine itself, called by arch_preempt_stub.
void preempt_park(void);
// Queues gp, which was stopped. Context: g0, gp has just left its stack; also entered by arch_gogo.
void preempt_m(struct g *gp);
// Arms the core's timer for when_ns if it is not armed for earlier. Context: own M, any.
void preempt_arm(struct m *m, int64_t when_ns);
// Starts the slice tick if it is not running. Context: g0, from execute.
void preempt_start_tick(struct m *m, struct p *p);

// goroutine.c

// Gives p's free list to the global one. Context: the world is stopped.
void gfree_purge(struct p *p);
struct g *g_new(size_t stack_max);
// A goroutine that starts fn(arg) when scheduled; NULL when memory is exhausted. Context: goroutine
// or g0 with a P.
struct g *g_spawn(const char *name, size_t stack_max, void (*fn)(void *), void *arg,
                  bool is_system);
struct g *g_all(void); // first of all Gs; next by all_next
// Set by libc: called by a goroutine that ends, on its own stack.
extern void (*sched_goroutine_exit_hook)(struct g *gp);

// stack.c

// Reserves a stack of the smallest class of at least max bytes and commits its top page. False: no
// memory.
// Draws where stacks lie. Context: boot core, before the first stack.
void stack_init(void);
bool stack_alloc(struct g *gp, size_t max);
#define STACK_DEFAULT ((size_t)256 << 10)
unsigned stack_class_of(size_t max);
// Of STACK_DEFAULT.
enum { STACK_DEFAULT_CLASS = 4 };
// The page-fault handler's question. STACK_FAULT_GROWN: the access may be repeated.
enum stack_fault {
    STACK_FAULT_NOT_STACK,
    STACK_FAULT_GROWN,
    STACK_FAULT_OVERFLOW,
    STACK_FAULT_NO_MEMORY,
};
enum stack_fault stack_fault(uintptr_t va);
// A stack of n committed pages for the kernel itself with an unmapped page below; returns its top,
// 0 if no memory.
uintptr_t stack_alloc_kernel(unsigned pages);

// netpoll.c: see sched/netpoll.h

// init.c

// GOMAXPROCS becomes n. Context: boot, or the world is stopped.
void sched_set_p_count(unsigned n);
// Makes M 0's scheduler state and all Ps. Context: boot core, heap ready.
void sched_init(unsigned cores);
// Starts the other cores and runs fn(arg) as the main goroutine. Context: boot core, on its g0.
_Noreturn void sched_start(void (*fn)(void *), void *arg);

// rand

// xorshift; never returns a state of 0.
static inline uint32_t rand_next(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

#endif
