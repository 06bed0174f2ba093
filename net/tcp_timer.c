// SPDX-License-Identifier: BSD-2-Clause
// Time: retransmission, delayed ACK, persist and keep-alive probes, deadlines, all by one timer a
// connection.
//
// The times at which something is due stand in the connection and change with each segment; the
// timer itself is touched only when it would fire too late. When it fires early it looks again and
// arms itself for what is due next. On a connection that has just been active that is a delayed
// ACK's time at most, so that arming one does not find the timer set too late, and costs nothing.
//
// Each arming holds a reference. timer_ns is NEVER when no arming is outstanding. An arming that is
// replaced while its function is already on the way in is counted in timer_late; the function runs
// then once for each of them, which does no harm.
#include "sched/timer.h"

#include <errno.h>

#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "net/tcp.h"

enum { QUICK_ACKS = 8, BLACKHOLE_BACKOFF = 4, BLACKHOLE_MSS = 536 };

// How long a peer that does not answer is tried: while there is a handle, and after net_close.
static int64_t user_timeout_ns, orphan_timeout_ns;

static void fire(void *arg);

void tcp_timer_init(void)
{
    user_timeout_ns = cmdline_number("tcp_user_timeout", 300, 1, 86400) * TIME_S;
    orphan_timeout_ns = cmdline_number("tcp_orphan_timeout", 100, 1, 86400) * TIME_S;
}

void tcp_timer_need(struct tcb *c, int64_t when_ns)
{
    if (likely(c->timer_ns <= when_ns))
        return;
    if (c->timer_ns == TCP_NEVER) {
        c->refs++;
    } else if (!timer_disarm(&c->timer)) {
        c->timer_late++;
        c->refs++;
    }
    c->timer_ns = when_ns;
    timer_arm(&c->timer, when_ns, fire, c);
}

void tcp_timer_stop(struct tcb *c)
{
    if (c->timer_ns == TCP_NEVER)
        return;
    if (timer_disarm(&c->timer))
        c->refs--;
    else
        c->timer_late++;
    c->timer_ns = TCP_NEVER;
}

int64_t tcp_rto_backed(const struct tcb *c)
{
    int64_t t = c->rto_ns << MIN(c->backoff, 10);
    return MIN(t, TCP_RTO_MAX);
}

static int64_t keep_due(const struct tcb *c, int64_t now_ns)
{
    if (!c->keep_ms || !tcp_synchronized(c) || !(c->flags & TF_USER))
        return TCP_NEVER;
    int64_t every = c->keep_ms * TIME_MS;
    return c->last_rcv_ns + every * ((now_ns - c->last_rcv_ns) / every + 1);
}

static int64_t earliest(const struct tcb *c, int64_t now_ns)
{
    int64_t t = MIN(c->rexmt_ns, c->delack_ns);
    t = MIN(t, c->misc_ns);
    t = MIN(t, keep_due(c, now_ns));
    if (c->rd_deadline_ns && !gqueue_empty(&c->readers))
        t = MIN(t, c->rd_deadline_ns);
    if (c->wr_deadline_ns && (c->wr_space || !gqueue_empty(&c->writers)))
        t = MIN(t, c->wr_deadline_ns);
    if (t != TCP_NEVER && now_ns - c->last_rcv_ns < TCP_DELACK)
        t = MIN(t, now_ns + TCP_DELACK);
    return t;
}

// The peer has not answered for too long? Then c is done.
static bool give_up(struct tcb *c, int64_t now_ns, struct gqueue *wake)
{
    int64_t limit = c->flags & TF_USER ? user_timeout_ns : orphan_timeout_ns;
    int64_t since = c->stall_ns;
    // Someone who answers probes may keep his window shut as long as there is a reader here.
    // While its window is closed a peer that answers is alive (RFC 9293, SHLD-17).
    if ((c->flags & TF_USER) && ((c->flags & TF_PERSIST) || !c->snd_wnd))
        since = MAX(since, c->last_rcv_ns);
    if (now_ns - since < limit)
        return false;
    tcp_count(TCP_KEEP_DEAD);
    tcb_abort(c, c->err ? c->err : ETIMEDOUT, now_ns, wake);
    return true;
}

static void handshake_timeout(struct tcb *c, int64_t now_ns, struct gqueue *wake)
{
    if (c->backoff >= (c->state == TCP_SYN_SENT ? TCP_SYN_RETRIES : TCP_SYNACK_RETRIES)) {
        tcb_done(c, c->err ? c->err : ETIMEDOUT, wake);
        return;
    }
    c->backoff++;
    c->rexmt_ns = now_ns + tcp_rto_backed(c);
    if (tcp_send_syn(c, now_ns) == -EHOSTUNREACH && c->state == TCP_SYN_SENT)
        tcb_done(c, EHOSTUNREACH, wake);
}

