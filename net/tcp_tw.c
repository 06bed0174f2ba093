// SPDX-License-Identifier: BSD-2-Clause
// TIME_WAIT: what is left of a connection for 2 MSL, so that old segments do not enter a new one
// and a lost last ACK can be repeated. An entry is a tenth of a connection; their number is
// bounded, the oldest making room.
//
// Entries stand in shards by hash, each with its lock, a small table and a list in order of expiry
// (all live equally long). One timer looks at all shards once a second while there are entries.
//
// A new SYN for the same pair takes the entry's place if its timestamp is later or its sequence
// number beyond (RFC 6191, RFC 1122). A reset does not end an entry (RFC 1337).
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/heap.h"
#include "net/tcp.h"
#include "sched/timer.h"

enum { SHARDS = 16, BUCKETS = 128 };

struct tcp_tw {
    struct tcp_tw *hash_next;
    struct tcp_tw *older, *newer;
    uint32_t laddr_be, raddr_be;
    uint16_t lport, rport;
    uint32_t hash;
    uint32_t snd_nxt, rcv_nxt, ts_recent, ts_off;
    uint16_t wnd;
    bool ts;
    int64_t expires_ns;
};

static struct shard {
    _Alignas(CACHE_LINE) struct spinlock lock; // LOCK_NET_HASH
    uint32_t n;
    struct tcp_tw *oldest, *newest;
    struct tcp_tw *bucket[BUCKETS];
} shards[SHARDS];

static uint32_t shard_max;
static _Atomic(size_t) count;
static _Atomic(bool) armed;
static struct timer timer;

static void expire(void *arg);

void tcp_tw_init(void)
{
    for (unsigned i = 0; i < SHARDS; i++)
        spin_init(&shards[i].lock, LOCK_NET_HASH);
    shard_max = (uint32_t)cmdline_number("tcp_time_wait", TCP_TW_MAX, SHARDS, 1 << 20) / SHARDS;
}

static struct shard *shard_of(uint32_t hash) { return &shards[hash % SHARDS]; }

static struct tcp_tw **slot_of(struct shard *sh, uint32_t hash)
{
    return &sh->bucket[hash / SHARDS % BUCKETS];
}

static void unlink_age(struct shard *sh, struct tcp_tw *w)
{
    *(w->older ? &w->older->newer : &sh->oldest) = w->newer;
    *(w->newer ? &w->newer->older : &sh->newest) = w->older;
}

static void link_newest(struct shard *sh, struct tcp_tw *w)
{
    w->older = sh->newest;
    w->newer = NULL;
    *(sh->newest ? &sh->newest->newer : &sh->oldest) = w;
    sh->newest = w;
}

static void drop(struct shard *sh, struct tcp_tw *w)
{
    struct tcp_tw **at = slot_of(sh, w->hash);
    while (*at != w)
        at = &(*at)->hash_next;
    *at = w->hash_next;
    unlink_age(sh, w);
    sh->n--;
    atomic_fetch_sub_explicit(&count, 1, memory_order_relaxed);
    heap_free(w);
}

static struct tcp_tw *find(struct shard *sh, uint32_t laddr_be, uint16_t lport, uint32_t raddr_be,
                           uint16_t rport, uint32_t hash)
{
    struct tcp_tw *w = *slot_of(sh, hash);
    while (w && !(w->rport == rport && w->raddr_be == raddr_be && w->lport == lport &&
                  w->laddr_be == laddr_be))
        w = w->hash_next;
    return w;
}

// The adder counts, then looks whether the timer is armed; the timer disarms itself, then looks at
// the count: one sees the other only if all four accesses have one order.
static void arm(void)
{
    if (!atomic_exchange_explicit(&armed, true, memory_order_seq_cst)) /* pairs: TW-ARMED */
        timer_arm(&timer, clock_mono_ns() + TIME_S, expire, NULL);
}

static void expire(void *arg)
{
    (void)arg;
    int64_t now_ns = clock_mono_ns();
    for (struct shard *sh = shards; sh < shards + SHARDS; sh++) {
        spin_lock(&sh->lock);
        while (sh->oldest && sh->oldest->expires_ns <= now_ns)
            drop(sh, sh->oldest);
        spin_unlock(&sh->lock);
    }
    atomic_store_explicit(&armed, false, memory_order_seq_cst); /* pairs: TW-ARMED */
    if (atomic_load_explicit(&count, memory_order_seq_cst))
        arm();
}

