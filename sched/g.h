// SPDX-License-Identifier: BSD-2-Clause
// G, M and P: a goroutine, a core, and the right to run goroutines.
//
// Ownership follows Go's runtime. A G's status says who may touch it (see enum g_status). An M is a
// core and never goes away. A P belongs to the M whose m->p points at it; a P in the idle mask
// belongs to nobody and is taken by clearing its bit.
#ifndef SCHED_G_H
#define SCHED_G_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/spinlock.h"
#include "lib/util.h"

#ifndef RUNQ_SIZE
#define RUNQ_SIZE (HOSTILE ? 4 : 256)
#endif
#define MAX_CORES 64
#define G_REENT_SIZE 192

struct m;
struct p;
struct trap_frame;
struct defer;
struct try_frame;
struct mutex;

enum g_status {
    G_IDLE,      // just allocated; owned by its allocator
    G_RUNNABLE,  // on exactly one run queue; its stack is owned by nobody
    G_RUNNING,   // owned by g->m; not on a run queue
    G_SYSCALL,   // in a blocking call, on g->m, which has no P; see block.c
    G_WAITING,   // parked; whoever is to call goready owns it
    G_DEAD,      // on a free list; its stack may be reused
    G_PREEMPTED, // between being stopped by an interrupt and being queued
};

// In g->urgency: urgent by itself. The rest counts what is lent to it.
#define URGENT_OWN 0x80

// Why a goroutine waits; the strings stand in park.c and are unique. Those for which the waker is
// outside the machine stand in deadlock.c too.
enum wait_reason {
    WAIT_NONE,
    WAIT_CHAN_RECV,
    WAIT_CHAN_SEND,
    WAIT_CHAN_RECV_NIL,
    WAIT_CHAN_SEND_NIL,
    WAIT_SELECT,
    WAIT_SELECT_EMPTY,
    WAIT_SLEEP,
    WAIT_MUTEX,
    WAIT_RWMUTEX_READ,
    WAIT_RWMUTEX_WRITE,
    WAIT_WAITGROUP,
    WAIT_COND,
    WAIT_SEMA,
    WAIT_ONCE,
    WAIT_ACCEPT,
    WAIT_DIAL,
    WAIT_NET_READ,
    WAIT_NET_WRITE,
    WAIT_PACKET,
    WAIT_ARP,
    WAIT_DHCP,
    WAIT_CONSOLE,
    WAIT_STDIO,
    WAIT_DISK,
    WAIT_REASONS
};

struct g {
    // Saved by the context switch; read by assembly at these offsets (arch/*/offsets).
    uintptr_t sp;        // 0: where to resume, while not running
    uintptr_t stack_top; // 8: first byte above the stack; where a g0 begins afresh
    struct m *m;         // 16: the core that runs it, NULL otherwise

    // Written by the running goroutine itself and by interrupts on its core.
    uint32_t preempt_off;  // 24: > 0: may not be preempted. Legal to raise at any time
    _Atomic(bool) preempt_pending; // 28: must yield when preempt_off reaches 0. Legal to set late
    _Atomic(uint8_t) urgency;      // URGENT_OWN and how often it is lent; any, see urgent.c

    _Atomic(uint32_t) status;      // enum g_status; the owner's to change, compare-and-swap
    _Atomic(enum wait_reason) wait_reason; // owner; meaningful in G_WAITING; anyone may look
    int64_t wait_since_ns;         // owner; time_mono when it parked, 0 unless the dump wants it

    // Owned by whoever owns the G.
    struct mutex *waits_for; // the mutex it waits for. guard: lend_lock
    struct spinlock lend_lock;
    struct g *link;     // the run queue, free list or wait queue it is on
    uint64_t id;
    void *param;        // handed over by the waker before goready
    void (*fn)(void *);
    void *arg;
    const char *name;
    uintptr_t stack_lo; // lowest address of the reserved range, the guard page above it excluded
    struct defer *defers;
    struct try_frame *tries;
    struct unwind *panics; // panics and exits under way, newest first; see defer.c
    uint32_t rand_state; // for the order of select's cases; 0: not begun
    uint8_t stack_class; // see stack.c
    bool reent_ready;    // libc has initialised reent for this goroutine
    uint16_t libc_locks; // locks of the C library it holds, each as often as it took it
    bool in_block;       // between go_block_enter and go_block_exit
    _Atomic(bool) is_system; // the runtime's own: not counted, keeps nobody from a deadlock verdict

    struct g *all_next; // list of every G ever made, set once. guard: publication by release store
    _Alignas(16) unsigned char reent[G_REENT_SIZE]; // newlib's struct _reent, errno within
};

struct runq {
    // Ring of Gs; head is moved by owner and thieves, tail by the owner alone.
    _Atomic(uint32_t) head;
    _Atomic(uint32_t) tail;
    _Atomic(struct g *) next; // runnext: runs before the ring; thieves may take it last
    _Atomic(struct g *) ring[RUNQ_SIZE];
};

