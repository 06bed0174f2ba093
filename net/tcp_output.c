// SPDX-License-Identifier: BSD-2-Clause
// Sending: what goes out, when, and with which header.
//
// The send queue holds one buffer a segment, filled by net_write with its payload at a fixed
// place behind the headroom. A segment that goes out lends the device a reference of the same
// buffer, header in front; it is freed when acknowledged. While the device still has it (refs >
// 1) header and data pointers are the network's, so a retransmission then sends a copy.
//
// snd_nxt never goes back. What is to be sent again is marked SEG_LOST, and tcp_output sends marked
// segments first, then new ones, as long as the bytes believed to be under way (tcp_pipe) are fewer
// than the congestion window. One rule serves all: fast retransmission, timeout, a path that became
// narrower differ only in what they mark and what they do to cwnd.
//
// Context of everything here: the connection's lock is held.
#include <errno.h>
#include <string.h>

#include "net/checksum.h"
#include "net/tcp.h"

uint8_t *tcp_put_ts(uint8_t *o, uint32_t val, uint32_t ecr)
{
    struct WIRE ts {
        uint32_t head_be, val_be, ecr_be;
    } *ts = (struct ts *)o;
    ts->head_be = BE32(0x0101080a); // two paddings, kind 8, length 10
    ts->val_be = be32(val);
    ts->ecr_be = be32(ecr);
    return o + TCP_TS_LEN;
}

uint32_t tcp_snd_limit(const struct tcb *c)
{
    uint32_t n = c->cwnd * 2;
    if (tcp_pressed(TCP_MEM_SHORT))
        return TCP_BUF_SHORT;
    return n < TCP_SNDBUF_MIN ? TCP_SNDBUF_MIN : n > TCP_SNDBUF_MAX ? TCP_SNDBUF_MAX : n;
}

static void fill_checksum(struct pbuf *p, struct tcp_hdr *h, uint32_t src_be, uint32_t dst_be)
{
    h->csum = csum_fold(csum_pseudo(src_be, dst_be, IP_PROTO_TCP, p->total));
    p->flags = PBUF_CSUM_PARTIAL;
    p->csum_start = 0;
    p->csum_offset = offsetof(struct tcp_hdr, csum);
}

// Puts a header with timestamps and n_extra bytes of further options in front of p, and lets the
// network have one reference. Every segment acknowledges what has been received, so no other ACK
// is due after it. What ipv4_output returns.
static int emit(struct tcb *c, struct pbuf *p, uint32_t seq, uint8_t flags, const uint8_t *extra,
                unsigned n_extra, int64_t now_ns, bool more)
{
    unsigned n_opts = (c->flags & TF_TS ? TCP_TS_LEN : 0) + n_extra;
    struct tcp_hdr *h = pbuf_push(p, TCP_HDR_LEN + n_opts);
    h->sport_be = be16(c->lport);
    h->dport_be = be16(c->rport);
    h->seq_be = be32(seq);
    h->ack_be = flags & TH_ACK ? be32(c->rcv_nxt) : 0;
    h->off = (uint8_t)((TCP_HDR_LEN + n_opts) << 2);
    h->flags = flags;
    if (unlikely(flags & TH_SYN)) { // not scaled yet
        h->wnd_be = 0xffff;
        c->rcv_adv = c->rcv_nxt + 0xffff;
    } else {
        h->wnd_be = be16((uint16_t)tcp_window_to_offer(c));
    }
    h->urg_be = 0;
    uint8_t *o = (uint8_t *)(h + 1);
    if (c->flags & TF_TS)
        o = tcp_put_ts(o, tcp_ts_now(c, now_ns), flags & TH_ACK ? c->ts_recent : 0);
    if (n_extra)
        memcpy(o, extra, n_extra);
    fill_checksum(p, h, c->laddr_be, c->raddr_be);
    p->queue = c->snd_una == c->snd_nxt ? 0 : c->tx_queue;
    c->rcv_acked = c->rcv_nxt;
    c->delack_ns = TCP_NEVER;
    c->flags &= (uint16_t)~TF_ACK_DUE;
    tcp_count(TCP_SEGS_OUT);
    int err = ipv4_output_cached(&c->route, p, c->laddr_be, c->raddr_be, IP_PROTO_TCP,
                                 IP_TTL_DEFAULT, more);
    if (unlikely(err == -EMSGSIZE)) {
        uint16_t mtu = 0, mss = c->mss;
        uint32_t src_be = c->laddr_be;
        ipv4_route(c->raddr_be, NULL, &src_be, &mtu);
        tcb_set_mss(c, mtu);
        if (c->mss < mss)
            tcp_loss_oversized(c);
        else
            c->mss = mss;
    }
    return err;
}

