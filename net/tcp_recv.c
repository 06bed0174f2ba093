// SPDX-License-Identifier: BSD-2-Clause
// Receiving: the queue the application reads from, segments that came too early, when to
// acknowledge, and which window to offer.
//
// Received buffers are queued as they are, in order; net_read copies out of them once. Small
// payloads are put behind the last buffer where it has room, so that a peer that sends bytes one
// by one does not cost a whole buffer each. What came early waits in c->ooo, sorted and without
// overlap, bounded in number and by the window that was offered. The offered right edge (rcv_adv)
// never moves back.
//
// Context of everything here: the connection's lock is held.
#include <string.h>

#include "net/tcp.h"

enum { ACK_LIMIT = 8 }; // full segments unacknowledged at most, even inside a receive batch

void tcp_free_queue(struct pbuf *p)
{
    while (p) {
        struct pbuf *next = p->next;
        pbuf_free(p);
        p = next;
    }
}

// Adds one buffer, data at its payload.
static void append(struct tcb *c, struct pbuf *p)
{
    struct pbuf *tail = c->rcvq_tail;
    c->rcv_nxt += p->len;
    c->rcv_bytes += p->len;
    if (tail && p->len <= TCP_COPY_SMALL && pbuf_tailroom(tail) >= p->len &&
        atomic_load_explicit(&tail->refs, memory_order_acquire) == 1) { /* pairs: PBUF-REFS */
        memcpy(tail->data + tail->len, p->data, p->len);
        tail->len += p->len;
        tail->total += p->len;
        pbuf_free(p);
        return;
    }
    p->next = NULL;
    if (tail)
        tail->next = p;
    else
        c->rcvq_head = p;
    c->rcvq_tail = p;
    c->rcvq_n++;
}

void tcp_receive_in_order(struct tcb *c, struct pbuf *p, uint32_t len, struct gqueue *wake)
{
    while (p) { // each buffer of a chain by itself
        struct pbuf *next = p->chain;
        p->chain = NULL;
        p->len = MIN(p->len, len);
        p->total = p->len;
        len -= p->len;
        if (p->len)
            append(c, p);
        else
            pbuf_free(p);
        p = next;
    }
    struct g *gp = gqueue_pop(&c->readers);
    if (gp)
        gqueue_push(wake, gp);
}

// Remembers that the block at seq changed last.
static void note_recent(struct tcb *c, uint32_t seq)
{
    unsigned i = 0;
    while (i < TCP_SACK_RECENT - 1 && c->sack_recent[i] != seq)
        i++;
    for (; i > 0; i--)
        c->sack_recent[i] = c->sack_recent[i - 1];
    c->sack_recent[0] = seq;
}

enum { OOO_PETTY_MAX = 32 }; // buffers out of order before small pieces are refused

// One buffer, data at the payload for seq.
static void ooo_insert(struct tcb *c, struct pbuf *p, uint32_t seq)
{
    struct pbuf **at = &c->ooo, *before = NULL, *q;
    uint32_t end = seq + p->len;
    while ((q = *at) && seq_leq(seg_end(q), seq)) {
        before = q;
        at = &q->next;
    }
    if (q && seq_leq(q->seq, seq)) { // the beginning is there
        if (seq_geq(seg_end(q), end)) {
            note_recent(c, seq);
            pbuf_free(p);
            return;
        }
        pbuf_drop_front(p, seg_end(q) - seq);
        seq = seg_end(q);
        before = q;
        at = &q->next;
    }
    while ((q = *at) && seq_leq(seg_end(q), end)) { // wholly covered by the new one
        *at = q->next;
        c->ooo_n--;
        pbuf_free(q);
    }
    if (q && seq_lt(q->seq, end))
        p->len = p->total = q->seq - seq;
    note_recent(c, seq);
    if (before && seg_end(before) == seq && p->len <= TCP_COPY_SMALL &&
        pbuf_tailroom(before) >= p->len &&
        atomic_load_explicit(&before->refs, memory_order_acquire) == 1) { /* pairs: PBUF-REFS */
        memcpy(before->data + before->len, p->data, p->len);
        before->len += p->len;
        before->total += p->len;
        before->seg_len += p->len;
        pbuf_free(p);
        return;
    }
    // A buffer each for many small pieces is more than a peer may have us keep.
    bool petty = c->ooo_n >= OOO_PETTY_MAX && p->len < TCP_COPY_SMALL;
    if (c->ooo_n >= TCP_OOO_MAX || petty || tcp_pressed(TCP_MEM_FULL)) {
        tcp_count(TCP_OOO_DROPS);
        pbuf_free(p);
        return;
    }
    p->seq = seq;
    p->seg_len = p->len;
    p->seg_flags = 0;
    p->next = *at;
    *at = p;
    c->ooo_n++;
}