// An intrusive FIFO of Gs through g->link. Guarded by whatever guards the object it lives in.
struct gqueue {
    struct g *head, *tail;
};

struct timer;

// Timers of one P: a heap linked through the timers themselves. See sched/timer.c.
struct timers {
    struct spinlock lock;
    uint32_t len;             // guard: lock
    struct timer *root;       // guard: lock
    _Atomic(int64_t) next_ns; // when of root, INT64_MAX when empty; written under lock
    _Atomic(uint32_t) n_vital; // those of timer_arm_vital and timer_start; written under lock
};

// Who owns a P. Changed with p_set_status, which checks where it comes from.
enum p_status {
    P_IDLE,    // nobody, its bit in sched.idle_p set; or for a moment who cleared the bit
    P_RUNNING, // the M in p->m
    P_SYSCALL, // the M in p->m, whose goroutine is in a blocking call; whoever changes this by
               // compare-and-swap takes it
    P_STOPPED, // who stopped the world
    P_DEAD,    // nobody: its number is not below GOMAXPROCS. Its queues are empty
};

struct p {
    uint32_t id;
    _Atomic(uint32_t) status; // enum p_status. pairs: P-STOPPED
    _Atomic(struct m *) m;     // back link of m->p, NULL when idle; others read it as a hint
    _Atomic(struct m *) guard; // the M that last held it and watches its timers while it is idle

    // Owner M only.
    uint32_t schedtick;  // one more for each slice begun
    uint32_t global_in;  // slices until the global queue is looked at first
    _Atomic(int64_t) live; // goroutines started minus ended here, the runtime's own excluded; read
                           // by anyone
    struct g *gfree;     // dead Gs with warm stacks
    uint32_t gfree_n;
    uint64_t next_id, end_id; // goroutine ids taken in batches

    _Alignas(CACHE_LINE) struct runq runq;
    _Alignas(CACHE_LINE) struct timers timers;
    _Atomic(uint64_t) urgent_switch; // n_switch with which an urgent goroutine ran last

    // Counters for /debug/sched and schedtrace: written by the owner, read by anyone, relaxed.
    _Alignas(CACHE_LINE) _Atomic(uint64_t) n_switch;
    _Atomic(uint64_t) n_steal;
    _Atomic(uint64_t) n_preempt;
    _Atomic(uint64_t) n_wake;   // Ms woken by IPI
    _Atomic(uint64_t) n_spawn;
    _Atomic(uint64_t) n_netpoll; // polls of the network
};

struct m {
    // Look at timers and the network soon. Legal to set at any time, by interrupts and by other
    // cores; cleared by the M before it looks. Read by arch_gogo at this offset.
    _Atomic(bool) resched; // 0
    // Look round at the next pick, which does not stop the running goroutine. Legal to set at any
    // time; must be set after resched is, and when sched_attention begins to hold.
    _Atomic(bool) look;
    uint32_t id; // core number, 0 is the boot core
    struct g *g0;
    struct g *curg;
    struct p *p;
    struct p *oldp;     // the P it gave up when it last went idle
    struct p *blocked_p; // the P it had when its goroutine entered a blocking call, NULL outside
    bool spinning;      // owner; counted in sched.nmspinning
    uint32_t rand_state;
    uint64_t ranks_held; // debug build: ranks of the spinlocks held
    bool (*park_commit)(struct g *gp, void *arg); // from gopark to park_m
    void *park_arg;
    _Atomic(struct timer *) timer_running; // whose function this M is calling. pairs: TIMER-RUNNING
    _Atomic(struct p *) nextp; // handed over by whoever claimed this idle M. pairs: M-NEXTP

    // Written by interrupts on this core and by the M with interrupts off.
    int64_t now_ns;         // the clock as last read here; coarse, for dumps
    int64_t hw_deadline_ns; // what the core's timer is armed for, INT64_MAX when it is not
    _Atomic(bool) preempt_asked; // another core wants the running goroutine stopped
    bool tickless;          // the tick has ended as nobody waits; see sysmon.c
    bool block_grace;       // the next tick in this blocking call is not the end of a slice
    uint32_t tick_seen;     // p->schedtick at the last slice tick
    int64_t tick_ns;        // when the next slice tick is due, INT64_MAX when none is armed
    bool wake_later;        // a wake was held back; the timer interrupt looks again
    bool slice_over;        // the running goroutine has used up its slice; goes to the global queue
    int64_t schedtrace_ns;  // when its next line of schedtrace= is due, INT64_MAX: never
    _Atomic(uint64_t) n_irq;
};

#include <arch_inline.h> // getg(), setg() and the other inlines of arch/arch.h

#endif