// A segment of the send queue, the first time or again.
static void xmit(struct tcb *c, struct pbuf *p, int64_t now_ns, bool more)
{
    uint8_t flags = TH_ACK;
    if (p->seg_flags & SEG_FIN)
        flags |= TH_FIN;
    if (p->seg_flags & SEG_PSH)
        flags |= TH_PSH;
    p->sent_ns = now_ns;
    struct pbuf *q = p;
    if (likely(atomic_load_explicit(&p->refs, memory_order_acquire) == 1)) { /* pairs: PBUF-REFS */
        pbuf_ref(p);
        p->data = seg_payload(p);
    } else {
        q = pbuf_alloc();
        if (!q)
            return; // as if lost on the way
        memcpy(q->data, seg_payload(p), p->seg_len);
    }
    q->len = q->total = p->seg_len;
    emit(c, q, p->seq, flags, NULL, 0, now_ns, more);
}

bool tcp_split(struct tcb *c, struct pbuf *p, uint32_t n)
{
    struct pbuf *q = pbuf_alloc();
    if (!q)
        return false;
    q->seq = p->seq + n;
    q->seg_len = p->seg_len - n;
    q->seg_flags = p->seg_flags;
    q->sent_ns = p->sent_ns;
    memcpy(seg_payload(q), seg_payload(p) + n, q->seg_len);
    p->seg_len = n;
    p->seg_flags &= (uint16_t)~(SEG_FIN | SEG_PSH);
    if (p->seg_flags & SEG_SACKED)
        c->sacked_n++;
    q->next = p->next;
    p->next = q;
    if (c->sndq_tail == p)
        c->sndq_tail = q;
    c->sndq_n++;
    return true;
}

// The next marked segment, if there is room for it.
static struct pbuf *pick_lost(struct tcb *c, uint32_t pipe)
{
    struct pbuf *p = c->sndq_head;
    while (p != c->snd_next && (p->seg_flags & (SEG_LOST | SEG_RETX)) != SEG_LOST)
        p = p->next;
    if (p == c->snd_next) {
        c->lost = 0; // none: the sum was of segments that have gone since
        return NULL;
    }
    if (unlikely(p->seg_len > c->mss) && !tcp_split(c, p, c->mss))
        return NULL;
    if (pipe && pipe + p->seg_len > c->cwnd && !(c->flags & TF_FAST_RETX))
        return NULL;
    uint32_t n = seg_space(p);
    c->lost -= MIN(c->lost, n);
    p->seg_flags |= SEG_RETX | SEG_EVER;
    c->flags &= (uint16_t)~TF_FAST_RETX;
    tcp_count(TCP_RETRANS);
    return p;
}

// The next segment never sent, cut to what the peer's window has room for; NULL if it must wait.
static struct pbuf *pick_new(struct tcb *c, uint32_t pipe)
{
    struct pbuf *p = c->snd_next;
    if (!p)
        return NULL;
    if (unlikely(p->seg_len > c->mss) && !tcp_split(c, p, c->mss))
        return NULL;
    int32_t room = (int32_t)(c->snd_una + c->snd_wnd - p->seq);
    if (unlikely(room < (int32_t)seg_space(p))) {
        if (room <= 0)
            return NULL;
        // A part goes out only if it is worth while; the persist timer sees to it otherwise.
        if (room < (int32_t)p->seg_len && (uint32_t)room < c->snd_wnd_max / 2)
            return NULL;
        if (!tcp_split(c, p, MIN((uint32_t)room, p->seg_len)))
            return NULL;
    }
    if (pipe && pipe + p->seg_len > c->cwnd)
        return NULL;
    if ((c->flags & TF_NAGLE) && p->seg_len < c->mss && !p->next && !(p->seg_flags & SEG_FIN) &&
        c->snd_nxt != c->snd_una)
        return NULL;
    c->snd_next = p->next;
    c->snd_nxt = seg_end(p);
    return p;
}

static struct pbuf *pick(struct tcb *c)
{
    uint32_t pipe = tcp_pipe(c);
    if (unlikely(c->lost)) {
        struct pbuf *p = pick_lost(c, pipe);
        if (p)
            return p;
    }
    return c->lost ? NULL : pick_new(c, pipe);
}

void tcp_output(struct tcb *c, int64_t now_ns)
{
    if (!tcp_synchronized(c))
        return;
    bool batch = tcp_in_batch();
    if (c->snd_next && c->snd_nxt == c->snd_una) {
        // Nothing is left in the queue used so far that this core's could overtake.
        c->tx_queue = (uint16_t)(getg()->m->id + 1);
        if (now_ns - c->last_rcv_ns > c->rto_ns)
            cubic_idle(c);
    }
    struct pbuf *p = pick(c);
    while (p) {
        struct pbuf *next;
        // Marked as sent before the next is chosen, so that the sums are right.
        next = pick(c);
        xmit(c, p, now_ns, next || batch);
        p = next;
    }
    if (c->snd_nxt != c->snd_una) {
        if (c->rexmt_ns == TCP_NEVER || (c->flags & TF_PERSIST)) {
            if (c->flags & TF_PERSIST)
                c->backoff = 0;
            c->flags &= (uint16_t)~TF_PERSIST;
            c->rexmt_ns = now_ns + tcp_rto_backed(c);
        }
    } else if (c->snd_next) {
        if (!(c->flags & TF_PERSIST)) {
            c->flags |= TF_PERSIST;
            c->backoff = 0;
            c->rexmt_ns = now_ns + tcp_rto_backed(c);
        }
    } else {
        c->flags &= (uint16_t)~TF_PERSIST;
        c->rexmt_ns = TCP_NEVER;
        return;
    }
    tcp_timer_need(c, c->rexmt_ns);
}

