// SPDX-License-Identifier: BSD-2-Clause
// test: cflags=-fsanitize=thread variants="-DRUNQ_SIZE=4|-DRUNQ_SIZE=256" timeout=120
//
// The run queue against thieves: an owner puts and gets, through runnext, the ring and the
// overflow, while others steal from it and from each other. Every G must come out exactly once,
// with what was written into it before it went in; ThreadSanitizer checks the latter, as fields
// of a G are plain.
//
// The test is tested, too: two broken queues, made from the same source by redefining a few words,
// must fail. In the first a thief claims without comparing, so that Gs come out twice; in the
// second all orderings are relaxed, which ThreadSanitizer reports.

#include "cores.h"
#include "sched/sched.h"

#include <time.h>

// Widens the window between looking and claiming, where another thread does harm if it can.
static void linger(void)
{
    static _Thread_local uint64_t seed;
    if (seed_below(&seed, 4) == 0)
        sched_yield();
}

#pragma push_macro("atomic_compare_exchange_strong_explicit")
#undef atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong_explicit(at, old, new, order, other) \
    (linger(), __atomic_compare_exchange_n(at, old, new, false, order, other))
#include "sched/runq.c"

// What runq.c and the header it includes define, under another name for each broken copy.
#define runq_slot NAME(runq_slot)
#define move_half NAME(move_half)
#define runq_put_ring NAME(runq_put_ring)
#define runq_put_next NAME(runq_put_next)
#define runq_put_unfenced NAME(runq_put_unfenced)
#define runq_take NAME(runq_take)
#define runq_put_full NAME(runq_put_full)
#define grab NAME(grab)
#define grab_next NAME(grab_next)
#define runq_put NAME(runq_put)
#define runq_get NAME(runq_get)
#define runq_steal NAME(runq_steal)
#define runq_empty NAME(runq_empty)
#define runq_len NAME(runq_len)

#undef SCHED_RUNQ_INLINE_H
#define NAME(n) blind_##n
void runq_put(struct p *p, struct g *gp, bool next);
struct g *runq_get(struct p *p, bool *was_next);
struct g *runq_steal(struct p *p, struct p *victim, bool take_next);
bool runq_empty(struct p *p);
uint32_t runq_len(struct p *p);
#undef atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong_explicit(at, old, new, order, other) \
    (linger(), atomic_store_explicit(at, new, memory_order_release), *(old) != ~0u)
#include "sched/runq.c"
#pragma pop_macro("atomic_compare_exchange_strong_explicit")
#undef NAME

#undef SCHED_RUNQ_INLINE_H
#define NAME(n) relaxed_##n
void runq_put(struct p *p, struct g *gp, bool next);
struct g *runq_get(struct p *p, bool *was_next);
struct g *runq_steal(struct p *p, struct p *victim, bool take_next);
bool runq_empty(struct p *p);
uint32_t runq_len(struct p *p);
#define memory_order_acquire memory_order_relaxed
#define memory_order_release memory_order_relaxed
#define memory_order_acq_rel memory_order_relaxed
#define memory_order_seq_cst memory_order_relaxed
#include "sched/runq.c"
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst
#undef NAME

#undef runq_slot
#undef move_half
#undef runq_put_ring
#undef runq_put_next
#undef runq_put_unfenced
#undef runq_take
#undef runq_put_full
#undef grab
#undef grab_next
#undef runq_put
#undef runq_get
#undef runq_steal
#undef runq_empty
#undef runq_len

struct queue_ops {
    void (*put)(struct p *p, struct g *gp, bool next);
    struct g *(*get)(struct p *p, bool *was_next);
    struct g *(*steal)(struct p *p, struct p *victim, bool take_next);
    bool (*empty)(struct p *p);
};

#define OPS(prefix) { prefix##runq_put, prefix##runq_get, prefix##runq_steal, prefix##runq_empty }
static const struct queue_ops right = OPS(), blind = OPS(blind_);
static const __attribute__((unused)) struct queue_ops relaxed = OPS(relaxed_);
static const struct queue_ops *ops;

enum { THIEVES = 3, GS = 3000, ROUNDS = 25, LIMIT_SECONDS = 30 };

static struct g gs[GS];       // param: what the owner wrote; id: times it has come out
static struct p p_of[THIEVES + 1];
static _Atomic(unsigned) came_out; // in this round
static _Atomic(unsigned) went_in;  // likewise, as far as thieves want to know
static _Atomic(unsigned) overflowed, stolen, from_next;
static pthread_barrier_t round_begin, round_end;

static pthread_mutex_t global_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct gqueue global;

// Only runq_steal's patience with runnext asks for the time.
int64_t clock_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void runq_overflow(struct g *first, struct g *last, uint32_t n)
{
    uint32_t found = 1;
    for (struct g *gp = first; gp != last; gp = gp->link)
        found++;
    check(found == n && last->link == NULL);
    pthread_mutex_lock(&global_mutex);
    if (global.tail)
        global.tail->link = first;
    else
        global.head = first;
    global.tail = last;
    pthread_mutex_unlock(&global_mutex);
    atomic_fetch_add(&overflowed, n);
}

