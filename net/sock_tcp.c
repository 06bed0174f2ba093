// SPDX-License-Identifier: BSD-2-Clause
// TCP as the application calls it: dial, read, write, close.
//
// A call takes the connection's lock, looks, and parks if it must wait; whoever changes what it
// waits for takes it off its queue and readies it, and it looks again. While it is under way the
// call holds a reference. User memory is only touched without the lock: a reader detaches buffers
// (or takes a reference on the one it empties in part) and copies after unlocking, a writer
// copies before it locks.
//
// One write at a time: the one under way is marked TF_WR_BUSY, the others wait in c->writers; it
// alone waits for room, in c->wr_space.
#include <errno.h>
#include <string.h>

#include "kernel/clock.h"
#include "net/tcp.h"

enum {
    SMALL_WRITE = 1400, // copied before anything is known of the connection
    CHUNK_SEGS = 16,    // copied and queued at a time
    FULL_SEGS = 4,      // in the send queue when memory is full
};

// Context: c->lock held, not held while waiting, held again on return.
static void wait_on(struct tcb *c, struct gqueue *q, int64_t deadline_ns, enum wait_reason reason)
{
    gqueue_push(q, getg());
    tcb_account(c);
    if (deadline_ns)
        tcp_timer_need(c, deadline_ns);
    goparkunlock(&c->lock, reason);
    spin_lock(&c->lock);
}

static bool passed(int64_t deadline_ns)
{
    return deadline_ns && clock_mono_ns() >= deadline_ns;
}

// 1: there is data; 0: end of stream; or -errno.
static int wait_readable(struct tcb *c)
{
    for (;;) {
        if (!(c->flags & TF_USER))
            return -EBADF;
        if (passed(c->rd_deadline_ns))
            return -ETIMEDOUT;
        if (c->rcvq_head)
            return 1;
        if (c->flags & TF_EOF)
            return 0;
        if (c->state == TCP_CLOSED)
            return c->err ? -c->err : 0;
        wait_on(c, &c->readers, c->rd_deadline_ns, WAIT_NET_READ);
    }
}

// What a reader takes with it out of the lock.
struct taken {
    struct pbuf *whole;      // buffers of its own
    struct pbuf *part;       // one that stays queued, a reference
    const uint8_t *part_at;
    uint32_t part_len;
};

static size_t take(struct tcb *c, size_t n, struct taken *t)
{
    struct pbuf *p = c->rcvq_head, *last = NULL;
    size_t got = 0;
    while (p && p->len <= n - got) {
        got += p->len;
        last = p;
        p = p->next;
        c->rcvq_n--;
    }
    t->whole = last ? c->rcvq_head : NULL;
    if (last)
        last->next = NULL;
    t->part = NULL;
    if (p && got < n) {
        t->part = p;
        t->part_at = p->data;
        t->part_len = (uint32_t)(n - got);
        pbuf_ref(p);
        pbuf_drop_front(p, t->part_len);
        got = n;
    }
    c->rcvq_head = p;
    if (!p)
        c->rcvq_tail = NULL;
    c->rcv_bytes -= (uint32_t)got;
    return got;
}

static void copy_out(uint8_t *dst, struct taken *t)
{
    struct pbuf *p = t->whole;
    while (p) {
        struct pbuf *next = p->next;
        memcpy(dst, p->data, p->len);
        dst += p->len;
        pbuf_free(p);
        p = next;
    }
    if (t->part) {
        memcpy(dst, t->part_at, t->part_len);
        pbuf_free(t->part);
    }
}

static ssize_t tcp_read(struct conn *conn, void *buf, size_t n)
{
    struct tcb *c = (struct tcb *)conn;
    struct taken t;
    struct g *next = NULL;
    if (n == 0)
        return 0;
    spin_lock(&c->lock);
    c->refs++;
    ssize_t got = wait_readable(c);
    if (got > 0) {
        got = (ssize_t)take(c, n, &t);
        if (tcp_window_update_due(c))
            tcp_send_ack(c, clock_mono_ns());
    } else {
        t.whole = t.part = NULL;
    }
    // A wake-up that this call has not made use of is somebody else's.
    if (c->rcvq_head)
        next = gqueue_pop(&c->readers);
    tcb_put_unlock(c);
    if (next)
        goready(next);
    copy_out(buf, &t);
    return got;
}

