// SPDX-License-Identifier: BSD-2-Clause
// A segment arrives. From the IP layer to the reader's wake-up:
//
//   tcp_input        finds the connection (no lock), locks it
//   fast             the two segments nearly all are: the next data in order, and acknowledgements
//                    of what is in flight, on a connection where nothing is unusual
//   slow             everything else, in the order of RFC 9293, 3.10.7, with RFC 5961's answers to
//                    resets, SYNs and acknowledgements out of line and RFC 7323's to old duplicates
//   tcp_input_done   at the end of the batch: acknowledgements that no answer has carried yet
//
// The connection's lock is taken once a segment. Readers and writers to be woken are collected and
// readied when it has been released, the connection's state being complete by then.
//
// Urgent data is delivered in the stream, in its place; the urgent pointer is not used.
#include <errno.h>

#include "kernel/clock.h"
#include "net/netif.h"
#include "net/tcp.h"

static void take_timestamp(struct tcb *c, const struct tcp_seg *s)
{
    if (seq_leq(s->seq, c->rcv_acked) && seq_geq(s->ts_val, c->ts_recent)) {
        c->ts_recent = s->ts_val;
        c->ts_recent_s = (uint32_t)(s->now_ns >> 30);
    }
}

// True if the segment has been dealt with; false leaves everything as it was.
static bool fast(struct tcb *c, struct pbuf *p, const struct tcp_seg *s, struct gqueue *wake)
{
    if (c->state != TCP_ESTABLISHED || (s->flags & ~TH_PSH) != TH_ACK || s->seq != c->rcv_nxt ||
        s->wnd << c->snd_scale != c->snd_wnd || c->ca != CA_OPEN || c->sacked || c->dupacks ||
        c->ooo || s->n_sack || tcp_pressed(TCP_MEM_FULL))
        return false;
    if ((c->flags & (TF_USER | TF_FIN_SEEN)) != TF_USER)
        return false;
    uint32_t acked = s->ack - c->snd_una;
    if (acked > c->snd_nxt - c->snd_una || s->len > c->rcv_adv - c->rcv_nxt)
        return false;
    if (!acked && !s->len)
        return false; // a duplicate, or a keep-alive's answer
    if (c->flags & TF_TS) {
        if (!s->has_ts || seq_lt(s->ts_val, c->ts_recent))
            return false;
        take_timestamp(c, s);
    }
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    if (acked)
        tcp_ack_advance(c, s, wake);
    if (s->len) {
        tcp_receive_in_order(c, p, s->len, wake);
        tcp_ack_policy(c, s);
    } else {
        pbuf_free(p);
    }
    if (c->snd_next)
        tcp_output(c, s->now_ns);
    tcp_count(TCP_FAST_PATH);
    return true;
}

// RFC 7323: an old duplicate by its timestamp. An idle connection's last one is not believed for
// ever.
static bool paws_reject(const struct tcb *c, const struct tcp_seg *s)
{
    return s->has_ts && seq_lt(s->ts_val, c->ts_recent) &&
           (uint32_t)(s->now_ns >> 30) - c->ts_recent_s < 24 * 86400;
}

// Timestamps, then position in the window. False: answered if need be, drop it.
static bool acceptable(struct tcb *c, const struct tcp_seg *s)
{
    if ((c->flags & TF_TS) && !(s->flags & TH_RST)) {
        if (!s->has_ts)
            return false;
        if (paws_reject(c, s)) {
            tcp_count(TCP_PAWS_DROPS);
            if (s->len || (s->flags & TH_FIN))
                tcp_send_ack(c, s->now_ns);
            else
                tcp_challenge(c, s->now_ns);
            return false;
        }
    }
    uint32_t end = s->seq + s->len + (s->flags & TH_FIN ? 1 : 0);
    if (seq_leq(c->rcv_nxt, end) && (seq_leq(s->seq, c->rcv_adv) || s->seq == c->rcv_nxt))
        return true;
    if (s->flags & TH_RST)
        return false;
    if (s->flags & TH_SYN)
        tcp_challenge(c, s->now_ns);
    else if (s->len || (s->flags & TH_FIN) || s->seq == c->rcv_nxt - 1)
        tcp_send_ack(c, s->now_ns); // sent again for want of our answer, or a probe
    else
        tcp_challenge(c, s->now_ns);
    return false;
}

static void reset_received(struct tcb *c, const struct tcp_seg *s, struct gqueue *wake)
{
    if (s->seq != c->rcv_nxt) {
        tcp_challenge(c, s->now_ns);
        return;
    }
    tcb_done(c, c->state == TCP_SYN_RCVD ? ECONNREFUSED : ECONNRESET, wake);
}

