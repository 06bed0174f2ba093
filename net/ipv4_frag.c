// SPDX-License-Identifier: BSD-2-Clause
// Reassembly of IPv4 fragments, bounded in packets, buffers and time, since anybody may send
// halves.
//
// A packet in the making holds its fragments sorted by offset. A fragment that repeats another is
// dropped; one that overlaps another in part condemns the packet, for no honest sender makes
// those. When a bound is reached the oldest packet goes. One lock for all: fragments are rare,
// and work under it is bounded.
#include <string.h>

#include "kernel/clock.h"
#include "kernel/heap.h"
#include "net/netif.h"
#include "sched/timer.h"

enum {
    MAX_PACKETS = 64,
    MAX_BUFFERS = 1024, // 2 MiB
    MAX_FRAGMENTS = 128, // of one packet
};
#define LIFETIME_NS (30 * TIME_S)

struct frag_key {
    uint32_t src_be, dst_be;
    uint16_t id_be;
    uint8_t proto;
};

// A fragment is a pbuf with its offset in seq and its bytes in seg_len, linked by next.
struct packet {
    struct packet *next; // older first
    struct frag_key key;
    int64_t expires_ns;
    struct pbuf *frags;
    uint32_t n;      // fragments
    uint32_t have;   // bytes
    uint32_t length; // of the whole, 0 until the last fragment is there
    uint32_t hlen;   // of the first fragment's header, 0 until that is there
};

static struct spinlock lock = SPINLOCK_INIT(LOCK_NET_MISC);
// guard: lock
static struct packet *oldest;
static uint32_t packets;
static bool timer_armed;
static struct timer timer;
// Written under lock, read by anyone.
static _Atomic(uint32_t) buffers;

static uint32_t buffers_of(const struct pbuf *p)
{
    uint32_t n = 0;
    for (; p; p = p->chain)
        n++;
    return n;
}

static void add_buffers(int32_t n)
{
    atomic_fetch_add_explicit(&buffers, (uint32_t)n, memory_order_relaxed);
}

uint32_t ipv4_frag_held(void) { return atomic_load_explicit(&buffers, memory_order_relaxed); }

static void unlink_packet(struct packet *k)
{
    struct packet **at = &oldest;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    packets--;
    for (struct pbuf *f = k->frags; f; f = f->next)
        add_buffers(-(int32_t)buffers_of(f));
}

static void free_packet(struct packet *k)
{
    while (k->frags) {
        struct pbuf *f = k->frags;
        k->frags = f->next;
        pbuf_free(f);
    }
    heap_free(k);
}

// Context: g0.
static void expire(void *arg)
{
    (void)arg;
    int64_t now = clock_mono_ns();
    struct packet *dead = NULL, **end = &dead;
    spin_lock(&lock);
    while (oldest && oldest->expires_ns <= now) {
        struct packet *k = oldest;
        unlink_packet(k);
        k->next = NULL;
        *end = k;
        end = &k->next;
    }
    timer_armed = oldest != NULL;
    if (oldest)
        timer_arm(&timer, oldest->expires_ns, expire, NULL);
    spin_unlock(&lock);
    while (dead) {
        struct packet *k = dead;
        dead = k->next;
        // The sender is told, if the beginning came, so that it can tell which packet it was.
        if (k->hlen) {
            pbuf_push(k->frags, k->hlen);
            icmp_send_error(k->frags, ICMP_TIME_EXCEEDED, 1, 0);
        }
        free_packet(k);
    }
    netif_flush_all();
}

static struct packet *find(const struct frag_key *key)
{
    struct packet *k = oldest;
    while (k && (k->key.src_be != key->src_be || k->key.dst_be != key->dst_be ||
                 k->key.id_be != key->id_be || k->key.proto != key->proto))
        k = k->next;
    return k;
}

