// SPDX-License-Identifier: BSD-2-Clause
// What the network stack knows of a network device, and what a driver knows of the stack. A
// driver fills a struct netdev and calls netdev_register; from then on it hands received frames
// to dev->input and the stack hands frames to dev->transmit. Devices that wrap a device (loss,
// capture) implement the same interface.
#ifndef NET_NETDEV_H
#define NET_NETDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "net/pbuf.h"

enum netdev_features {
    NETDEV_TX_CSUM = 1, // completes TCP and UDP checksums (PBUF_CSUM_PARTIAL)
    NETDEV_RX_CSUM = 2, // may set PBUF_CSUM_OK
};

struct netdev {
    const char *name;   // "eth0"
    uint8_t mac[6];
    uint16_t mtu;       // IP bytes in a frame, 1500 usually
    uint32_t features;
    uint32_t queues;    // pairs of receive and transmit queues; at least 1
    void *driver;       // the driver's own

    // Driver: sends one Ethernet frame. Takes a reference's ownership of p (frees it when the
    // device is done, or at once when it fails). `more` says that another call follows at once,
    // so the doorbell may wait for it. false: the queue was full or the link is down and p was
    // dropped; TCP will see it as loss. Frames with the same p->queue, but 0, keep their order,
    // also if they come from several cores. Context: goroutine or g0; takes the queue's own lock
    // only.
    bool (*transmit)(struct netdev *dev, struct pbuf *p, bool more);
    // Driver: rings the doorbell for anything held back by `more`. May be NULL.
    void (*flush)(struct netdev *dev);
    // Driver: whether the wire is there.
    bool (*link_up)(struct netdev *dev);

    // Stack (set by netdev_register): takes a received frame, data at the Ethernet header,
    // ownership with it. Context: g0 with a P (a poll function).
    void (*input)(struct netdev *dev, struct pbuf *p);
    // Stack: called by the driver at the end of a batch of input calls, so that delayed answers
    // go out together.
    void (*input_done)(struct netdev *dev);

    struct netif *netif; // the stack's own
    struct netdev *next;

    // Counters, relaxed.
    _Atomic(uint64_t) rx_packets, rx_bytes, rx_dropped;
    _Atomic(uint64_t) tx_packets, tx_bytes, tx_dropped;
};

// netif.c: brings the interface into being; configuration (ip=… or DHCP) starts by itself in a
// goroutine. Context: boot or a goroutine, after the scheduler is up.
void netdev_register(struct netdev *dev);

#endif
