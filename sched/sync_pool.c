// SPDX-License-Identifier: BSD-2-Clause
// Per-P object pools. Each P has a shard: one private object, which only code on that P with
// preemption off touches, and a stack of objects in chunks, under a spinlock that others take only
// when they have run out. A get and a put that alternate on one P use the private object and no
// lock at all.
//
// The shards are allocated, for all Ps there can be, by the first put (pairs: POOL-SHARDS).

#include "sched/sync.h"

#include "kernel/heap.h"
#include "kernel/preempt.h"
#include "sched/sched.h"

enum { CHUNK = 62 };

struct pool_chunk {
    struct pool_chunk *below;
    size_t n;
    void *obj[CHUNK];
};

struct pool_shard {
    _Alignas(CACHE_LINE) void *mine; // owner P, preemption off
    struct spinlock lock;
    _Atomic(size_t) n;               // guard: lock; read as a hint
    struct pool_chunk *top;          // guard: lock; all chunks below are full
    struct pool_chunk *spare;        // guard: lock; one empty chunk kept, or NULL
};

static struct pool_shard *shards_of(struct pool *p)
{
    // pairs: POOL-SHARDS
    return atomic_load_explicit(&p->shards, memory_order_acquire);
}

// The calling core's shard. Context: preemption is off.
static struct pool_shard *my_shard(struct pool_shard *shards)
{
    return &shards[getg()->m->p->id];
}

static struct pool_shard *make_shards(struct pool *p)
{
    struct pool_shard *fresh = heap_zalloc(MAX_CORES * sizeof(*fresh));
    struct pool_shard *found = NULL;
    if (!fresh)
        return NULL;
    // pairs: POOL-SHARDS
    if (atomic_compare_exchange_strong_explicit(&p->shards, &found, fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return fresh;
    heap_free(fresh);
    return found;
}

// Takes from the stack of s. Context: any goroutine.
static void *pop(struct pool_shard *s)
{
    void *obj = NULL;
    struct pool_chunk *empty = NULL;
    if (atomic_load_explicit(&s->n, memory_order_relaxed) == 0)
        return NULL;
    spin_lock(&s->lock);
    struct pool_chunk *c = s->top;
    if (c) {
        obj = c->obj[--c->n];
        atomic_store_explicit(&s->n, s->n - 1, memory_order_relaxed);
        if (c->n == 0) {
            s->top = c->below;
            empty = s->spare;
            s->spare = c;
        }
    }
    spin_unlock(&s->lock);
    heap_free(empty);
    return obj;
}

// The private object of a P that is no more since GOMAXPROCS has shrunk. While preemption is off
// here the world is not stopped, so such a P does not come back; the lock keeps others like us
// away.
static void *take_orphan(struct pool_shard *shards)
{
    void *obj = NULL;
    preempt_disable();
    for (unsigned i = p_count(); !obj && i < MAX_CORES; i++) {
        struct pool_shard *s = &shards[i];
        spin_lock(&s->lock);
        obj = s->mine;
        s->mine = NULL;
        spin_unlock(&s->lock);
    }
    preempt_enable();
    return obj;
}

// Pushes onto the stack of s, using *fresh if it needs a chunk. False: it needs one and *fresh is
// NULL.
static bool push(struct pool_shard *s, void *obj, struct pool_chunk **fresh)
{
    spin_lock(&s->lock);
    struct pool_chunk *c = s->top;
    if (!c || c->n == CHUNK) {
        struct pool_chunk **from = s->spare ? &s->spare : fresh;
        c = *from;
        if (!c) {
            spin_unlock(&s->lock);
            return false;
        }
        *from = NULL;
        c->n = 0;
        c->below = s->top;
        s->top = c;
    }
    c->obj[c->n++] = obj;
    atomic_store_explicit(&s->n, s->n + 1, memory_order_relaxed);
    spin_unlock(&s->lock);
    return true;
}

void *pool_get(struct pool *p)
{
    struct pool_shard *shards = shards_of(p);
    void *obj = NULL;
    if (shards) {
        preempt_disable();
        struct pool_shard *s = my_shard(shards);
        obj = s->mine;
        s->mine = NULL;
        if (!obj)
            obj = pop(s);
        preempt_enable();
        for (unsigned i = 0; !obj && i < MAX_CORES; i++)
            obj = pop(&shards[i]);
        if (!obj)
            obj = take_orphan(shards);
    }
    if (!obj && p->make)
        obj = p->make();
    return obj;
}

bool pool_put(struct pool *p, void *obj)
{
    if (!obj)
        return true;
    struct pool_shard *shards = shards_of(p);
    if (unlikely(!shards) && !(shards = make_shards(p)))
        return false;
    preempt_disable();
    struct pool_shard *s = my_shard(shards);
    bool kept = !s->mine;
    if (kept)
        s->mine = obj;
    preempt_enable();
    if (kept)
        return true;

    struct pool_chunk *fresh = NULL;
    kept = push(s, obj, &fresh);
    if (!kept && (fresh = heap_alloc(sizeof(*fresh))) != NULL)
        kept = push(s, obj, &fresh);
    heap_free(fresh);
    return kept;
}

void pool_clear(struct pool *p, void (*dispose)(void *obj))
{
    struct pool_shard *shards = atomic_exchange_explicit(&p->shards, NULL, memory_order_acq_rel);
    if (!shards)
        return;
    for (unsigned i = 0; i < MAX_CORES; i++) {
        struct pool_shard *s = &shards[i];
        void *obj = s->mine ? s->mine : pop(s);
        s->mine = NULL;
        for (; obj; obj = pop(s)) {
            if (dispose)
                dispose(obj);
        }
        heap_free(s->spare);
    }
    heap_free(shards);
}