// Our FIN has been acknowledged.
static void fin_acked(struct tcb *c, const struct tcp_seg *s, struct gqueue *wake)
{
    switch ((enum tcp_state)c->state) {
    case TCP_FIN_WAIT_1:
        c->state = TCP_FIN_WAIT_2;
        if (!(c->flags & TF_USER)) {
            c->misc_ns = s->now_ns + TCP_MSL2;
            tcp_timer_need(c, c->misc_ns);
        }
        break;
    case TCP_CLOSING:
        tcp_tw_add(c, s->now_ns);
        tcb_done(c, 0, wake);
        break;
    case TCP_LAST_ACK:
        tcb_done(c, 0, wake);
        break;
    default:
        break;
    }
}

// The peer's FIN is next and has been taken.
static void fin_received(struct tcb *c, const struct tcp_seg *s, struct gqueue *wake)
{
    struct g *gp;
    while ((gp = gqueue_pop(&c->readers)) != NULL)
        gqueue_push(wake, gp);
    switch ((enum tcp_state)c->state) {
    case TCP_ESTABLISHED:
        c->state = TCP_CLOSE_WAIT;
        break;
    case TCP_FIN_WAIT_1:
        c->state = TCP_CLOSING;
        break;
    case TCP_FIN_WAIT_2:
        tcp_send_ack(c, s->now_ns);
        tcp_tw_add(c, s->now_ns);
        tcb_done(c, 0, wake);
        break;
    default:
        break;
    }
}

// Payload and FIN. Takes p.
static void take_payload(struct tcb *c, struct pbuf *p, const struct tcp_seg *s,
                         struct gqueue *wake)
{
    bool more_to_come = c->state == TCP_ESTABLISHED || c->state == TCP_FIN_WAIT_1 ||
                        c->state == TCP_FIN_WAIT_2;
    if (!s->len && !(s->flags & TH_FIN)) {
        pbuf_free(p);
        return;
    }
    if (!more_to_come || (c->flags & TF_EOF)) { // sent again: our ACK of the FIN was lost
        pbuf_free(p);
        tcp_ack_at_end(c);
        return;
    }
    if (s->len && !(c->flags & TF_USER) && seq_gt(s->seq + s->len, c->rcv_nxt)) {
        pbuf_free(p); // nobody will ever read it
        tcb_abort(c, ECONNRESET, s->now_ns, wake);
        return;
    }
    bool gap = c->ooo != NULL;
    bool moved = tcp_receive(c, p, s, wake);
    if (!moved || c->ooo)
        tcp_send_ack(c, s->now_ns); // a gap, or had already: each one counts for the peer
    else if (gap || (c->flags & TF_EOF))
        tcp_ack_at_end(c);
    else
        tcp_ack_policy(c, s);
    if (moved && (c->flags & TF_EOF))
        fin_received(c, s, wake);
}

// True: go on with acknowledgement and payload.
static bool control(struct tcb *c, struct tcp_seg *s, struct gqueue *wake)
{
    bool half_open = c->state == TCP_SYN_RCVD;
    if (c->state == TCP_SYN_SENT) {
        tcp_input_syn_sent(c, s, wake);
        return false;
    }
    if (half_open && (s->flags & (TH_SYN | TH_RST)) == TH_SYN) {
        tcp_input_syn_rcvd(c, s, wake);
        return false;
    }
    if (!acceptable(c, s))
        return false;
    if (s->flags & TH_RST) {
        reset_received(c, s, wake);
        return false;
    }
    if (s->flags & TH_SYN) {
        tcp_challenge(c, s->now_ns);
        return false;
    }
    return (s->flags & TH_ACK) && (!half_open || tcp_input_syn_rcvd(c, s, wake));
}

// Takes p.
static void slow(struct tcb *c, struct pbuf *p, struct tcp_seg *s, struct gqueue *wake)
{
    if (!control(c, s, wake)) {
        pbuf_free(p);
        return;
    }
    if (!tcp_ack(c, s, wake)) {
        pbuf_free(p);
        return;
    }
    // Only now: a blind segment must not move the clock that PAWS goes by.
    if (c->flags & TF_TS)
        take_timestamp(c, s);
    if ((c->flags & TF_FIN_QUEUED) && c->snd_una == c->snd_end)
        fin_acked(c, s, wake);
    if (c->state == TCP_CLOSED) {
        pbuf_free(p);
        return;
    }
    take_payload(c, p, s, wake);
    if (c->state != TCP_CLOSED && (c->snd_next || c->lost))
        tcp_output(c, s->now_ns);
}

void tcp_conn_input(struct tcb *c, struct pbuf *p, struct tcp_seg *s)
{
    struct gqueue wake = {0};
    c->last_rcv_ns = s->now_ns;
    if (!fast(c, p, s, &wake))
        slow(c, p, s, &wake);
    tcb_unlock(c);
    tcp_wake(&wake);
    if (unlikely(s->deliver != NULL))
        tcp_listen_deliver(s->deliver, c, s->now_ns);
}