// Segments on their way into the send queue.
struct batch {
    struct pbuf *head, *tail;
    uint32_t bytes;
};

// Copies n bytes into buffers of at most seg each; fewer if memory runs out.
static void fill(struct batch *b, const uint8_t *src, uint32_t n, uint32_t seg)
{
    b->head = b->tail = NULL;
    b->bytes = 0;
    while (b->bytes < n) {
        struct pbuf *p = pbuf_alloc();
        if (!p)
            return;
        p->seg_len = MIN(seg, n - b->bytes);
        p->seg_flags = 0;
        p->next = NULL;
        memcpy(seg_payload(p), src + b->bytes, p->seg_len);
        b->bytes += p->seg_len;
        if (b->tail)
            b->tail->next = p;
        else
            b->head = p;
        b->tail = p;
    }
}

// Moves the segments to the end of the send queue. A small one joins the last, if that has not been
// sent and has room.
static void append(struct tcb *c, struct batch *b, bool push)
{
    struct pbuf *p;
    while ((p = b->head) != NULL) {
        struct pbuf *tail = c->sndq_tail;
        b->head = p->next;
        p->next = NULL;
        p->seq = c->snd_end;
        c->snd_end += p->seg_len;
        if (c->snd_next && tail->seg_len + p->seg_len <= c->mss && p->seg_len <= TCP_COPY_SMALL) {
            memcpy(seg_payload(tail) + tail->seg_len, seg_payload(p), p->seg_len);
            tail->seg_len += p->seg_len;
            pbuf_free(p);
            continue;
        }
        if (tail)
            tail->next = p;
        else
            c->sndq_head = p;
        c->sndq_tail = p;
        c->sndq_n++;
        if (!c->snd_next)
            c->snd_next = p;
    }
    b->tail = NULL;
    b->bytes = 0;
    if (push)
        c->sndq_tail->seg_flags |= SEG_PSH;
}

static uint32_t room(const struct tcb *c)
{
    uint32_t used = c->snd_end - c->snd_una, limit = tcp_snd_limit(c);
    if (tcp_pressed(TCP_MEM_FULL))
        limit = FULL_SEGS * c->mss;
    return used < limit && c->sndq_n < TCP_SNDQ_MAX ? limit - used : 0;
}

// Waits for this call's turn and for room. 0 or -errno.
static int wait_writable(struct tcb *c, bool *mine)
{
    for (;;) {
        if (!(c->flags & TF_USER))
            return -EBADF;
        if (c->state == TCP_CLOSED && c->err)
            return -c->err;
        if (c->state == TCP_CLOSED || (c->flags & TF_SHUT))
            return -EPIPE;
        if (passed(c->wr_deadline_ns))
            return -ETIMEDOUT;
        if (!*mine && (c->flags & TF_WR_BUSY)) {
            wait_on(c, &c->writers, c->wr_deadline_ns, WAIT_NET_WRITE);
            continue;
        }
        if (room(c))
            return 0;
        *mine = true;
        c->flags |= TF_WR_BUSY;
        c->wr_space = getg();
        tcb_account(c);
        if (c->wr_deadline_ns)
            tcp_timer_need(c, c->wr_deadline_ns);
        goparkunlock(&c->lock, WAIT_NET_WRITE);
        spin_lock(&c->lock);
    }
}

static ssize_t tcp_write(struct conn *conn, const void *buf, size_t n)
{
    struct tcb *c = (struct tcb *)conn;
    const uint8_t *src = buf;
    struct batch b;
    size_t done = 0;
    bool mine = false;
    if (n == 0)
        return 0;
    if (n <= SMALL_WRITE)
        fill(&b, src, (uint32_t)n, SMALL_WRITE);
    else
        b = (struct batch){0};
    spin_lock(&c->lock);
    c->refs++;
    int err;
    while ((err = wait_writable(c, &mine)) == 0) {
        if (b.bytes) {
            done += b.bytes;
            append(c, &b, done == n);
            tcp_output(c, clock_mono_ns());
            if (done == n)
                break;
            continue;
        }
        uint32_t seg = c->mss, segs = MIN(MAX(room(c) / seg, 1u), (uint32_t)CHUNK_SEGS);
        mine = true;
        c->flags |= TF_WR_BUSY;
        tcb_account(c);
        spin_unlock(&c->lock);
        fill(&b, src + done, (uint32_t)MIN(n - done, (size_t)segs * seg), seg);
        spin_lock(&c->lock);
        if (!b.bytes) {
            err = -ENOBUFS;
            break;
        }
    }
    struct g *next = NULL;
    if (mine)
        c->flags &= (uint16_t)~TF_WR_BUSY;
    if (!(c->flags & TF_WR_BUSY))
        next = gqueue_pop(&c->writers);
    tcb_put_unlock(c);
    if (next)
        goready(next);
    if (err)
        tcp_free_queue(b.head);
    return err ? err : (ssize_t)n;
}

