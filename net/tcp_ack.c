// SPDX-License-Identifier: BSD-2-Clause
// Acknowledgements: what they free, the round trip times they tell (RFC 6298), and the peer's
// window.
//
// Context of everything here: the connection's lock is held.
#include "net/tcp.h"

// srtt and rttvar are kept in units of 1024 ns, the timeout in ns.
void tcp_rtt_sample(struct tcb *c, int64_t rtt_ns)
{
    uint32_t r = (uint32_t)(MIN(MAX(rtt_ns, 0), TCP_RTO_MAX) >> 10);
    r = MAX(r, 1u);
    if (!c->srtt) {
        c->srtt = r;
        c->rttvar = r / 2;
        c->min_rtt = r;
    } else {
        uint32_t err = c->srtt > r ? c->srtt - r : r - c->srtt;
        c->rttvar = (3 * c->rttvar + err) / 4;
        c->srtt = (uint32_t)((7 * (uint64_t)c->srtt + r) / 8);
        c->srtt = MAX(c->srtt, 1u);
        c->min_rtt = MIN(c->min_rtt, r);
    }
    // A peer may hold its acknowledgement back for as long as the least timeout.
    int64_t spread_ns = MAX((int64_t)c->rttvar << 12, TCP_RTO_MIN);
    c->rto_ns = MIN(((int64_t)c->srtt << 10) + spread_ns, TCP_RTO_MAX);
    c->backoff = 0;
}

// Who waits for room is woken when there is a good piece of it, not for each segment.
static void wake_writer(struct tcb *c, struct gqueue *wake)
{
    uint32_t limit = tcp_snd_limit(c);
    if (c->snd_end - c->snd_una > limit - limit / 4 || c->sndq_n > TCP_SNDQ_MAX * 3 / 4)
        return;
    gqueue_push(wake, c->wr_space);
    c->wr_space = NULL;
}

// Of a segment sent more than once a round trip is known only if the acknowledgement answers the
// timestamp of the last time. An older one may have been kept back, with the first acknowledgement
// lost, and would count our own waiting in.
static bool answers_last(const struct tcb *c, const struct pbuf *p, const struct tcp_seg *s)
{
    return (c->flags & TF_TS) && s->has_ts && s->ts_ecr == tcp_ts_now(c, p->sent_ns);
}

void tcp_ack_advance(struct tcb *c, const struct tcp_seg *s, struct gqueue *wake)
{
    uint32_t acked = s->ack - c->snd_una, pipe = tcp_pipe(c);
    int64_t rtt_ns = -1;
    bool repaired = false; // what came after a gap has waited for it
    struct pbuf *p;
    while ((p = c->sndq_head) != c->snd_next && seq_leq(seg_end(p), s->ack)) {
        if (likely(!(p->seg_flags & (SEG_EVER | SEG_LOST | SEG_SACKED)))) {
            if (!repaired)
                rtt_ns = s->now_ns - p->sent_ns;
        } else {
            repaired = true;
            bool known = (p->seg_flags & SEG_EVER) && answers_last(c, p, s);
            rtt_ns = known ? s->now_ns - p->sent_ns : -1;
        }
        tcp_loss_forget(c, p, s->now_ns);
        c->sndq_head = p->next;
        c->sndq_n--;
        pbuf_free(p);
    }
    if (!c->sndq_head)
        c->sndq_tail = NULL;
    c->snd_una = s->ack;
    if (rtt_ns >= 0)
        tcp_rtt_sample(c, rtt_ns);
    c->stall_ns = 0;
    c->err = 0;
    c->rexmt_ns = c->snd_una == c->snd_nxt ? TCP_NEVER : s->now_ns + tcp_rto_backed(c);
    if (c->ca != CA_RECOVERY)
        cubic_acked(c, acked, pipe, s->now_ns);
    if (c->wr_space)
        wake_writer(c, wake);
}

// True if the window the peer offers has changed.
static bool take_window(struct tcb *c, const struct tcp_seg *s)
{
    if (!seq_lt(c->snd_wl1, s->seq) &&
        !(c->snd_wl1 == s->seq && seq_leq(c->snd_wl2, s->ack)))
        return false;
    uint32_t wnd = s->wnd << c->snd_scale;
    bool changed = wnd != c->snd_wnd;
    c->snd_wnd = wnd;
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    c->snd_wnd_max = MAX(c->snd_wnd_max, wnd);
    return changed;
}

bool tcp_ack(struct tcb *c, const struct tcp_seg *s, struct gqueue *wake)
{
    // RFC 5961, 5.2: neither what was never sent nor what is older than any window.
    if (seq_gt(s->ack, c->snd_nxt) || seq_lt(s->ack, c->snd_una - c->snd_wnd_max)) {
        tcp_challenge(c, s->now_ns);
        return false;
    }
    if (seq_lt(s->ack, c->snd_una))
        return true; // old, but its payload may be new
    bool changed = take_window(c, s), dup = false;
    uint32_t acked = s->ack - c->snd_una;
    if (acked)
        tcp_ack_advance(c, s, wake);
    else
        dup = c->snd_nxt != c->snd_una && !s->len && !(s->flags & TH_FIN) && !changed;
    if (s->n_sack && (c->flags & TF_SACK))
        tcp_sack_input(c, s);
    tcp_loss_update(c, dup, acked, s);
    return true;
}
