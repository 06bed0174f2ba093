// SPDX-License-Identifier: BSD-2-Clause
// The network card's own affairs: what its three files share.
#ifndef DRIVERS_VIRTIO_NET_H
#define DRIVERS_VIRTIO_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/virtio.h"
#include "kernel/spinlock.h"
#include "net/netdev.h"
#include "sched/netpoll.h"
#include "sched/timer.h"

#define VIRTIO_NET_F_CSUM (1ull << 0)
#define VIRTIO_NET_F_GUEST_CSUM (1ull << 1)
#define VIRTIO_NET_F_MTU (1ull << 3)
#define VIRTIO_NET_F_MAC (1ull << 5)
#define VIRTIO_NET_F_MRG_RXBUF (1ull << 15)
#define VIRTIO_NET_F_STATUS (1ull << 16)
#define VIRTIO_NET_F_CTRL_VQ (1ull << 17)
#define VIRTIO_NET_F_MQ (1ull << 22)

// In front of each frame, both ways.
struct virtio_net_hdr {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len, gso_size;
    uint16_t csum_start, csum_offset;
    uint16_t num_buffers;
};
_Static_assert(sizeof(struct virtio_net_hdr) == 12, "virtio_net_hdr is 12 bytes");

enum { NET_HDR_NEEDS_CSUM = 1, NET_HDR_DATA_VALID = 2 };

#define ETH_HDR 14u
#define NET_RING 256u
#define NET_BUDGET (HOSTILE ? 2u : 64u)   // frames a poll takes
#define NET_BACKLOG (HOSTILE ? 4u : 768u) // frames kept for a full transmit ring
#define NET_MTU 1500u                     // a frame of that size fits one buffer on every layer

struct virtio_net;

struct net_rx {
    struct virtq q;      // owner: whoever polls
    unsigned target;     // buffers to keep posted; grows
    unsigned target_max;
    unsigned reserve;    // with fewer, frames are dropped and their buffers posted again
    struct poller poller;
};

// A frame waiting for room in the ring. Where it lies is written down at once: its sender may
// keep a reference and move p->data meanwhile.
struct net_waiting {
    struct pbuf *p;
    uint64_t addr;
    uint32_t len;
};

struct net_tx {
    struct spinlock lock; // LOCK_NETDEV_TX
    // guard: lock
    bool reaping;         // reaper is armed
    int64_t reap_ns;      // its period
    uint16_t reap_seen;   // q.used_idx when it last ran
    uint32_t first, waiting; // ring of frames in backlog
    uint64_t packets, bytes, dropped; // not yet in the netdev's counters
    struct virtq q;
    struct net_waiting *backlog;
    // Others may look.
    _Atomic(bool) untold; // legal to set late; must be set while a doorbell is held back by `more`
    struct timer reaper;
};

struct net_pair {
    _Alignas(CACHE_LINE) struct net_rx rx;
    _Alignas(CACHE_LINE) struct net_tx tx;
    struct virtio_net *net;
};

struct virtio_net {
    // Set once.
    struct netdev netdev;
    struct virtio_dev *dev;
    unsigned pairs; // in use
    struct net_pair *pair;
    struct virtio_irq *irqs;
    struct virtq control; // with several pairs; used while probing
    char name[8];

    _Atomic(bool) link;           // written by who polls pair 0
    _Atomic(bool) config_changed; // legal to set at any time
};

// virtio_net_rx.c

bool net_rx_start(struct net_pair *pair, unsigned index, int irq);
// Posts buffers up to the target; true if there is at least the reserve.
bool net_rx_fill(struct net_pair *pair);
// Hands up to `budget` received frames to the stack; returns how many. Context: the pair's poller.
unsigned net_rx(struct net_pair *pair, unsigned budget);

// virtio_net_tx.c

bool net_tx_start(struct net_pair *pair, unsigned index, int irq);
bool net_transmit(struct netdev *dev, struct pbuf *p, bool more);
void net_flush(struct netdev *dev);
// Takes back what has been sent and puts waiting frames in its place. Context: goroutine or g0.
void net_tx_service(struct net_pair *pair);

#endif