// The application writes no more. Context: c->lock held.
static void shut(struct tcb *c, struct gqueue *wake)
{
    int64_t now_ns = clock_mono_ns();
    struct g *gp;
    if (c->flags & TF_SHUT)
        return;
    c->flags |= TF_SHUT;
    c->state = c->state == TCP_ESTABLISHED ? TCP_FIN_WAIT_1 : TCP_LAST_ACK;
    if (tcb_queue_fin(c, now_ns))
        tcp_output(c, now_ns);
    while ((gp = gqueue_pop(&c->writers)) != NULL)
        gqueue_push(wake, gp);
    if (c->wr_space)
        gqueue_push(wake, c->wr_space);
    c->wr_space = NULL;
}

static int tcp_close_write(struct conn *conn)
{
    struct tcb *c = (struct tcb *)conn;
    struct gqueue wake = {0};
    int err = 0;
    spin_lock(&c->lock);
    if (c->state == TCP_CLOSED && !(c->flags & TF_SHUT))
        err = c->err ? -c->err : -EPIPE;
    else if (c->state != TCP_CLOSED)
        shut(c, &wake);
    tcb_unlock(c);
    tcp_wake(&wake);
    return err;
}

static int tcp_close(struct conn *conn)
{
    struct tcb *c = (struct tcb *)conn;
    struct gqueue wake = {0};
    spin_lock(&c->lock);
    bool unread = c->rcv_bytes != 0;
    c->flags &= (uint16_t)~TF_USER;
    tcb_move_waiters(c, &wake);
    tcb_drop_received(c);
    if (c->state == TCP_CLOSED) {
        // only memory is left
    } else if (unread) {
        tcb_abort(c, ECONNRESET, clock_mono_ns(), &wake); // the peer must not think it was read
    } else {
        shut(c, &wake);
        if (c->state == TCP_FIN_WAIT_2) {
            c->misc_ns = clock_mono_ns() + TCP_MSL2;
            tcp_timer_need(c, c->misc_ns);
        }
    }
    tcb_put_unlock(c);
    tcp_wake(&wake);
    return 0;
}

static void tcp_set_deadline(struct conn *conn, unsigned which, int64_t when_ns)
{
    struct tcb *c = (struct tcb *)conn;
    struct gqueue wake = {0};
    struct g *gp;
    spin_lock(&c->lock);
    if (which & NET_DEADLINE_READ) {
        c->rd_deadline_ns = when_ns;
        while ((gp = gqueue_pop(&c->readers)) != NULL)
            gqueue_push(&wake, gp);
    }
    if (which & NET_DEADLINE_WRITE) {
        c->wr_deadline_ns = when_ns;
        while ((gp = gqueue_pop(&c->writers)) != NULL)
            gqueue_push(&wake, gp);
        if (c->wr_space)
            gqueue_push(&wake, c->wr_space);
        c->wr_space = NULL;
    }
    tcb_unlock(c);
    tcp_wake(&wake);
}

static void tcp_addrs(struct conn *conn, struct net_addr *local, struct net_addr *remote)
{
    struct tcb *c = (struct tcb *)conn;
    if (local)
        *local = (struct net_addr){c->laddr_be, c->lport};
    if (remote)
        *remote = (struct net_addr){c->raddr_be, c->rport};
}

