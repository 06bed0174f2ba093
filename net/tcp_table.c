// SPDX-License-Identifier: BSD-2-Clause
// The table of connections: who gets this segment, in constant time for any number of them.
//
// Linear hashing: with n buckets, hash h belongs to h mod 2^k (2^k the power of two above n), or,
// if that bucket does not exist yet, to the one with the highest bit taken off. Adding a bucket
// splits exactly one other, so the table grows by one bucket an insertion and nothing ever stops
// for it. Buckets stand in segments of a fixed size that are never freed. They are guarded by
// stripes of locks; a bucket and the one split off it are in the same stripe.
//
// Lookup takes no lock. A reader that walks a bucket while it is being split may be led into the
// other half and miss what it seeks; so what it finds is right, and when it finds nothing it looks
// again under the lock. A removed connection keeps its hash_next, so a reader standing on it finds
// its way back.
//
// What keeps memory valid for such a reader is that lookups happen inside receive batches only.
// Each core counts its batches, the count odd while inside; a connection that has been taken out
// goes to limbo, and is freed once each core has been seen outside a batch, or in another than it
// was in.
//
// Rejected: a reference count taken under the bucket's lock costs four atomic operations a segment
// instead of one.
#include <string.h>

#include "kernel/clock.h"
#include "kernel/heap.h"
#include "kernel/panic.h"
#include "net/tcp.h"
#include "sched/timer.h"

enum {
    SEG_SHIFT = 11,
    SEG_BUCKETS = 1 << SEG_SHIFT,
    SEGMENTS = 2048,
    STRIPES = 256, // divides SEG_BUCKETS
    MAX_STEPS = 64,
    PER_BUCKET = 1,
    SPLITS = 2, // buckets added by one insertion at most
    LIMBO_MS = 10,
};

struct segment {
    _Atomic(struct tcb *) head[SEG_BUCKETS];
};

static _Atomic(struct segment *) segments[SEGMENTS]; // set once
static _Atomic(uint32_t) buckets; // in use; grows under splitting. pairs: TCP-SPLIT
static _Atomic(bool) splitting;   // somebody is adding a bucket; others leave it to them
static _Atomic(size_t) entries;
static struct spinlock stripes[STRIPES];
static uint64_t key[2];
static _Atomic(uint64_t) cores_used; // a bit for each core that has ever begun a batch

// Connections waiting for every core to leave its batch.
static struct {
    struct spinlock lock;
    struct tcb *waiting;        // guard: lock; freed when `inside` has become empty
    struct tcb *fresh;          // guard: lock; came after that
    uint64_t inside;            // guard: lock; cores that were in a batch when it was taken,
    uint32_t seen[MAX_CORES];   // guard: lock; and their counts
    bool armed;                 // guard: lock
    struct timer timer;
} limbo;

void tcp_table_init(void)
{
    for (unsigned i = 0; i < STRIPES; i++)
        spin_init(&stripes[i], LOCK_NET_HASH);
    spin_init(&limbo.lock, LOCK_NET_MISC);
    key[0] = net_random();
    key[1] = net_random();
    struct segment *seg = heap_zalloc(sizeof(*seg));
    if (!seg)
        throw("tcp_table_init: no memory");
    atomic_store_explicit(&segments[0], seg, memory_order_release);
    atomic_store_explicit(&buckets, SEG_BUCKETS, memory_order_release);
}

uint32_t tcp_hash(uint32_t laddr_be, uint16_t lport, uint32_t raddr_be, uint16_t rport)
{
    uint64_t a = ((uint64_t)raddr_be << 32 | (uint32_t)rport << 16 | lport) ^ key[0];
    uint64_t b = laddr_be ^ key[1];
    unsigned __int128 m = (unsigned __int128)a * b;
    uint64_t x = (uint64_t)m ^ (uint64_t)(m >> 64);
    return (uint32_t)(x ^ x >> 32);
}

static inline uint32_t bucket_of(uint32_t hash, uint32_t n)
{
    uint32_t mask = UINT32_MAX >> __builtin_clz(n - 1);
    uint32_t b = hash & mask;
    return b < n ? b : hash & (mask >> 1);
}

static inline _Atomic(struct tcb *) *bucket(uint32_t b)
{
    struct segment *s = atomic_load_explicit(&segments[b >> SEG_SHIFT], memory_order_acquire);
    return &s->head[b & (SEG_BUCKETS - 1)];
}

static inline bool same(const struct tcb *c, uint32_t laddr_be, uint16_t lport, uint32_t raddr_be,
                        uint16_t rport)
{
    return c->rport == rport && c->raddr_be == raddr_be && c->lport == lport &&
           c->laddr_be == laddr_be;
}

