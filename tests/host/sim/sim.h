// SPDX-License-Identifier: BSD-2-Clause
// A small deterministic world for testing kernel rooms natively: several simulated cores in one
// host thread, goroutines as fibers, a clock that jumps to the next event. Everything random
// comes from one seed, so a failing run replays exactly. It implements sched/park.h,
// sched/timer.h, sched/netpoll.h, go(), time_*, kernel/spinlock.h, heap.h, clock.h, print.h,
// panic.h, cmdline.h and entropy.h.
//
// Cores change at every lock, unlock, park, ready and timer call with a certain probability, so
// that orders that are rare on a machine happen all the time here. What it cannot show are
// effects between two such calls: weak memory order and data races are for ThreadSanitizer and
// the real machine.
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct sim_options {
    uint64_t seed;
    unsigned cores;           // 1 to 8; 0: 2
    unsigned switch_ppm;      // chance of changing cores at each point, in a million; 0: 50000
    unsigned heap_fail_ppm;   // chance that an allocation fails; may be changed while running
    int64_t heap_fail_nth;    // 1: the next allocation fails; counted down to 0, which is none
    int64_t limit_ns;         // virtual time after which the run counts as hung; 0: one hour
    const char *cmdline;      // kernel options, "ip=10.0.0.1/24 gw=10.0.0.2"
    bool verbose;             // show the kernel's log
};
extern struct sim_options sim_opt;

// sim_core.c

// Runs fn(arg) as the main goroutine of a new world; returns when fn has. Other goroutines left
// then vanish. Once a process (see sim_case).
void sim_run(const struct sim_options *opt, void (*fn)(void *), void *arg);
// Calls fn(arg) on some core's g0 at that time. No context.
void sim_event(int64_t when_ns, void (*fn)(void *), void *arg);
// Lets another core or goroutine run, perhaps.
void sim_point(void);
// Between these, nothing else runs: what hardware does in one step. They nest.
void sim_hold(void);
void sim_release(void);
// Lets everything happen that is due within the next ns; time_sleep for tests.
void sim_settle(int64_t ns);
// Goroutines that exist now, the caller counted; timers armed now.
size_t sim_goroutines(void);
size_t sim_timers(void);
int64_t sim_now(void);
// True on a core's own scheduling stack.
bool sim_on_g0(void);

// sim_timer.c: whether some armed timer lies in [p, p+n).
bool sim_timer_within(const void *p, size_t n);

// sim_env.c

uint64_t sim_rand(void);
static inline uint32_t sim_below(uint32_t n) { return n ? (uint32_t)(sim_rand() % n) : 0; }
static inline bool sim_chance(unsigned ppm) { return ppm && sim_below(1000000) < ppm; }
// Objects and bytes handed out by heap_alloc and not yet freed.
size_t sim_heap_objects(void);
size_t sim_heap_bytes(void);
void sim_env_init(void);

// Runs fn(arg) in a child process with a limit in real seconds; true if it exited with 0. A
// failure is reported with name and seed, for running that one again.
bool sim_case(const char *name, uint64_t seed, unsigned limit_s, void (*fn)(void *), void *arg);

_Noreturn void sim_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define CHECK(cond)                                             \
    do {                                                        \
        if (!(cond))                                            \
            sim_fail(__FILE__, __LINE__, "not true: %s", #cond); \
    } while (0)
#define CHECK_EQ(a, b)                                                             \
    do {                                                                           \
        long long a_ = (long long)(a), b_ = (long long)(b);                        \
        if (a_ != b_)                                                              \
            sim_fail(__FILE__, __LINE__, "%s is %lld, not %lld (%s)", #a, a_, b_, #b); \
    } while (0)

#endif
