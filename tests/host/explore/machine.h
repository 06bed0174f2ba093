// SPDX-License-Identifier: BSD-2-Clause
// A machine whose every step is chosen: the scheduler itself, compiled unchanged, runs on simulated
// cores, of which one runs at a time; at each atomic access the seed decides which goes on, whether
// an interrupt comes, and when a released value becomes visible to the others.
//
// This header is included by force, ahead of everything (cflags="-include ..."), so that the
// macros of <stdatomic.h> and the inlines of arch.h are the ones below wherever they are used.
#ifndef TESTS_HOST_EXPLORE_MACHINE_H
#define TESTS_HOST_EXPLORE_MACHINE_H
#define TESTS_HOST_ARCH_INLINE_H // in place of tests/host/arch/arch_inline.h
#define HEDDLE_SELF_H            // likewise

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct g;
extern struct g *host_g;

// A place where another core may go on; `at` and `line` name it in a report.
void explore_point(const char *at, int line);
// The same within a wait for another core, which is let run.
void explore_relax(const char *at, int line);
void explore_load(const void *from, void *to, size_t n, const char *at, int line);
void explore_store(void *to, const void *from, size_t n, int order, const char *at, int line);
// Before an access that everybody sees at once: what this core has released is visible by then.
void explore_fence(const char *at, int line);
// The machine behind the inlines of arch.h.
uint64_t explore_counter(void);
bool explore_irq_save(void);
void explore_irq_enable(void);
void explore_idle(void);

static inline struct g *heddle_self(void) { return host_g; }
static inline struct g *getg(void) { return host_g; }
static inline void setg(struct g *gp) { host_g = gp; }
static inline void arch_relax(void) { explore_relax("arch_relax", 0); }
static inline void arch_device_fence(void) { explore_fence("arch_device_fence", 0); }
static inline uint64_t arch_counter(void) { return explore_counter(); }
static inline void arch_fence_after_rmw(void) { explore_fence("arch_fence_after_rmw", 0); }
static inline bool arch_irq_save(void) { return explore_irq_save(); }
static inline void arch_irq_enable(void) { explore_irq_enable(); }
static inline void arch_irq_restore(bool on)
{
    if (on)
        explore_irq_enable();
}
static inline void arch_idle(void) { explore_idle(); }
static inline bool arch_flag(const _Atomic(bool) *flag) { return *(const bool *)flag; }
static inline void arch_trace_goroutine(const struct g *gp, uint64_t what) {}

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_thread_fence

#define atomic_load_explicit(p, order)                                           \
    __extension__({                                                              \
        __auto_type p_ = (p);                                                    \
        __typeof__((void)0, *p_) v_;                                             \
        explore_load((const void *)p_, &v_, sizeof(v_), __func__, __LINE__);     \
        v_;                                                                      \
    })
#define atomic_store_explicit(p, v, order)                                            \
    __extension__({                                                                   \
        __auto_type p_ = (p);                                                         \
        __typeof__((void)0, *p_) v_ = (v);                                            \
        explore_store((void *)p_, &v_, sizeof(v_), (order), __func__, __LINE__);      \
    })
#define EXPLORE_RMW (explore_fence(__func__, __LINE__))
#define atomic_exchange_explicit(p, v, order)                                         \
    __extension__({                                                                   \
        __auto_type p_ = (p);                                                         \
        __typeof__((void)0, *p_) n_ = (v), o_;                                        \
        EXPLORE_RMW;                                                                  \
        __atomic_exchange(p_, &n_, &o_, __ATOMIC_SEQ_CST);                            \
        o_;                                                                           \
    })
#define atomic_fetch_add_explicit(p, v, order) (EXPLORE_RMW, __atomic_fetch_add(p, v, 5))
#define atomic_fetch_sub_explicit(p, v, order) (EXPLORE_RMW, __atomic_fetch_sub(p, v, 5))
#define atomic_fetch_or_explicit(p, v, order) (EXPLORE_RMW, __atomic_fetch_or(p, v, 5))
#define atomic_fetch_and_explicit(p, v, order) (EXPLORE_RMW, __atomic_fetch_and(p, v, 5))
#define atomic_compare_exchange_strong_explicit(p, o, v, yes, no)                     \
    __extension__({                                                                   \
        __auto_type p_ = (p);                                                         \
        __typeof__((void)0, *p_) n_ = (v);                                            \
        EXPLORE_RMW;                                                                  \
        __atomic_compare_exchange(p_, o, &n_, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
    })
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit
#define atomic_thread_fence(order) EXPLORE_RMW

// For scenarios.

// What a test offers: each is the main goroutine of a machine of its own and ends it by
// explore_done.
struct scenario {
    const char *name;
    void (*run)(void *);
};
int explore_main(int argc, char **argv, const struct scenario *all, unsigned n);
_Noreturn void explore_done(void);
_Noreturn void explore_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
// A number below n, chosen by the seed.
uint32_t explore_choose(uint32_t n);
// The device's interrupt comes to a core of the seed's choice, `ns` from now: fn runs as a handler.
void explore_interrupt(int64_t ns, void (*fn)(void *), void *arg);

#define check(cond)                                                                    \
    do {                                                                               \
        if (!(cond))                                                                   \
            explore_fail("%s:%d: not so: %s", __FILE__, __LINE__, #cond);              \
    } while (0)

#endif
