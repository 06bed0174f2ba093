// SPDX-License-Identifier: BSD-2-Clause
// The life of a TCP connection: made, established, ended, freed.
//
// Everything that happens to a connection happens under its lock, in bounded steps, on whatever
// core it comes up: segments on g0 of the polling core, reads and writes in their goroutines, the
// timer on g0. What must be done without the lock (readying goroutines, handing a connection to
// its listener) is collected and done after it has been released.
//
// The protocol's part and the application's part end independently. tcb_done ends the first: the
// connection leaves the table, and what has been received stays readable. The second ends with
// net_close. Memory goes when the last reference does, and then not before every core has left
// the receive batch it was in (tcp_table.c), since lookup works without a lock.
#include "net/tcp.h"

#include <errno.h>

#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/heap.h"
#include "kernel/panic.h"

struct tcp_core tcp_cores[MAX_CORES];

uint16_t tcp_offer;

static uint64_t isn_key[2];
static uint32_t keep_default_ms;
static _Atomic(size_t) tcbs_live;

void tcp_init(void)
{
    isn_key[0] = net_random();
    isn_key[1] = net_random();
    keep_default_ms = (uint32_t)cmdline_number("tcp_keepalive", 15, 0, 86400) * 1000;
    if (cmdline_number("tcp_timestamps", 1, 0, 1))
        tcp_offer |= TF_TS;
    if (cmdline_number("tcp_sack", 1, 0, 1))
        tcp_offer |= TF_SACK;
    if (cmdline_number("tcp_window_scaling", 1, 0, 1))
        tcp_offer |= TF_SCALE;
    tcp_mem_init();
    tcp_table_init();
    tcp_listen_init();
    tcp_cookie_init();
    tcp_tw_init();
    tcp_port_init();
    tcp_timer_init();
}

struct tcb *tcb_new(uint32_t laddr_be, uint16_t lport, uint32_t raddr_be, uint16_t rport,
                    uint32_t hash)
{
    struct tcb *c = heap_zalloc(sizeof(*c));
    if (!c)
        return NULL;
    c->conn.ops = &tcp_conn_ops;
    c->laddr_be = laddr_be;
    c->raddr_be = raddr_be;
    c->lport = lport;
    c->rport = rport;
    c->hash = hash;
    spin_init(&c->lock, LOCK_CONN);
    c->refs = 1;
    c->mss = TCP_MSS_DEFAULT;
    c->peer_mss = TCP_MSS_DEFAULT;
    c->rcv_mss = TCP_MSS_DEFAULT;
    c->rto_ns = TCP_RTO_INIT;
    c->rexmt_ns = c->delack_ns = c->misc_ns = c->timer_ns = TCP_NEVER;
    c->keep_ms = keep_default_ms;
    atomic_fetch_add_explicit(&tcbs_live, 1, memory_order_relaxed);
    return c;
}

void tcb_drop_received(struct tcb *c)
{
    tcp_free_queue(c->rcvq_head);
    c->rcvq_head = c->rcvq_tail = NULL;
    c->rcvq_n = 0;
    c->rcv_bytes = 0;
}

static void tcb_free(struct tcb *c)
{
    require(c->state == TCP_CLOSED && !c->sndq_head && !c->ooo && c->timer_ns == TCP_NEVER);
    require(gqueue_empty(&c->readers) && gqueue_empty(&c->writers));
    atomic_fetch_sub_explicit(&tcbs_live, 1, memory_order_relaxed);
    tcp_limbo_put(c);
}

void tcb_account(struct tcb *c)
{
    uint16_t held = (uint16_t)(c->sndq_n + c->rcvq_n + c->ooo_n);
    if (held == c->held)
        return;
    tcp_mem_count(held - c->held);
    c->held = held;
}

void tcb_unlock(struct tcb *c)
{
    bool last = c->refs == 0;
    if (unlikely(last))
        tcb_drop_received(c);
    tcb_account(c);
    spin_unlock(&c->lock);
    if (unlikely(last))
        tcb_free(c);
}

void tcb_put_unlock(struct tcb *c)
{
    require(c->refs > 0);
    c->refs--;
    tcb_unlock(c);
}

void tcb_move_waiters(struct tcb *c, struct gqueue *wake)
{
    struct g *gp;
    while ((gp = gqueue_pop(&c->readers)) != NULL)
        gqueue_push(wake, gp);
    while ((gp = gqueue_pop(&c->writers)) != NULL)
        gqueue_push(wake, gp);
    if (c->wr_space) {
        gqueue_push(wake, c->wr_space);
        c->wr_space = NULL;
    }
}