// Data out of order may be thrown away again (RFC 2018, 8); memory that is short goes to others.
void tcp_ooo_give_up(struct tcb *c)
{
    tcp_free_queue(c->ooo);
    c->ooo = NULL;
    c->ooo_n = 0;
}

// Moves what has become in order.
static void ooo_pull(struct tcb *c)
{
    struct pbuf *q;
    while ((q = c->ooo) && seq_leq(q->seq, c->rcv_nxt)) {
        c->ooo = q->next;
        c->ooo_n--;
        if (seq_leq(seg_end(q), c->rcv_nxt)) {
            pbuf_free(q);
            continue;
        }
        pbuf_drop_front(q, c->rcv_nxt - q->seq);
        append(c, q);
    }
}

// Cuts the payload to [from, to); the packet may be a chain. NULL if nothing is left.
static struct pbuf *trim(struct pbuf *p, uint32_t *seq, uint32_t *len, uint32_t from, uint32_t to)
{
    if (seq_lt(to, *seq + *len))
        *len = seq_lt(*seq, to) ? to - *seq : 0;
    uint32_t skip = seq_lt(*seq, from) ? MIN(from - *seq, *len) : 0;
    *seq += skip;
    *len -= skip;
    while (p && skip >= p->len) {
        struct pbuf *next = p->chain;
        skip -= p->len;
        p->chain = NULL;
        pbuf_free(p);
        p = next;
    }
    if (p && skip) {
        p->data += skip;
        p->len -= skip;
    }
    if (p && !*len) {
        pbuf_free(p);
        return NULL;
    }
    return p;
}

bool tcp_receive(struct tcb *c, struct pbuf *p, const struct tcp_seg *s, struct gqueue *wake)
{
    uint32_t seq = s->seq, len = s->len, end = s->seq + s->len, before = c->rcv_nxt;
    if (tcp_pressed(TCP_MEM_FULL) && c->rcvq_n) { // who does not read gets no more
        tcp_count(TCP_MEM_DROPS);
        pbuf_free(p);
        return false;
    }
    if ((s->flags & TH_FIN) && !(c->flags & TF_FIN_SEEN) && seq_geq(end, c->rcv_nxt) &&
        seq_leq(end, c->rcv_adv)) {
        c->flags |= TF_FIN_SEEN;
        c->rcv_fin = end;
    }
    uint32_t edge = c->flags & TF_FIN_SEEN ? c->rcv_fin : c->rcv_adv;
    p = trim(p, &seq, &len, c->rcv_nxt, edge);
    if (p && seq == c->rcv_nxt) {
        tcp_receive_in_order(c, p, len, wake);
        if (c->ooo)
            ooo_pull(c);
    } else {
        while (p) {
            struct pbuf *next = p->chain;
            p->chain = NULL;
            p->len = p->total = MIN(p->len, len);
            len -= p->len;
            uint32_t n = p->len;
            if (n)
                ooo_insert(c, p, seq);
            else
                pbuf_free(p);
            seq += n;
            p = next;
        }
    }
    if ((c->flags & (TF_FIN_SEEN | TF_EOF)) == TF_FIN_SEEN && c->rcv_nxt == c->rcv_fin) {
        c->rcv_nxt++;
        c->flags |= TF_EOF;
        tcp_ooo_give_up(c);
    }
    return c->rcv_nxt != before;
}

void tcp_ack_at_end(struct tcb *c)
{
    c->flags |= TF_ACK_DUE;
    if (c->flags & TF_ON_ACKS)
        return;
    struct tcp_core *core = tcp_this_core();
    c->flags |= TF_ON_ACKS;
    c->refs++;
    c->link = core->acks;
    core->acks = c;
}