void tcp_input(struct netif *nif, struct pbuf *p, uint32_t src_be, uint32_t dst_be)
{
    struct tcp_seg s;
    struct tcp_core *core = tcp_this_core();
    (void)nif;
    tcp_batch_begin(core);
    tcp_count(TCP_SEGS_IN);
    if (unlikely(!tcp_parse(p, src_be, dst_be, &s))) {
        tcp_count(TCP_BAD_SEGS);
        pbuf_free(p);
        return;
    }
    s.now_ns = core->now_ns;
    struct tcb *c;
    // One that ended between lookup and lock may have a successor by now. Looked up once more, not
    // until it is gone: one that is about to dial is closed, too, and in the table.
    for (int tries = 0; tries < 2 && likely((c = tcp_lookup(&s)) != NULL); tries++) {
        spin_lock(&c->lock);
        if (likely(c->state != TCP_CLOSED)) {
            tcp_conn_input(c, p, &s);
            return;
        }
        spin_unlock(&c->lock);
    }
    bool reuse = false;
    uint32_t iss_after = 0;
    if (tcp_tw_input(&s, &reuse, &iss_after)) {
        pbuf_free(p);
        return;
    }
    tcp_listen_input(&s, p, reuse, iss_after);
}

void tcp_input_done(void)
{
    struct tcp_core *core = tcp_this_core();
    struct tcb *c;
    if (!tcp_in_batch())
        return;
    while ((c = core->acks) != NULL) {
        core->acks = c->link;
        spin_lock(&c->lock);
        c->flags &= (uint16_t)~TF_ON_ACKS;
        if ((c->flags & TF_ACK_DUE) && c->state != TCP_CLOSED)
            tcp_send_ack(c, core->now_ns);
        tcb_put_unlock(c);
    }
    tcp_mem_look();
    pbuf_refill();
    tcp_batch_end(core);
}

void tcp_send_rst_for(const struct tcp_seg *s)
{
    if (s->flags & TH_RST)
        return;
    if (s->flags & TH_ACK) {
        tcp_send_bare(s, s->ack, 0, TH_RST, 0, NULL, 0);
        return;
    }
    uint32_t n = s->len + (s->flags & TH_SYN ? 1 : 0) + (s->flags & TH_FIN ? 1 : 0);
    tcp_send_bare(s, 0, s->seq + n, TH_RST | TH_ACK, 0, NULL, 0);
}

// Takes over c's lock and releases it.
static void icmp_error_for(struct tcb *c, uint32_t seq, int type, int code, uint16_t mtu,
                           int64_t now_ns, struct gqueue *wake)
{
    // Only what answers something in flight is believed (RFC 5927).
    bool ours = !seq_lt(seq, c->snd_una) && seq_lt(seq, c->snd_nxt);
    if (ours && type == ICMP_UNREACHABLE && code == ICMP_UNREACH_FRAG) {
        uint16_t mss = c->mss;
        tcb_set_mss(c, mtu ? MAX(mtu, 296) : 576);
        if (c->mss < mss) {
            tcp_loss_oversized(c);
            tcp_output(c, now_ns);
        } else {
            c->mss = mss;
        }
    } else if (ours && type == ICMP_UNREACHABLE) {
        bool refused = code == ICMP_UNREACH_PORT || code == ICMP_UNREACH_PROTO;
        c->err = refused ? ECONNREFUSED : code == ICMP_UNREACH_NET ? ENETUNREACH : EHOSTUNREACH;
        // Hard only while connecting (RFC 5461); later it merely explains a timeout.
        if (c->state == TCP_SYN_SENT)
            tcb_done(c, c->err, wake);
    }
    tcb_unlock(c);
}

void tcp_icmp_error(uint32_t src_be, uint32_t dst_be, const uint8_t *hdr, int type, int code,
                    uint16_t mtu)
{
    const struct tcp_hdr *h = (const struct tcp_hdr *)hdr;
    struct tcp_seg s = {.src_be = dst_be, .dst_be = src_be, .sport = be16(h->dport_be),
                        .dport = be16(h->sport_be)};
    struct gqueue wake = {0};
    struct tcp_core *core = tcp_this_core();
    // Besides routers' messages come those of our own neighbour cache, from its timer.
    bool alone = !tcp_in_batch();
    tcp_batch_begin(core);
    s.hash = tcp_hash(s.dst_be, s.dport, s.src_be, s.sport);
    struct tcb *c = tcp_lookup(&s);
    if (c) {
        spin_lock(&c->lock);
        if (c->state != TCP_CLOSED)
            icmp_error_for(c, be32(h->seq_be), type, code, mtu, core->now_ns, &wake);
        else
            spin_unlock(&c->lock);
        tcp_wake(&wake);
    }
    if (alone) {
        tcp_input_done();
        netif_flush_all();
    }
}
