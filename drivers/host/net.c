// SPDX-License-Identifier: BSD-2-Clause
// A network card of the kernel as a process: a file that takes and gives a frame a call.
// `net=tap:x` on the command line opens the tap device x, `net=fd:n` takes over a socket of
// messages whose other end whoever started the process holds.
//
// Linux sends a signal when the file becomes ready; that is the card's interrupt, masked while the
// poller works. Frames are written where they are sent, without a lock: each call is one frame.
// What the file does not take waits in a ring, in order, until the poller or a timer tries again.

#include <string.h>

#include "arch/host/host.h"
#include "drivers/drivers.h"
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/entropy.h"
#include "kernel/heap.h"
#include "kernel/irq.h"
#include "kernel/print.h"
#include "kernel/spinlock.h"
#include "net/netdev.h"
#include "sched/netpoll.h"
#include "sched/timer.h"

enum {
    BUDGET = HOSTILE ? 2 : 64, // frames a poll takes
    WAITING_MAX = 256,         // frames kept for a file that is full
    MAX_PIECES = 18,           // of a frame
    RX_PAD = 2,                // makes the IP header aligned
    ETH_HDR = 14, MTU = 1500,
};
#define RX_ROOM (PBUF_SIZE - sizeof(struct pbuf) - RX_PAD)
#define RETRY_NS 1000000

// A frame that waits. Where it lies is written down at once: its sender may keep a reference and
// move p->data meanwhile.
struct waiting {
    struct pbuf *p;
    struct linux_iovec piece;
};

struct host_net {
    // Set once.
    struct netdev netdev;
    int fd;
    char name[8];
    struct poller poller;

    struct pbuf *spare;  // owner: whoever polls
    _Atomic(bool) link;

    struct spinlock lock; // LOCK_NETDEV_TX
    // guard: lock
    struct waiting ring[WAITING_MAX];
    unsigned first;
    bool retrying; // retry is armed
    _Atomic(uint32_t) waiting; // written under lock, read by anyone
    struct timer retry;
};

