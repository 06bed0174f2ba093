// SPDX-License-Identifier: BSD-2-Clause
// The handshake of a connection that exists: SYN_SENT and SYN_RCVD (RFC 9293, 3.10.7.3 and .4).
//
// Context of everything here: the connection's lock is held.
#include <errno.h>

#include "net/tcp.h"

void tcp_take_syn_options(struct tcb *c, const struct tcp_seg *s)
{
    c->peer_mss = s->mss ? MAX(s->mss, (uint16_t)TCP_MSS_MIN) : TCP_MSS_DEFAULT;
    if (!s->has_ts)
        c->flags &= (uint16_t)~TF_TS;
    if (!s->has_sack_ok)
        c->flags &= (uint16_t)~TF_SACK;
    if (s->scale < 0)
        c->flags &= (uint16_t)~TF_SCALE;
    c->snd_scale = c->flags & TF_SCALE ? (uint8_t)s->scale : 0;
    c->rcv_scale = c->flags & TF_SCALE ? TCP_RCV_SCALE : 0;
    if (c->flags & TF_TS) {
        c->ts_recent = s->ts_val;
        c->ts_recent_s = (uint32_t)(s->now_ns >> 30);
    }
    c->rcv_nxt = s->seq + 1;
    c->rcv_acked = c->rcv_nxt;
    c->snd_wnd = c->snd_wnd_max = s->wnd; // never scaled in a SYN
    c->snd_wl1 = s->seq;
    c->snd_wl2 = c->snd_una;
}

void tcp_input_syn_sent(struct tcb *c, struct tcp_seg *s, struct gqueue *wake)
{
    if ((s->flags & TH_ACK) && s->ack != c->snd_nxt) {
        tcp_send_rst_for(s);
        return;
    }
    if (s->flags & TH_RST) {
        if (s->flags & TH_ACK)
            tcb_done(c, ECONNREFUSED, wake);
        return;
    }
    if (!(s->flags & TH_SYN))
        return;
    tcp_take_syn_options(c, s);
    c->rcv_adv = c->rcv_nxt + 0xffff;
    if (!(s->flags & TH_ACK)) { // both opened at once
        c->state = TCP_SYN_RCVD;
        c->backoff = 0;
        c->rexmt_ns = s->now_ns + c->rto_ns;
        tcp_timer_need(c, c->rexmt_ns);
        tcp_send_syn(c, s->now_ns);
        return;
    }
    c->snd_una = s->ack;
    c->snd_wl2 = s->ack;
    uint32_t ticks = tcp_ts_now(c, s->now_ns) - s->ts_ecr;
    if ((c->flags & TF_TS) && ticks < 1 << 17)
        tcp_rtt_sample(c, (int64_t)ticks << 20);
    c->err = 0;
    tcb_established(c, s->now_ns);
    tcp_send_ack(c, s->now_ns);
    tcb_move_waiters(c, wake);
    // Payload that came along is sent again by the peer, since the ACK does not cover it.
}

// True: the connection is established, go on with the segment.
bool tcp_input_syn_rcvd(struct tcb *c, struct tcp_seg *s, struct gqueue *wake)
{
    if (s->flags & TH_SYN) {
        if (s->seq + 1 != c->rcv_nxt) {
            tcp_challenge(c, s->now_ns);
            return false;
        }
        if (!(s->flags & TH_ACK)) {
            tcp_send_syn(c, s->now_ns); // our answer was lost
            return false;
        }
    }
    if (s->ack != c->snd_nxt) {
        tcp_send_rst_for(s);
        return false;
    }
    struct listener *l = c->listener;
    if (l && !tcp_listen_has_room(l)) {
        tcp_count(TCP_ACCEPT_OVERFLOWS);
        return false; // as if lost; our SYN goes out again
    }
    c->snd_una = s->ack;
    c->snd_wnd = s->wnd << (s->flags & TH_SYN ? 0 : c->snd_scale);
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    if ((c->flags & TF_TS) && s->has_ts) {
        uint32_t ticks = tcp_ts_now(c, s->now_ns) - s->ts_ecr;
        if (ticks < 1 << 17)
            tcp_rtt_sample(c, (int64_t)ticks << 20);
    }
    c->err = 0;
    tcb_established(c, s->now_ns);
    if (l) {
        c->listener = NULL;
        tcp_listen_syn_done(l);
        c->flags |= TF_USER;
        c->refs += 2; // the accept queue's, and one until it is there
        s->deliver = l;
    } else {
        tcb_move_waiters(c, wake);
    }
    return true;
}