// The bucket of hash, its stripe locked.
static _Atomic(struct tcb *) *lock_bucket(uint32_t hash, struct spinlock **l)
{
    for (;;) {
        uint32_t b = bucket_of(hash, atomic_load_explicit(&buckets, memory_order_acquire));
        *l = &stripes[b % STRIPES];
        spin_lock(*l);
        if (b == bucket_of(hash, atomic_load_explicit(&buckets, memory_order_acquire)))
            return bucket(b);
        spin_unlock(*l);
    }
}

static struct tcb *find_locked(_Atomic(struct tcb *) *head, uint32_t laddr_be, uint16_t lport,
                               uint32_t raddr_be, uint16_t rport)
{
    struct tcb *c = atomic_load_explicit(head, memory_order_relaxed);
    while (c && !same(c, laddr_be, lport, raddr_be, rport))
        c = atomic_load_explicit(&c->hash_next, memory_order_relaxed);
    return c;
}

struct tcb *tcp_lookup(const struct tcp_seg *s)
{
    uint32_t n = atomic_load_explicit(&buckets, memory_order_acquire); /* pairs: TCP-SPLIT */
    struct tcb *c = atomic_load_explicit(bucket(bucket_of(s->hash, n)),
                                         memory_order_acquire); /* pairs: TCP-HASH */
    for (int steps = 0; c && steps < MAX_STEPS; steps++) {
        if (same(c, s->dst_be, s->dport, s->src_be, s->sport))
            return c;
        c = atomic_load_explicit(&c->hash_next, memory_order_acquire); /* pairs: TCP-HASH */
    }
    struct spinlock *l;
    _Atomic(struct tcb *) *head = lock_bucket(s->hash, &l);
    c = find_locked(head, s->dst_be, s->dport, s->src_be, s->sport);
    spin_unlock(l);
    return c;
}

// Adds bucket n, splitting the one that has held its connections so far. Context: `splitting`.
static bool split_one(void)
{
    uint32_t n = atomic_load_explicit(&buckets, memory_order_relaxed);
    if (n == (uint32_t)SEGMENTS * SEG_BUCKETS)
        return false;
    uint32_t si = n >> SEG_SHIFT;
    if (!atomic_load_explicit(&segments[si], memory_order_relaxed)) {
        struct segment *seg = heap_zalloc(sizeof(*seg));
        if (!seg)
            return false;
        atomic_store_explicit(&segments[si], seg, memory_order_release);
    }
    uint32_t old = n & (UINT32_MAX >> __builtin_clz(n) >> 1);
    struct spinlock *l = &stripes[old % STRIPES];
    spin_lock(l);
    _Atomic(struct tcb *) *stay = bucket(old), *go = bucket(n);
    struct tcb *c = atomic_load_explicit(stay, memory_order_relaxed), *next;
    for (; c; c = next) {
        next = atomic_load_explicit(&c->hash_next, memory_order_relaxed);
        _Atomic(struct tcb *) **tail = bucket_of(c->hash, n + 1) == n ? &go : &stay;
        atomic_store_explicit(*tail, c, memory_order_release); /* pairs: TCP-HASH */
        *tail = &c->hash_next;
    }
    atomic_store_explicit(stay, NULL, memory_order_release);
    atomic_store_explicit(go, NULL, memory_order_release);
    atomic_store_explicit(&buckets, n + 1, memory_order_release); /* pairs: TCP-SPLIT */
    spin_unlock(l);
    return true;
}

static void grow(void)
{
    if (atomic_exchange_explicit(&splitting, true, memory_order_acquire)) /* pairs: TCP-GROW */
        return;
    for (int i = 0; i < SPLITS; i++)
        if (atomic_load_explicit(&entries, memory_order_relaxed) <=
                (size_t)PER_BUCKET * atomic_load_explicit(&buckets, memory_order_relaxed) ||
            !split_one())
            break;
    atomic_store_explicit(&splitting, false, memory_order_release); /* pairs: TCP-GROW */
}