static void add(_Atomic(uint64_t) *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

// Receiving

// Hands one frame to the stack; false: there is none, or no memory to read it to.
static bool receive(struct host_net *net)
{
    struct netdev *dev = &net->netdev;
    struct pbuf *p = net->spare ? net->spare : pbuf_alloc();
    net->spare = NULL;
    if (!p)
        return false;
    uint8_t *to = pbuf_start(p) + RX_PAD;
    long n = linux_sys(SYS_READ, net->fd, to, RX_ROOM);
    if (n < ETH_HDR) {
        net->spare = p;
        // A message of no bytes, or another error than "none there": the other end has gone.
        if (n != -LINUX_EAGAIN && n != -LINUX_EINTR)
            atomic_store_explicit(&net->link, false, memory_order_relaxed);
        return false;
    }
    p->data = to;
    p->len = p->total = (uint32_t)n;
    add(&dev->rx_packets, 1);
    add(&dev->rx_bytes, (uint64_t)n);
    dev->input(dev, p);
    return true;
}

static void card_irq(void *arg)
{
    struct host_net *net = arg;
    host_file_interrupts(net->fd, false);
    netpoll_mark(&net->poller);
}

// Sending

// False: the file is full.
static bool write_pieces(struct host_net *net, const struct linux_iovec *piece, int n)
{
    long done = linux_sys(SYS_WRITEV, net->fd, piece, n);
    return done != -LINUX_EAGAIN && done != -LINUX_ENOBUFS;
}

static bool write_frame(struct host_net *net, struct pbuf *p)
{
    struct linux_iovec piece[MAX_PIECES];
    int n = 0;
    for (struct pbuf *c = p; c && n < MAX_PIECES; c = c->chain)
        piece[n++] = (struct linux_iovec){ .base = c->data, .len = c->len };
    return write_pieces(net, piece, n);
}

static void arm_retry(struct host_net *net);

static void write_waiting(struct host_net *net)
{
    struct pbuf *sent[BUDGET];
    unsigned n = 0;
    spin_lock(&net->lock);
    uint32_t waiting = atomic_load_explicit(&net->waiting, memory_order_relaxed);
    while (n < BUDGET && n < waiting && write_pieces(net, &net->ring[net->first].piece, 1)) {
        sent[n++] = net->ring[net->first].p;
        net->first = (net->first + 1) % WAITING_MAX;
    }
    atomic_store_explicit(&net->waiting, waiting - n, memory_order_relaxed);
    if (waiting - n > 0 && !net->retrying)
        arm_retry(net);
    spin_unlock(&net->lock);
    for (unsigned i = 0; i < n; i++)
        pbuf_free(sent[i]);
}

// Context: g0, a timer's function.
static void retry(void *arg)
{
    struct host_net *net = arg;
    spin_lock(&net->lock);
    net->retrying = false;
    spin_unlock(&net->lock);
    write_waiting(net);
}

// Context: net->lock held.
static void arm_retry(struct host_net *net)
{
    net->retrying = true;
    timer_arm(&net->retry, clock_mono_ns() + RETRY_NS, retry, net);
}

// A frame of several pieces is not kept: they may change.
static bool keep(struct host_net *net, struct pbuf *p)
{
    bool kept = false;
    spin_lock(&net->lock);
    uint32_t waiting = atomic_load_explicit(&net->waiting, memory_order_relaxed);
    if (waiting < WAITING_MAX && !p->chain) {
        net->ring[(net->first + waiting) % WAITING_MAX] =
            (struct waiting){ p, { .base = p->data, .len = p->len } };
        atomic_store_explicit(&net->waiting, waiting + 1, memory_order_relaxed);
        kept = true;
        if (!net->retrying)
            arm_retry(net);
    }
    spin_unlock(&net->lock);
    return kept;
}

static bool transmit(struct netdev *dev, struct pbuf *p, bool more)
{
    struct host_net *net = dev->driver;
    uint32_t bytes = p->total;
    bool sent = atomic_load_explicit(&net->waiting, memory_order_relaxed) == 0 &&
                write_frame(net, p);
    if (!sent && !keep(net, p)) {
        add(&dev->tx_dropped, 1);
        pbuf_free(p);
        return false;
    }
    add(&dev->tx_packets, 1);
    add(&dev->tx_bytes, bytes);
    if (sent)
        pbuf_free(p);
    return true;
}

static bool link_up(struct netdev *dev)
{
    struct host_net *net = dev->driver;
    return atomic_load_explicit(&net->link, memory_order_relaxed);
}

static bool poll(struct poller *pl)
{
    struct host_net *net = pl->ctx;
    unsigned n = 0;
    if (atomic_load_explicit(&net->waiting, memory_order_relaxed) > 0)
        write_waiting(net);
    while (n < BUDGET && receive(net))
        n++;
    bool more = n == BUDGET;
    if (!more) {
        host_file_interrupts(net->fd, true);
        // What came before that has sent no signal.
        more = receive(net);
    }
    if (n > 0 || more)
        net->netdev.input_done(&net->netdev);
    return more;
}

// Starting

static int open_tap(const char *name)
{
    enum { IFF_TAP = 2, IFF_NO_PI = 0x1000, TUNSETIFF = 0x400454ca };
    struct { char name[16]; uint16_t flags; char rest[22]; } request = {
        .flags = IFF_TAP | IFF_NO_PI,
    };
    size_t len = strlen(name);
    if (len >= sizeof request.name)
        return -1;
    memcpy(request.name, name, len);
    int fd = (int)linux_sys(SYS_OPEN, "/dev/net/tun", LINUX_O_RDWR, 0);
    if (fd < 0 || linux_sys(SYS_IOCTL, fd, TUNSETIFF, &request) == 0)
        return fd;
    linux_sys(SYS_CLOSE, fd);
    return -1;
}

static int open_file(const char *option)
{
    if (strncmp(option, "tap:", 4) == 0)
        return open_tap(option + 4);
    if (strncmp(option, "fd:", 3) != 0)
        return -1;
    int fd = 0;
    const char *s = option + 3;
    for (; *s >= '0' && *s <= '9' && fd < 100000; s++)
        fd = fd * 10 + (*s - '0');
    return *s || s == option + 3 ? -1 : fd;
}

static bool start(struct host_net *net, unsigned index, const char *option)
{
    struct netdev *nd = &net->netdev;
    net->fd = open_file(option);
    if (net->fd < 0)
        return false;
    ksnprintf(net->name, sizeof net->name, "eth%u", index);
    spin_init(&net->lock, LOCK_NETDEV_TX);
    net->poller = (struct poller){ .poll = poll, .ctx = net, .name = net->name };
    entropy_get(nd->mac, 6);
    nd->mac[0] = (uint8_t)((nd->mac[0] & 0xfc) | 2); // ours alone, a single station's
    nd->name = net->name;
    nd->mtu = MTU;
    nd->queues = 1;
    nd->driver = net;
    nd->transmit = transmit;
    nd->link_up = link_up;
    atomic_store_explicit(&net->link, true, memory_order_relaxed);
    int vector = irq_alloc(card_irq, net, net->name);
    if (vector < 0 || !host_file_route(net->fd, vector, 0))
        return false;
    klog("%s: %s, %02x:%02x:%02x:%02x:%02x:%02x", net->name, option, nd->mac[0], nd->mac[1],
         nd->mac[2], nd->mac[3], nd->mac[4], nd->mac[5]);
    // As for other cards: the first poll turns interrupts on.
    netdev_register(nd);
    netpoll_register(&net->poller);
    netpoll_mark_wake(&net->poller);
    return true;
}

void drivers_host_probe(void)
{
    const char *option;
    unsigned count = 0;
    for (unsigned n = 0; (option = cmdline_nth("net", n)) != NULL; n++) {
        struct host_net *net = heap_zalloc(sizeof *net);
        if (net && start(net, count, option))
            count++;
        else
            kprintf("net=%s: there is no such network card\n", option);
    }
}