static void persist_timeout(struct tcb *c, int64_t now_ns)
{
    struct pbuf *p = c->snd_next;
    uint32_t room = c->snd_una + c->snd_wnd - p->seq;
    if (c->backoff < 16)
        c->backoff++;
    c->rexmt_ns = now_ns + tcp_rto_backed(c);
    // A small window is made use of after all, a closed one is asked about.
    if ((int32_t)room > 0 && room < p->seg_len && tcp_split(c, p, room))
        tcp_output(c, now_ns);
    else if ((int32_t)room > 0)
        tcp_output(c, now_ns);
    else
        tcp_send_probe(c, now_ns);
}

static void rexmt_due(struct tcb *c, int64_t now_ns, struct gqueue *wake)
{
    if (!tcp_synchronized(c)) {
        handshake_timeout(c, now_ns, wake);
        return;
    }
    if (!c->stall_ns)
        c->stall_ns = now_ns - tcp_rto_backed(c);
    if (give_up(c, now_ns, wake))
        return;
    if (c->flags & TF_PERSIST) {
        persist_timeout(c, now_ns);
        return;
    }
    if (c->snd_una == c->snd_nxt) {
        c->rexmt_ns = TCP_NEVER;
        return;
    }
    tcp_count(TCP_TIMEOUTS);
    // Full segments that never arrive while the peer lives: a path that drops large packets
    // silently.
    if (c->backoff == BLACKHOLE_BACKOFF && c->mss > BLACKHOLE_MSS)
        tcb_set_mss(c, BLACKHOLE_MSS + IP4_HDR_LEN + TCP_HDR_LEN);
    tcp_loss_timeout(c, now_ns);
    if (c->backoff < 16)
        c->backoff++;
    c->rexmt_ns = now_ns + tcp_rto_backed(c);
    tcp_output(c, now_ns);
}

static void misc_due(struct tcb *c, int64_t now_ns, struct gqueue *wake)
{
    c->misc_ns = TCP_NEVER;
    if ((c->flags & (TF_SHUT | TF_FIN_QUEUED)) == TF_SHUT) {
        if (tcb_queue_fin(c, now_ns))
            tcp_output(c, now_ns);
    } else if (c->state == TCP_FIN_WAIT_2) {
        tcb_done(c, 0, wake);
    }
}

static void keep_check(struct tcb *c, int64_t now_ns, struct gqueue *wake)
{
    if (!c->keep_ms || !(c->flags & TF_USER) || c->snd_una != c->snd_nxt || c->snd_next)
        return;
    int64_t every = c->keep_ms * TIME_MS, idle = now_ns - c->last_rcv_ns;
    if (idle < every)
        return;
    if (idle / every > TCP_KEEP_PROBES) {
        tcp_count(TCP_KEEP_DEAD);
        tcb_abort(c, ETIMEDOUT, now_ns, wake);
        return;
    }
    // One an interval, however often the timer fires; 1: what rounding may make of the same moment.
    uint32_t now_ms = (uint32_t)(now_ns / TIME_MS), since_ms = (uint32_t)(idle % every / TIME_MS);
    if (now_ms - c->probed_ms <= since_ms + 1)
        return;
    c->probed_ms = now_ms;
    tcp_send_probe(c, now_ns);
}

static void deadlines_check(struct tcb *c, int64_t now_ns, struct gqueue *wake)
{
    struct g *gp;
    if (c->rd_deadline_ns && now_ns >= c->rd_deadline_ns)
        while ((gp = gqueue_pop(&c->readers)) != NULL)
            gqueue_push(wake, gp);
    if (!c->wr_deadline_ns || now_ns < c->wr_deadline_ns)
        return;
    while ((gp = gqueue_pop(&c->writers)) != NULL)
        gqueue_push(wake, gp);
    if (c->wr_space)
        gqueue_push(wake, c->wr_space);
    c->wr_space = NULL;
}

// Context: g0; holds one reference of c.
static void fire(void *arg)
{
    struct tcb *c = arg;
    struct gqueue wake = {0};
    int64_t now_ns = clock_mono_ns();
    spin_lock(&c->lock);
    if (c->timer_late)
        c->timer_late--;
    else
        c->timer_ns = TCP_NEVER;
    if (c->state != TCP_CLOSED && now_ns >= c->delack_ns) {
        c->delack_ns = TCP_NEVER;
        c->quick_acks = QUICK_ACKS; // the application does not answer at once
        tcp_send_ack(c, now_ns);
    }
    if (c->ooo && tcp_pressed(TCP_MEM_FULL))
        tcp_ooo_give_up(c);
    if (c->state != TCP_CLOSED && now_ns >= c->rexmt_ns)
        rexmt_due(c, now_ns, &wake);
    if (c->state != TCP_CLOSED && now_ns >= c->misc_ns)
        misc_due(c, now_ns, &wake);
    if (tcp_synchronized(c))
        keep_check(c, now_ns, &wake);
    deadlines_check(c, now_ns, &wake);
    if (c->state != TCP_CLOSED) {
        int64_t next = earliest(c, now_ns);
        if (next != TCP_NEVER)
            tcp_timer_need(c, next);
    }
    tcb_put_unlock(c);
    tcp_wake(&wake);
}