bool tcp_table_insert(struct tcb *c)
{
    struct spinlock *l;
    _Atomic(struct tcb *) *head = lock_bucket(c->hash, &l);
    if (find_locked(head, c->laddr_be, c->lport, c->raddr_be, c->rport)) {
        spin_unlock(l);
        return false;
    }
    atomic_store_explicit(&c->hash_next, atomic_load_explicit(head, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(head, c, memory_order_release); /* pairs: TCP-HASH */
    spin_unlock(l);
    size_t n = atomic_fetch_add_explicit(&entries, 1, memory_order_relaxed) + 1;
    if (n > (size_t)PER_BUCKET * atomic_load_explicit(&buckets, memory_order_relaxed))
        grow();
    return true;
}

void tcp_table_remove(struct tcb *c)
{
    struct spinlock *l;
    _Atomic(struct tcb *) *at = lock_bucket(c->hash, &l);
    struct tcb *e;
    while ((e = atomic_load_explicit(at, memory_order_relaxed)) != c) {
        require(e != NULL);
        at = &e->hash_next;
    }
    // hash_next stays for readers that stand on c.
    atomic_store_explicit(at, atomic_load_explicit(&c->hash_next, memory_order_relaxed),
                          memory_order_release); /* pairs: TCP-HASH */
    spin_unlock(l);
    atomic_fetch_sub_explicit(&entries, 1, memory_order_relaxed);
}

size_t tcp_table_count(void)
{
    return atomic_load_explicit(&entries, memory_order_relaxed);
}

void tcp_batch_begin(struct tcp_core *core)
{
    uint32_t e = atomic_load_explicit(&core->epoch, memory_order_relaxed);
    if (likely(e & 1))
        return;
    if (unlikely(e == 0))
        atomic_fetch_or_explicit(&cores_used, UINT64_C(1) << (core - tcp_cores),
                                 memory_order_acq_rel); /* pairs: TCP-EPOCH */
    atomic_fetch_add_explicit(&core->epoch, 1, memory_order_acq_rel); /* pairs: TCP-EPOCH */
    core->now_ns = clock_mono_ns();
}

void tcp_batch_end(struct tcp_core *core)
{
    uint32_t e = atomic_load_explicit(&core->epoch, memory_order_relaxed);
    atomic_store_explicit(&core->epoch, e + 1, memory_order_release); /* pairs: TCP-EPOCH */
}

// Every core that was in a batch when seen[] was taken has left it since.
static bool limbo_passed(void)
{
    for (uint64_t m = limbo.inside; m; m &= m - 1) {
        unsigned i = (unsigned)__builtin_ctzll(m);
        if (atomic_load_explicit(&tcp_cores[i].epoch, memory_order_acquire) ==
            limbo.seen[i]) /* pairs: TCP-EPOCH */
            return false;
        limbo.inside &= ~(UINT64_C(1) << i);
    }
    return true;
}

static void limbo_look(void)
{
    // Both sides change the count, if only by 0: a batch either began before this, and is seen, or
    // begins after it, and sees that what was taken out of the table is out.
    limbo.inside = 0;
    /* pairs: TCP-EPOCH */
    uint64_t m = atomic_fetch_or_explicit(&cores_used, 0, memory_order_acq_rel);
    for (; m; m &= m - 1) {
        unsigned i = (unsigned)__builtin_ctzll(m);
        limbo.seen[i] = atomic_fetch_add_explicit(&tcp_cores[i].epoch, 0,
                                                  memory_order_acq_rel); /* pairs: TCP-EPOCH */
        if (limbo.seen[i] & 1)
            limbo.inside |= UINT64_C(1) << i;
    }
}

static void limbo_fire(void *arg);

// Moves on as far as possible; returns what may be freed. Context: limbo.lock.
static struct tcb *limbo_step(void)
{
    struct tcb *dead = NULL;
    if (limbo.waiting && limbo_passed()) {
        dead = limbo.waiting;
        limbo.waiting = NULL;
    }
    if (!limbo.waiting && limbo.fresh) {
        limbo.waiting = limbo.fresh;
        limbo.fresh = NULL;
        limbo_look();
        if (!limbo.inside && !dead) {
            dead = limbo.waiting;
            limbo.waiting = NULL;
        }
    }
    if (limbo.waiting && !limbo.armed) {
        limbo.armed = true;
        timer_arm(&limbo.timer, clock_mono_ns() + LIMBO_MS * TIME_MS, limbo_fire, NULL);
    }
    return dead;
}

static void limbo_free(struct tcb *c)
{
    while (c) {
        struct tcb *next = c->link;
        heap_free(c);
        c = next;
    }
}

static void limbo_fire(void *arg)
{
    (void)arg;
    spin_lock(&limbo.lock);
    limbo.armed = false;
    struct tcb *dead = limbo_step();
    spin_unlock(&limbo.lock);
    limbo_free(dead);
}

void tcp_limbo_put(struct tcb *c)
{
    spin_lock(&limbo.lock);
    c->link = limbo.fresh;
    limbo.fresh = c;
    struct tcb *dead = limbo_step();
    spin_unlock(&limbo.lock);
    limbo_free(dead);
}
