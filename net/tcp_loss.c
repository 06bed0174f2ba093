// SPDX-License-Identifier: BSD-2-Clause
// Loss: what counts as lost, and how sending recovers.
//
// The scoreboard stands in the send queue itself, as flags of its segments. With SACK (RFC 6675) a
// segment counts as lost when three later segments, or more than two segments' worth of bytes, have
// arrived; a segment sent again, when something sent later than that has (and a quarter of a round
// trip has passed between them). Without SACK (RFC 6582) three duplicate acknowledgements tell of
// one lost segment, a partial one of the next; each duplicate stands for a segment that has left
// the network, which c->sacked counts so that tcp_pipe is right in both cases.
//
// A timeout marks all in flight as lost and forgets what SACK has told (the peer may have thrown it
// away). When the first acknowledgement after it answers a timestamp from before, nothing had been
// lost, and the windows are put back (RFC 3522).
//
// Context of everything here: the connection's lock is held.
#include "net/tcp.h"

enum { DUP_THRESH = 3 };

void tcp_loss_delivered(struct tcb *c, const struct pbuf *p, int64_t now_ns)
{
    // Right after a retransmission it may be the first copy that has arrived.
    if ((p->seg_flags & SEG_EVER) && now_ns - p->sent_ns < ((int64_t)c->min_rtt << 10))
        return;
    c->rack_ns = MAX(c->rack_ns, p->sent_ns);
}

void tcp_loss_forget(struct tcb *c, struct pbuf *p, int64_t now_ns)
{
    uint32_t n = seg_space(p);
    if (likely(!(p->seg_flags & (SEG_SACKED | SEG_LOST | SEG_EVER)))) {
        c->rack_ns = MAX(c->rack_ns, p->sent_ns);
        return;
    }
    if (p->seg_flags & SEG_SACKED) {
        c->sacked -= MIN(c->sacked, n);
        c->sacked_n--;
    } else if ((p->seg_flags & (SEG_LOST | SEG_RETX)) == SEG_LOST) {
        c->lost -= MIN(c->lost, n);
    }
    tcp_loss_delivered(c, p, now_ns);
}

void tcp_sack_input(struct tcb *c, const struct tcp_seg *s)
{
    for (unsigned i = 0; i < s->n_sack; i++) {
        uint32_t start = s->sack[i].start, end = s->sack[i].end;
        // Neither what the peer has had twice (RFC 2883) nor nonsense.
        if (!seq_lt(start, end) || !seq_lt(c->snd_una, end) || seq_lt(start, c->snd_una) ||
            seq_gt(end, c->snd_nxt))
            continue;
        struct pbuf *p = c->sndq_head;
        for (; p != c->snd_next && seq_lt(p->seq, end); p = p->next) {
            if ((p->seg_flags & SEG_SACKED) || seq_lt(p->seq, start) || seq_gt(seg_end(p), end))
                continue;
            if ((p->seg_flags & (SEG_LOST | SEG_RETX)) == SEG_LOST)
                c->lost -= MIN(c->lost, seg_space(p));
            p->seg_flags &= (uint16_t)~(SEG_LOST | SEG_RETX);
            p->seg_flags |= SEG_SACKED;
            c->sacked += seg_space(p);
            c->sacked_n++;
            tcp_loss_delivered(c, p, s->now_ns);
        }
    }
}

static void mark_lost(struct tcb *c, struct pbuf *p)
{
    p->seg_flags = (uint16_t)((p->seg_flags | SEG_LOST) & ~SEG_RETX);
    c->lost += seg_space(p);
}

static void find_losses(struct tcb *c)
{
    uint32_t above = c->sacked, above_n = c->sacked_n;
    int64_t reorder_ns = (int64_t)(c->srtt / 4) << 10;
    for (struct pbuf *p = c->sndq_head; p != c->snd_next && above_n; p = p->next) {
        if (p->seg_flags & SEG_SACKED) {
            above -= MIN(above, seg_space(p));
            above_n--;
        } else if (!(p->seg_flags & SEG_LOST)) {
            if (above_n >= DUP_THRESH || above > (DUP_THRESH - 1u) * c->mss)
                mark_lost(c, p);
        } else if ((p->seg_flags & SEG_RETX) && p->sent_ns + reorder_ns < c->rack_ns) {
            mark_lost(c, p);
        }
    }
}