void tcb_done(struct tcb *c, int err, struct gqueue *wake)
{
    if (c->state == TCP_CLOSED)
        return;
    if (c->state == TCP_SYN_RCVD && c->listener) {
        struct listener *l = c->listener;
        c->listener = NULL;
        tcp_listen_syn_done(l);
        tcp_listener_put(l);
    }
    c->state = TCP_CLOSED;
    c->err = (uint16_t)err;
    if (!err)
        c->flags |= TF_EOF;
    tcp_table_remove(c);
    tcp_timer_stop(c);
    tcp_free_queue(c->sndq_head);
    c->sndq_head = c->sndq_tail = c->snd_next = NULL;
    c->sndq_n = 0;
    tcp_free_queue(c->ooo);
    c->ooo = NULL;
    c->ooo_n = 0;
    c->flags &= (uint16_t)~TF_ACK_DUE;
    if (!(c->flags & TF_USER))
        tcb_drop_received(c);
    tcb_move_waiters(c, wake);
    require(c->refs > 0);
    c->refs--;
}

void tcb_abort(struct tcb *c, int err, int64_t now_ns, struct gqueue *wake)
{
    if (c->state >= TCP_SYN_RCVD)
        tcp_send_rst(c, now_ns);
    tcb_done(c, err, wake);
}

void tcb_set_mss(struct tcb *c, uint32_t path_mtu)
{
    uint32_t mss = c->peer_mss;
    if (path_mtu < IP4_HDR_LEN + TCP_HDR_LEN + TCP_MSS_MIN)
        path_mtu = IP4_HDR_LEN + TCP_HDR_LEN + TCP_MSS_MIN;
    mss = MIN(mss, path_mtu - IP4_HDR_LEN - TCP_HDR_LEN);
    mss = MAX(mss, (uint32_t)TCP_MSS_MIN);
    if (c->flags & TF_TS)
        mss -= TCP_TS_LEN;
    c->mss = (uint16_t)MIN(mss, (uint32_t)TCP_SEG_ROOM);
}

// Context: c->lock held; snd_una is the number after our SYN, rcv_nxt the one after theirs.
void tcb_established(struct tcb *c, int64_t now_ns)
{
    uint16_t mtu = 1500;
    uint32_t src_be = c->laddr_be;
    ipv4_route(c->raddr_be, NULL, &src_be, &mtu);
    tcb_set_mss(c, mtu);
    c->state = TCP_ESTABLISHED;
    c->snd_nxt = c->snd_end = c->snd_una;
    c->recover = c->snd_una;
    c->snd_wnd_max = MAX(c->snd_wnd_max, c->snd_wnd);
    cubic_init(c);
    c->rexmt_ns = TCP_NEVER;
    c->stall_ns = 0;
    c->last_rcv_ns = now_ns;
    // A SYN that had to be repeated without a round trip measured: RFC 6298, 5.7.
    if (c->backoff && !c->srtt)
        c->rto_ns = 3 * TCP_RTO_INIT;
    c->backoff = 0;
    if (c->keep_ms)
        tcp_timer_need(c, now_ns + c->keep_ms * TIME_MS);
}

bool tcb_queue_fin(struct tcb *c, int64_t now_ns)
{
    if (c->flags & TF_FIN_QUEUED)
        return true;
    if (c->snd_next) {
        c->sndq_tail->seg_flags |= SEG_FIN;
    } else {
        struct pbuf *p = pbuf_alloc();
        if (!p) {
            c->misc_ns = now_ns + TCP_DELACK;
            tcp_timer_need(c, c->misc_ns);
            return false;
        }
        p->next = NULL;
        p->seq = c->snd_end;
        p->seg_len = 0;
        p->seg_flags = SEG_FIN;
        if (c->sndq_tail)
            c->sndq_tail->next = p;
        else
            c->sndq_head = p;
        c->sndq_tail = c->snd_next = p;
        c->sndq_n++;
    }
    c->snd_end++;
    c->flags |= TF_FIN_QUEUED;
    return true;
}

void tcp_first_numbers(uint32_t laddr_be, uint16_t lport, uint32_t raddr_be, uint16_t rport,
                       int64_t now_ns, uint32_t *iss, uint32_t *ts_off)
{
    uint32_t in[3] = {laddr_be, raddr_be, (uint32_t)lport << 16 | rport};
    uint64_t h = siphash(isn_key, in, sizeof(in));
    *iss = (uint32_t)h + (uint32_t)(now_ns >> 12); // one more each 4 microseconds
    *ts_off = (uint32_t)(h >> 32);
}

uint64_t tcp_stat_sum(enum tcp_stat s)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < MAX_CORES; i++)
        n += atomic_load_explicit(&tcp_cores[i].stats[s], memory_order_relaxed);
    return n;
}

size_t tcp_tcb_count(void)
{
    return atomic_load_explicit(&tcbs_live, memory_order_relaxed);
}