void tcp_send_ack(struct tcb *c, int64_t now_ns)
{
    uint8_t opts[4 + 8 * TCP_SACK_MAX];
    unsigned n_opts = 0;
    struct pbuf *p = pbuf_alloc_urgent();
    if (!p) { // tried again when the delayed one is due
        c->delack_ns = now_ns + TCP_DELACK;
        tcp_timer_need(c, c->delack_ns);
        return;
    }
    if (unlikely(c->ooo) && (c->flags & TF_SACK)) {
        unsigned n = tcp_sack_blocks(c, opts + 4, c->flags & TF_TS ? 3 : TCP_SACK_MAX);
        if (n) {
            opts[0] = opts[1] = 1;
            opts[2] = 5;
            opts[3] = (uint8_t)(2 + 8 * n);
            n_opts = 4 + 8 * n;
        }
    }
    if (c->quick_acks)
        c->quick_acks--;
    emit(c, p, c->snd_nxt, TH_ACK, opts, n_opts, now_ns, tcp_in_batch());
}

void tcp_challenge(struct tcb *c, int64_t now_ns)
{
    uint32_t ms = (uint32_t)(now_ns / TIME_MS) | 1; // 0: never sent one
    if (c->challenge_ms && ms - c->challenge_ms < TCP_CHALLENGE_GAP / TIME_MS)
        return;
    c->challenge_ms = ms;
    tcp_count(TCP_CHALLENGES);
    tcp_send_ack(c, now_ns);
}

void tcp_send_probe(struct tcb *c, int64_t now_ns)
{
    struct pbuf *p = pbuf_alloc();
    if (p)
        emit(c, p, c->snd_una - 1, TH_ACK, NULL, 0, now_ns, tcp_in_batch());
}

// Our SYN's options: what we offer, or, answering, what the peer has offered too.
int tcp_send_syn(struct tcb *c, int64_t now_ns)
{
    uint8_t opts[12], *o = opts;
    uint16_t mtu = 1500;
    uint32_t src_be = c->laddr_be;
    bool answer = c->state == TCP_SYN_RCVD;
    struct pbuf *p = pbuf_alloc();
    if (!p)
        return -ENOBUFS;
    ipv4_route(c->raddr_be, NULL, &src_be, &mtu);
    uint16_t mss = (uint16_t)(mtu - IP4_HDR_LEN - TCP_HDR_LEN);
    *o++ = 2;
    *o++ = 4;
    *o++ = (uint8_t)(mss >> 8);
    *o++ = (uint8_t)mss;
    if (c->flags & TF_SACK) {
        *o++ = 1;
        *o++ = 1;
        *o++ = 4;
        *o++ = 2;
    }
    if (c->flags & TF_SCALE) {
        *o++ = 1;
        *o++ = 3;
        *o++ = 3;
        *o++ = TCP_RCV_SCALE;
    }
    return emit(c, p, c->snd_una, answer ? TH_SYN | TH_ACK : TH_SYN, opts, (unsigned)(o - opts),
                now_ns, tcp_in_batch());
}

void tcp_send_rst(struct tcb *c, int64_t now_ns)
{
    struct pbuf *p = pbuf_alloc();
    if (!p)
        return;
    tcp_count(TCP_RSTS_OUT);
    emit(c, p, c->snd_nxt, TH_RST | TH_ACK, NULL, 0, now_ns, tcp_in_batch());
}

void tcp_send_bare(const struct tcp_seg *to, uint32_t seq, uint32_t ack, uint8_t flags,
                   uint16_t wnd, const uint8_t *opts, unsigned n_opts)
{
    struct pbuf *p = pbuf_alloc();
    if (!p)
        return;
    if (n_opts)
        memcpy(pbuf_push(p, n_opts), opts, n_opts);
    struct tcp_hdr *h = pbuf_push(p, TCP_HDR_LEN);
    h->sport_be = be16(to->dport);
    h->dport_be = be16(to->sport);
    h->seq_be = be32(seq);
    h->ack_be = be32(ack);
    h->off = (uint8_t)((TCP_HDR_LEN + n_opts) << 2);
    h->flags = flags;
    h->wnd_be = be16(wnd);
    h->urg_be = 0;
    fill_checksum(p, h, to->dst_be, to->src_be);
    tcp_count(flags & TH_RST ? TCP_RSTS_OUT : TCP_SEGS_OUT);
    ipv4_output(p, to->dst_be, to->src_be, IP_PROTO_TCP, IP_TTL_DEFAULT, tcp_in_batch());
}