// Without SACK. Context: a duplicate acknowledgement, or one of new data.
static void count_duplicates(struct tcb *c, bool dup, uint32_t acked)
{
    if (acked) {
        c->dupacks = 0;
        uint32_t gone = acked > c->mss ? acked - c->mss : 0;
        c->sacked = c->ca == CA_RECOVERY && c->sacked > gone ? c->sacked - gone : 0;
        return;
    }
    if (!dup || c->ca == CA_LOSS)
        return;
    if (c->dupacks < UINT8_MAX)
        c->dupacks++;
    if (c->sacked + 2u * c->mss <= c->snd_nxt - c->snd_una)
        c->sacked += c->mss;
    if (c->dupacks == DUP_THRESH && c->ca == CA_OPEN && !(c->sndq_head->seg_flags & SEG_LOST))
        mark_lost(c, c->sndq_head);
}

static void back_to_open(struct tcb *c)
{
    c->ca = CA_OPEN;
    c->dupacks = 0;
    c->flags &= (uint16_t)~(TF_UNDO | TF_FAST_RETX);
    if (!(c->flags & TF_SACK))
        c->sacked = 0;
}

// The timeout was needless if the answer is to what was sent before it.
static bool undo(struct tcb *c, const struct tcp_seg *s)
{
    if (!(c->flags & TF_UNDO))
        return false;
    c->flags &= (uint16_t)~TF_UNDO;
    if (!s->has_ts || !seq_lt(s->ts_ecr, c->retx_ts))
        return false;
    for (struct pbuf *p = c->sndq_head; p != c->snd_next; p = p->next)
        p->seg_flags &= (uint16_t)~(SEG_LOST | SEG_RETX);
    c->lost = 0;
    c->cwnd = c->undo_cwnd;
    c->ssthresh = c->undo_ssthresh;
    tcp_count(TCP_UNDONE);
    return true;
}

void tcp_loss_update(struct tcb *c, bool dup, uint32_t acked, const struct tcp_seg *s)
{
    if (!(c->flags & TF_SACK))
        count_duplicates(c, dup, acked);
    else if (c->sacked_n)
        find_losses(c);
    switch ((enum tcp_ca)c->ca) {
    case CA_OPEN:
        if (!c->lost)
            break;
        tcp_count(TCP_FAST_RECOVERIES);
        c->ca = CA_RECOVERY;
        c->recover = c->snd_nxt;
        c->flags |= TF_FAST_RETX;
        cubic_loss(c);
        c->cwnd = c->ssthresh;
        break;
    case CA_RECOVERY:
        if (acked && seq_geq(c->snd_una, c->recover)) {
            back_to_open(c);
            c->cwnd = c->ssthresh;
        } else if (acked && !(c->flags & TF_SACK) && c->sndq_head != c->snd_next &&
                   !(c->sndq_head->seg_flags & SEG_LOST)) {
            mark_lost(c, c->sndq_head);
            c->flags |= TF_FAST_RETX;
        }
        break;
    case CA_LOSS:
        if (acked && (undo(c, s) || seq_geq(c->snd_una, c->recover)))
            back_to_open(c);
        break;
    }
}

void tcp_loss_timeout(struct tcb *c, int64_t now_ns)
{
    if (!c->backoff && c->ca != CA_LOSS) {
        c->undo_cwnd = c->cwnd;
        c->undo_ssthresh = c->ssthresh;
        if (c->flags & TF_TS && c->ca == CA_OPEN)
            c->flags |= TF_UNDO;
        c->retx_ts = tcp_ts_now(c, now_ns);
    }
    if (!c->backoff)
        cubic_loss(c);
    c->ca = CA_LOSS;
    c->recover = c->snd_nxt;
    c->dupacks = 0;
    c->sacked = c->lost = 0;
    c->sacked_n = 0;
    for (struct pbuf *p = c->sndq_head; p != c->snd_next; p = p->next) {
        p->seg_flags &= (uint16_t)~SEG_SACKED;
        mark_lost(c, p);
    }
    c->cwnd = c->mss;
    c->flags |= TF_FAST_RETX;
}

void tcp_loss_oversized(struct tcb *c)
{
    for (struct pbuf *p = c->sndq_head; p != c->snd_next; p = p->next)
        if (p->seg_len > c->mss && !(p->seg_flags & SEG_SACKED) &&
            (p->seg_flags & (SEG_LOST | SEG_RETX)) != SEG_LOST)
            mark_lost(c, p);
    if (c->lost)
        c->flags |= TF_FAST_RETX;
}
