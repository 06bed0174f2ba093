// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=kernel/spinlock.c cflags="-fsanitize=address,undefined" timeout=60
// The timer heap against a plain array: random arming, moving and disarming keeps the tree's order,
// ranks and links, and timers fire in the order of their times; the longest rightmost path stays
// logarithmic however many.

#include "sched/timer.c"
#include "threads.h"

enum { N = 2000, STEPS = 60000 };

static struct timer timers[N];
static int64_t model[N]; // when each is armed for; 0: not
static int64_t now_ns;
static int64_t last_fired_ns;
static unsigned fired;

static void fire(void *arg)
{
    size_t i = (size_t)arg;
    check(model[i] != 0 && model[i] <= now_ns);
    check(model[i] >= last_fired_ns);
    last_fired_ns = model[i];
    model[i] = 0;
    fired++;
}

// Every timer of the tree, visited once; order, ranks, links and the published time are right.
static void check_tree(struct p *p)
{
    uint32_t n = 0;
    struct timer *root = p->timers.root;
    check(timers_next(p) == (root ? root->when_ns : INT64_MAX));
    check(!root || !root->parent);
    for (struct timer *t = root; t; t = walk_next(t)) {
        n++;
        check(t->state == TIMER_ARMED && atomic_load(&t->home) == p);
        check(t->rank == rank_of(t->right) + 1 && rank_of(t->left) >= rank_of(t->right));
        check(!t->left || (t->left->parent == t && t->left->when_ns >= t->when_ns));
        check(!t->right || (t->right->parent == t && t->right->when_ns >= t->when_ns));
    }
    check(n == p->timers.len);
    check(rank_of(root) <= 32 - (unsigned)__builtin_clz(n + 1));
}

static unsigned due(int64_t now)
{
    unsigned n = 0;
    for (size_t i = 0; i < N; i++)
        n += model[i] != 0 && model[i] <= now;
    return n;
}

static void run_due(struct p *p)
{
    unsigned expect = due(now_ns);
    fired = 0;
    last_fired_ns = 0;
    while (timers_run(p, now_ns) <= now_ns)
        ;
    check(fired == expect && due(now_ns) == 0);
}

static void random_steps(struct p *p, uint32_t spread)
{
    uint32_t rng = spread + 1;
    for (int step = 0; step < STEPS; step++) {
        size_t i = rand_below(&rng, N);
        switch (rand_below(&rng, 4)) {
        case 0:
            check(timer_disarm(&timers[i]) == (model[i] != 0));
            model[i] = 0;
            break;
        case 1:
            if (rand_below(&rng, 50) == 0) {
                now_ns += rand_below(&rng, spread);
                run_due(p);
            }
            break;
        default:
            model[i] = now_ns + 1 + rand_below(&rng, spread);
            timer_arm(&timers[i], model[i], fire, (void *)i);
        }
        check(timer_is_armed(&timers[i]) == (model[i] != 0));
        if (step % 997 == 0)
            check_tree(p);
    }
    now_ns += (int64_t)spread + 1;
    run_due(p);
    check(p->timers.len == 0);
    check_tree(p);
}

// Every timer finds its new home, in a heap that is not empty.
static void move(struct p *p)
{
    make_actor(1);
    struct p *from = ps[1];
    setg(&actors[1].g);
    for (size_t i = 0; i < N; i++) {
        if (i == N / 2)
            setg(&actors[0].g);
        model[i] = now_ns + 1 + (int64_t)(i * 7919 % 1000);
        timer_arm(&timers[i], model[i], fire, (void *)i);
    }
    check(from->timers.len == N / 2 && p->timers.len == N / 2);
    timers_move(from);
    check(from->timers.len == 0 && timers_next(from) == INT64_MAX);
    check_tree(p);
    for (size_t i = 0; i < N; i += 3) {
        check(timer_disarm(&timers[i]));
        model[i] = 0;
    }
    check_tree(p);
    now_ns += 2000;
    run_due(p);
}

static void count_one(void *arg) { ++*(unsigned *)arg; }

// In rising, falling and equal order, taken out again from the middle and from the top.
static void many(struct p *p, int64_t step)
{
    enum { MANY = 200000 };
    struct timer *t = calloc(MANY, sizeof(*t));
    unsigned n = 0, expect = 0;
    for (int64_t i = 0; i < MANY; i++)
        timer_arm(&t[i], now_ns + MANY + step * i, count_one, &n);
    check_tree(p);
    for (int i = 0; i < MANY; i += 2) {
        check(timer_disarm(&t[i]));
        check(!timer_disarm(&t[i]));
        expect++;
    }
    check_tree(p);
    now_ns += 3 * MANY;
    while (timers_run(p, now_ns) <= now_ns)
        ;
    check(n == expect && p->timers.len == 0);
    free(t);
}

int main(void)
{
    make_actor(0);
    setg(&actors[0].g);
    struct p *p = ps[0];
    now_ns = 1;
    random_steps(p, 10);
    random_steps(p, 100000);
    random_steps(p, 2000000000);
    move(p);
    many(p, 1);
    many(p, -1);
    many(p, 0);
    struct timer unused = { 0 };
    check(!timer_disarm(&unused) && !timer_disarm_sync(&unused) && !timer_stop(&unused));
    check(panics_with("time: Reset called on uninitialized Timer", timer_reset(&unused, 5)));
    check(time_after_ns(INT64_MAX) == INT64_MAX && time_after_ns(-5) <= clock_mono_ns());
    printf("timer heap: %d random steps in three settings, 200000 timers in three orders\n", STEPS);
    return 0;
}

int64_t time_after_ns(int64_t ns)
{
    int64_t when, now = clock_mono_ns();
    return ns <= 0 ? now : __builtin_add_overflow(now, ns, &when) ? INT64_MAX : when;
}