// How large the peer's full segments are. Two smaller ones of one size, and more to come after
// them, are full ones, too: its path has become narrower, and each second must be acknowledged.
static void learn_rcv_mss(struct tcb *c, const struct tcp_seg *s)
{
    uint16_t len = (uint16_t)MIN(s->len, (uint32_t)UINT16_MAX);
    bool full = len == c->rcv_last && !(s->flags & TH_PSH) && len >= TCP_MSS_MIN;
    if (len > c->rcv_mss || full)
        c->rcv_mss = len;
    c->rcv_last = len;
}

void tcp_ack_policy(struct tcb *c, const struct tcp_seg *s)
{
    int64_t now_ns = s->now_ns;
    uint32_t n = c->rcv_nxt - c->rcv_acked;
    if (unlikely(s->len != c->rcv_mss))
        learn_rcv_mss(c, s);
    if (n >= 2u * c->rcv_mss || c->quick_acks) {
        if (n >= (uint32_t)ACK_LIMIT * c->rcv_mss)
            tcp_send_ack(c, now_ns);
        else
            tcp_ack_at_end(c);
    } else if (c->delack_ns == TCP_NEVER) {
        c->delack_ns = now_ns + TCP_DELACK;
        tcp_timer_need(c, c->delack_ns);
    }
}

// The block of c->ooo that seq lies in.
static bool find_block(struct tcb *c, uint32_t seq, uint32_t *start, uint32_t *end)
{
    struct pbuf *q = c->ooo;
    while (q && seq_leq(q->seq, seq)) {
        *start = q->seq;
        *end = seg_end(q);
        while ((q = q->next) && q->seq == *end)
            *end = seg_end(q);
        if (seq_lt(seq, *end))
            return true;
    }
    return false;
}

static void put_block(uint8_t *o, uint32_t start, uint32_t end)
{
    start = be32(start);
    end = be32(end);
    memcpy(o, &start, 4);
    memcpy(o + 4, &end, 4);
}

// The block that changed last comes first, then those before it (RFC 2018).
unsigned tcp_sack_blocks(struct tcb *c, uint8_t *out, unsigned max)
{
    uint32_t starts[TCP_SACK_MAX], start, end;
    unsigned n = 0, i;
    for (unsigned r = 0; r < TCP_SACK_RECENT && n < max; r++) {
        if (!find_block(c, c->sack_recent[r], &start, &end))
            continue;
        for (i = 0; i < n && starts[i] != start; i++)
            ;
        if (i < n)
            continue;
        starts[n] = start;
        put_block(out + 8 * n++, start, end);
    }
    return n;
}

// What may be offered: room, as far as the header can tell of it.
static uint32_t rcv_space(const struct tcb *c)
{
    uint32_t most = 0xffffu << c->rcv_scale, room;
    uint32_t limit = tcp_pressed(TCP_MEM_SHORT) ? TCP_BUF_SHORT : TCP_RCVBUF;
    room = c->rcv_bytes < limit ? limit - c->rcv_bytes : 0;
    return MIN(room, most);
}

uint32_t tcp_window_to_offer(struct tcb *c)
{
    uint32_t old = c->rcv_adv - c->rcv_nxt, wnd = rcv_space(c);
    if ((int32_t)old < 0)
        old = 0; // our edge was passed by a FIN
    // Silly window avoidance: the edge moves by a good piece or not at all.
    if (wnd < old + MIN((uint32_t)c->rcv_mss, (uint32_t)TCP_RCVBUF / 2))
        wnd = old;
    // Rounded up, or the edge would move back by the bits the field cannot tell.
    uint32_t field = (wnd + (1u << c->rcv_scale) - 1) >> c->rcv_scale;
    // But not without end: a peer that sends a byte at a time would move the edge with each.
    if (c->rcv_bytes + (field << c->rcv_scale) > TCP_RCVBUF + (1u << c->rcv_scale))
        field = wnd >> c->rcv_scale;
    field = MIN(field, 0xffffu);
    uint32_t edge = c->rcv_nxt + (field << c->rcv_scale);
    if (seq_gt(edge, c->rcv_adv))
        c->rcv_adv = edge;
    return field;
}

bool tcp_window_update_due(const struct tcb *c)
{
    if (!tcp_synchronized(c) || (c->flags & TF_EOF))
        return false;
    uint32_t old = c->rcv_adv - c->rcv_nxt, space = rcv_space(c);
    if (space < old + 2u * c->rcv_mss)
        return false;
    uint32_t most = MIN((uint32_t)TCP_RCVBUF, 0xffffu << c->rcv_scale);
    return space - old >= most / 4 || old < most / 8;
}