void tcp_tw_add(struct tcb *c, int64_t now_ns)
{
    struct shard *sh = shard_of(c->hash);
    struct tcp_tw *w = heap_zalloc(sizeof(*w));
    if (!w)
        return; // without memory the pair is free at once
    w->laddr_be = c->laddr_be;
    w->raddr_be = c->raddr_be;
    w->lport = c->lport;
    w->rport = c->rport;
    w->hash = c->hash;
    w->snd_nxt = c->snd_nxt;
    w->rcv_nxt = c->rcv_nxt;
    w->ts = c->flags & TF_TS;
    w->ts_recent = c->ts_recent;
    w->ts_off = c->ts_off;
    w->wnd = (uint16_t)tcp_window_to_offer(c);
    w->expires_ns = now_ns + TCP_MSL2;
    spin_lock(&sh->lock);
    struct tcp_tw *same = find(sh, w->laddr_be, w->lport, w->raddr_be, w->rport, w->hash);
    if (same)
        drop(sh, same);
    if (sh->n >= shard_max) {
        tcp_count(TCP_TW_RECYCLED);
        drop(sh, sh->oldest);
    }
    struct tcp_tw **slot = slot_of(sh, w->hash);
    w->hash_next = *slot;
    *slot = w;
    link_newest(sh, w);
    sh->n++;
    atomic_fetch_add_explicit(&count, 1, memory_order_seq_cst);
    spin_unlock(&sh->lock);
    arm();
}

// May this SYN begin a new connection?
static bool newer_syn(const struct tcp_tw *w, const struct tcp_seg *s)
{
    if ((s->flags & (TH_SYN | TH_ACK | TH_RST | TH_FIN)) != TH_SYN)
        return false;
    if (w->ts && s->has_ts && seq_gt(s->ts_val, w->ts_recent))
        return true;
    return seq_gt(s->seq, w->rcv_nxt) && (!w->ts || !s->has_ts || s->ts_val == w->ts_recent);
}

bool tcp_tw_input(const struct tcp_seg *s, bool *reuse, uint32_t *iss_after)
{
    if (!atomic_load_explicit(&count, memory_order_relaxed))
        return false;
    struct shard *sh = shard_of(s->hash);
    uint8_t opts[TCP_TS_LEN];
    spin_lock(&sh->lock);
    struct tcp_tw *w = find(sh, s->dst_be, s->dport, s->src_be, s->sport, s->hash);
    if (!w) {
        spin_unlock(&sh->lock);
        return false;
    }
    if (newer_syn(w, s)) {
        *reuse = true;
        *iss_after = w->snd_nxt;
        drop(sh, w);
        spin_unlock(&sh->lock);
        return false;
    }
    // A FIN sent again begins the wait anew.
    if ((s->flags & TH_FIN) && !(s->flags & TH_RST) && s->seq + s->len + 1 == w->rcv_nxt) {
        w->expires_ns = s->now_ns + TCP_MSL2;
        unlink_age(sh, w);
        link_newest(sh, w);
    }
    // Whoever sends something, or probes, waits for an answer. A bare ACK does not: answered, two
    // ends could go on with that for ever.
    bool answer = !(s->flags & TH_RST) && (s->len || (s->flags & (TH_SYN | TH_FIN)) ||
                                           s->seq == w->rcv_nxt - 1);
    struct tcp_tw t = *w;
    spin_unlock(&sh->lock);
    if (!answer)
        return true;
    if (t.ts)
        tcp_put_ts(opts, (uint32_t)(s->now_ns >> 20) + t.ts_off, t.ts_recent);
    tcp_send_bare(s, t.snd_nxt, t.rcv_nxt, TH_ACK, t.wnd, opts, t.ts ? TCP_TS_LEN : 0);
    return true;
}

bool tcp_tw_has(uint32_t laddr_be, uint16_t lport, uint32_t raddr_be, uint16_t rport, uint32_t hash)
{
    if (!atomic_load_explicit(&count, memory_order_relaxed))
        return false;
    struct shard *sh = shard_of(hash);
    spin_lock(&sh->lock);
    bool found = find(sh, laddr_be, lport, raddr_be, rport, hash) != NULL;
    spin_unlock(&sh->lock);
    return found;
}

size_t tcp_tw_count(void)
{
    return atomic_load_explicit(&count, memory_order_relaxed);
}