static struct g *global_get(void)
{
    pthread_mutex_lock(&global_mutex);
    struct g *gp = gqueue_pop(&global);
    pthread_mutex_unlock(&global_mutex);
    return gp;
}

// The G belongs to this thread alone now: plain accesses, which ThreadSanitizer watches.
static void run_g(struct g *gp, uint64_t round)
{
    check(gp->param == (char *)gp + round);
    gp->param = NULL;
    gp->id++;
    atomic_fetch_add_explicit(&came_out, 1, memory_order_relaxed);
}

static unsigned now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned)t.tv_sec;
}

// Takes whatever it can until all have come out.
static void work_off(unsigned core, uint64_t round, uint64_t *seed)
{
    struct p *p = &p_of[core];
    unsigned start = now_s();
    while (atomic_load_explicit(&came_out, memory_order_relaxed) < GS) {
        bool was_next;
        struct g *gp = ops->get(p, &was_next);
        if (!gp) {
            unsigned victim = seed_below(seed, THIEVES + 1);
            if (victim != core)
                gp = ops->steal(p, &p_of[victim], seed_below(seed, 4) == 0);
            if (gp)
                atomic_fetch_add_explicit(&stolen, 1, memory_order_relaxed);
        }
        if (!gp && seed_below(seed, 8) == 0)
            gp = global_get();
        if (gp)
            run_g(gp, round);
        else if (now_s() - start > LIMIT_SECONDS)
            throw("runq: %u of %u came out, the others are lost", came_out, GS);
        else
            sched_yield();
    }
}

static void owner(uint64_t round, uint64_t *seed)
{
    struct p *p = &p_of[0];
    for (unsigned i = 0; i < GS; i++) {
        gs[i].param = (char *)&gs[i] + round;
        ops->put(p, &gs[i], seed_below(seed, 3) == 0);
        atomic_store_explicit(&went_in, i, memory_order_relaxed);
        if (seed_below(seed, 16) == 0)
            sched_yield();
        // Sometimes a burst that overflows, sometimes little at a time.
        while (seed_below(seed, 64) < (round % 3) * 20) {
            bool was_next;
            struct g *gp = ops->get(p, &was_next);
            if (!gp)
                break;
            if (was_next)
                atomic_fetch_add_explicit(&from_next, 1, memory_order_relaxed);
            run_g(gp, round);
        }
    }
}

static void storm(unsigned core)
{
    uint64_t seed = core * 1000003 + 17;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        pthread_barrier_wait(&round_begin);
        if (core == 0)
            owner(round, &seed);
        // In some rounds thieves wait until the ring has overflowed.
        while (round % 3 == 0 && atomic_load_explicit(&went_in, memory_order_relaxed) < GS / 3)
            sched_yield();
        work_off(core, round, &seed);
        pthread_barrier_wait(&round_end);
        if (core != 0)
            continue;
        check(atomic_load(&came_out) == GS);
        for (unsigned i = 0; i < GS; i++)
            check(gs[i].id == round);
        for (unsigned i = 0; i <= THIEVES; i++)
            check(ops->empty(&p_of[i]));
        check(gqueue_empty(&global));
        atomic_store(&came_out, 0);
        atomic_store(&went_in, 0);
    }
}

static void whole(void)
{
    pthread_barrier_init(&round_begin, NULL, THIEVES + 1);
    pthread_barrier_init(&round_end, NULL, THIEVES + 1);
    run_cores(THIEVES + 1, storm);
}

// A queue that is never empty never says so, while its content moves between runnext and ring.
static _Atomic(bool) holding;

static void never_empty(unsigned core)
{
    struct p *p = &p_of[0];
    uint64_t seed = 3;
    if (core != 0) {
        while (atomic_load_explicit(&holding, memory_order_relaxed))
            check(!ops->empty(p));
        return;
    }
    for (unsigned i = 0; i < 200000; i++) {
        bool was_next;
        ops->put(p, &gs[i % GS], seed_below(&seed, 2));
        check(ops->get(p, &was_next) != NULL);
    }
    atomic_store_explicit(&holding, false, memory_order_relaxed);
}

// True if the queue fails the test: by a check, or by what ThreadSanitizer reports at the end.
static bool fails(const struct queue_ops *with)
{
    fflush(stdout);
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        check(freopen("/dev/null", "w", stderr) && dup2(fileno(stderr), 2) == 2);
        ops = with;
        whole();
        exit(0);
    }
    int status;
    check(waitpid(pid, &status, 0) == pid);
    return status != 0;
}

int main(void)
{
    check(fails(&blind));
#ifdef __SANITIZE_THREAD__
    check(fails(&relaxed));
#endif
    ops = &right;
    whole();
    check(atomic_load(&overflowed) > 0 && atomic_load(&stolen) > 0 && atomic_load(&from_next) > 0);
    ops->put(&p_of[0], &gs[0], true);
    atomic_store(&holding, true);
    run_cores(2, never_empty);
    printf("runq_tsan: %u slots, %u Gs, %u thieves: %u overflowed, %u stolen, %u by runnext\n",
           RUNQ_SIZE, GS * ROUNDS, THIEVES, overflowed, stolen, from_next);
    return 0;
}