static int tcp_set_option(struct conn *conn, enum conn_option opt, int64_t value)
{
    struct tcb *c = (struct tcb *)conn;
    int64_t now_ns = clock_mono_ns();
    int err = 0;
    spin_lock(&c->lock);
    if (opt == CONN_KEEPALIVE_NS && value >= 0 && value / TIME_MS <= INT32_MAX) {
        c->keep_ms = (uint32_t)((value + TIME_MS - 1) / TIME_MS);
        if (c->keep_ms && tcp_synchronized(c))
            tcp_timer_need(c, MAX(c->last_rcv_ns + c->keep_ms * TIME_MS, now_ns));
    } else if (opt == CONN_NODELAY) {
        if (value)
            c->flags &= (uint16_t)~TF_NAGLE;
        else
            c->flags |= TF_NAGLE;
        if (c->snd_next)
            tcp_output(c, now_ns);
    } else {
        err = -EINVAL;
    }
    tcb_unlock(c);
    return err;
}

const struct conn_ops tcp_conn_ops = {
    .read = tcp_read,
    .write = tcp_write,
    .close_write = tcp_close_write,
    .close = tcp_close,
    .set_deadline = tcp_set_deadline,
    .addrs = tcp_addrs,
    .set_option = tcp_set_option,
};

// Sends the SYN and waits for the outcome. Consumes the handle's reference on failure. 0 or -errno.
static int connect(struct tcb *c, int64_t deadline_ns)
{
    struct gqueue wake = {0};
    int64_t now_ns = clock_mono_ns();
    uint32_t iss;
    spin_lock(&c->lock);
    tcp_first_numbers(c->laddr_be, c->lport, c->raddr_be, c->rport, now_ns, &iss, &c->ts_off);
    c->snd_una = iss;
    c->snd_nxt = c->snd_end = iss + 1;
    c->state = TCP_SYN_SENT;
    // A neighbour known to be dead: no need to wait until that has been found out once more.
    if (tcp_send_syn(c, now_ns) == -EHOSTUNREACH)
        tcb_done(c, EHOSTUNREACH, &wake);
    if (c->state != TCP_CLOSED) {
        c->rexmt_ns = now_ns + c->rto_ns;
        tcp_timer_need(c, c->rexmt_ns);
    }
    c->wr_deadline_ns = deadline_ns;
    while (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RCVD) {
        if (passed(deadline_ns))
            tcb_abort(c, ETIMEDOUT, clock_mono_ns(), &wake);
        else
            wait_on(c, &c->writers, deadline_ns, WAIT_DIAL);
    }
    c->wr_deadline_ns = 0;
    // Whoever has sent data and an end by now has been connected all the same.
    if (c->state != TCP_CLOSED || !c->err) {
        spin_unlock(&c->lock);
        return 0;
    }
    int err = -c->err;
    c->flags &= (uint16_t)~TF_USER;
    tcb_put_unlock(c);
    return err;
}

struct conn *tcp_dial(const struct net_addr *local, const struct net_addr *remote,
                      int64_t deadline_ns, int *err)
{
    uint32_t src_be = local ? local->addr_be : 0;
    uint32_t dst_be = remote->addr_be ? remote->addr_be : IP4_BE(127, 0, 0, 1);
    uint16_t lport = local ? local->port : 0;
    *err = -EADDRNOTAVAIL;
    if (!remote->port)
        return NULL;
    *err = -ENETUNREACH;
    if (ip4_multicast(dst_be) || ipv4_is_broadcast(dst_be))
        return NULL;
    *err = ipv4_route_wait(dst_be, &src_be, NULL, deadline_ns ? deadline_ns : INT64_MAX);
    if (*err)
        return NULL;
    struct tcb *c = tcb_new(src_be, lport, dst_be, remote->port, 0);
    if (!c) {
        *err = -ENOMEM;
        return NULL;
    }
    c->flags = tcp_offer | TF_USER;
    c->refs = 2; // the handle's and the table's
    if (!lport) {
        *err = tcp_port_choose(c);
    } else {
        c->hash = tcp_hash(src_be, lport, dst_be, remote->port);
        *err = tcp_table_insert(c) ? 0 : -EADDRINUSE;
    }
    if (*err) {
        spin_lock(&c->lock);
        c->refs = 1;
        tcb_put_unlock(c);
        return NULL;
    }
    *err = connect(c, deadline_ns);
    return *err ? NULL : &c->conn;
}