static struct packet *create(const struct frag_key *key)
{
    struct packet *k = heap_zalloc(sizeof(*k));
    if (!k)
        return NULL;
    k->key = *key;
    k->expires_ns = clock_mono_ns() + LIFETIME_NS;
    struct packet **at = &oldest;
    while (*at)
        at = &(*at)->next;
    *at = k;
    packets++;
    if (!timer_armed) {
        timer_armed = true;
        timer_arm(&timer, k->expires_ns, expire, NULL);
    }
    return k;
}

enum verdict { KEPT, REPEATED, OVERLAPS };

static enum verdict insert(struct packet *k, struct pbuf *p)
{
    struct pbuf **at = &k->frags;
    uint32_t end = p->seq + p->seg_len;
    while (*at && (*at)->seq < p->seq) {
        if ((*at)->seq + (*at)->seg_len > p->seq)
            return OVERLAPS;
        at = &(*at)->next;
    }
    if (*at && (*at)->seq == p->seq && (*at)->seg_len == p->seg_len)
        return REPEATED;
    if (*at && (*at)->seq < end)
        return OVERLAPS;
    p->next = *at;
    *at = p;
    k->n++;
    k->have += p->seg_len;
    return KEPT;
}

// Whether p's place and the packet's length can both be true.
static bool length_fits(struct packet *k, struct pbuf *p, bool more)
{
    uint32_t end = p->seq + p->seg_len;
    if (more)
        return !k->length || end < k->length;
    if (k->length)
        return end == k->length;
    for (struct pbuf *f = k->frags; f; f = f->next)
        if (f->seq + f->seg_len > end || (f->seq + f->seg_len == end && f->seq != p->seq))
            return false;
    k->length = end;
    return true;
}

static struct pbuf *join(struct packet *k)
{
    struct pbuf *head = k->frags, *f = head->next;
    head->next = NULL;
    while (f) {
        struct pbuf *next = f->next;
        f->next = NULL;
        pbuf_append(head, f);
        f = next;
    }
    // The device vouched for fragments, not for the whole.
    head->flags &= (uint16_t)~PBUF_CSUM_OK;
    head->csum_start = (uint16_t)k->hlen;
    heap_free(k);
    return head;
}

// Under the lock. *gone: a packet to be freed after it.
static struct pbuf *add(struct packet *k, struct pbuf *p, bool more, uint32_t hlen,
                        struct packet **gone)
{
    bool first = p->seq == 0;
    enum verdict v = OVERLAPS;
    if (k->n < MAX_FRAGMENTS && length_fits(k, p, more))
        v = insert(k, p);
    if (v == OVERLAPS) {
        unlink_packet(k);
        *gone = k;
    }
    if (v != KEPT) {
        pbuf_free(p);
        return NULL;
    }
    add_buffers((int32_t)buffers_of(p));
    if (first)
        k->hlen = hlen;
    if (k->length && k->have == k->length) {
        unlink_packet(k);
        return join(k);
    }
    if (packets > MAX_PACKETS || ipv4_frag_held() > MAX_BUFFERS) {
        *gone = oldest;
        unlink_packet(oldest);
    }
    return NULL;
}

struct pbuf *ipv4_reassemble(struct pbuf *p, const struct ip4_hdr *h, uint32_t hlen)
{
    struct frag_key key = {h->src_be, h->dst_be, h->id_be, h->proto};
    uint16_t frag = be16(h->frag_be);
    bool more = frag & IP4_FLAG_MF;
    uint32_t off = (frag & IP4_OFF_MASK) * 8u;
    pbuf_drop_front(p, hlen);
    uint32_t n = p->total;
    if (n == 0 || (more && n % 8) || off + n > 65535 - IP4_HDR_LEN) {
        pbuf_free(p);
        return NULL;
    }
    p->seq = off;
    p->seg_len = n;
    struct packet *gone = NULL;
    struct pbuf *whole = NULL;
    spin_lock(&lock);
    struct packet *k = find(&key);
    if (!k)
        k = create(&key);
    if (k)
        whole = add(k, p, more, hlen, &gone);
    spin_unlock(&lock);
    if (gone)
        free_packet(gone);
    if (!k)
        pbuf_free(p);
    return whole;
}
