// SPDX-License-Identifier: BSD-2-Clause
// The loopback interface: what is sent to 127.0.0.0/8 or to one of our own addresses comes back
// by a queue that is polled like a device's, so that a sender never runs the receiver's code on
// its own stack.
#include <string.h>

#include "net/netif.h"
#include "sched/netpoll.h"

enum {
    QUEUE_MAX = 2048, // frames; what is more is lost, as on any wire
    BUDGET = 64,
};

static struct spinlock queue_lock = SPINLOCK_INIT(LOCK_NETDEV_TX);
// guard: queue_lock
static struct pbuf *queue_head, *queue_tail;
static unsigned queue_len;

static struct poller poller;

// The receiver writes into what it gets and keeps it; a buffer that its sender keeps too must be
// doubled.
static struct pbuf *own_copy(struct pbuf *p)
{
    struct pbuf *c = pbuf_alloc();
    if (c && p->total <= pbuf_tailroom(c) && pbuf_copy_out(p, 0, c->data, p->total)) {
        c->len = c->total = p->total;
        c->flags = p->flags;
        pbuf_free(p);
        return c;
    }
    if (c)
        pbuf_free(c);
    pbuf_free(p);
    return NULL;
}

static bool loopback_transmit(struct netdev *dev, struct pbuf *p, bool more)
{
    (void)more;
    uint32_t bytes = p->total;
    if (atomic_load_explicit(&p->refs, memory_order_acquire) != 1 || /* pairs: PBUF-REFS */
        p->chain)
        p = own_copy(p);
    if (p) {
        // Nothing can go wrong on the way, so nobody need compute the checksum.
        p->flags = PBUF_CSUM_OK;
        p->next = NULL;
        spin_lock(&queue_lock);
        bool room = queue_len < QUEUE_MAX;
        if (room) {
            if (queue_tail)
                queue_tail->next = p;
            else
                queue_head = p;
            queue_tail = p;
            queue_len++;
        }
        spin_unlock(&queue_lock);
        if (room) {
            atomic_fetch_add_explicit(&dev->tx_packets, 1, memory_order_relaxed);
            atomic_fetch_add_explicit(&dev->tx_bytes, bytes, memory_order_relaxed);
            netpoll_mark_wake(&poller);
            return true;
        }
        pbuf_free(p);
    }
    atomic_fetch_add_explicit(&dev->tx_dropped, 1, memory_order_relaxed);
    return false;
}

static bool loopback_poll(struct poller *pl)
{
    struct netdev *dev = pl->ctx;
    spin_lock(&queue_lock);
    struct pbuf *p = queue_head;
    struct pbuf *last = p;
    unsigned n = p ? 1 : 0;
    while (last && last->next && n < BUDGET) {
        last = last->next;
        n++;
    }
    if (last) {
        queue_head = last->next;
        if (!queue_head)
            queue_tail = NULL;
        last->next = NULL;
        queue_len -= n;
    }
    bool left = queue_head != NULL;
    spin_unlock(&queue_lock);
    while (p) {
        struct pbuf *next = p->next;
        p->next = NULL;
        atomic_fetch_add_explicit(&dev->rx_packets, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&dev->rx_bytes, p->total, memory_order_relaxed);
        dev->input(dev, p);
        p = next;
    }
    dev->input_done(dev);
    return left;
}

static bool loopback_link_up(struct netdev *dev)
{
    (void)dev;
    return true;
}

struct netdev loopback_dev = {
    .name = "lo",
    .mtu = 1500,
    .features = NETDEV_TX_CSUM | NETDEV_RX_CSUM,
    .queues = 1,
    .transmit = loopback_transmit,
    .link_up = loopback_link_up,
};

static struct poller poller = {
    .poll = loopback_poll,
    .ctx = &loopback_dev,
    .name = "lo",
    .inside = true,
};

void loopback_init(void)
{
    netpoll_register(&poller);
    netdev_register(&loopback_dev);
}
