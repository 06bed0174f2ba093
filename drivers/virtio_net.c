// SPDX-License-Identifier: BSD-2-Clause
// The virtio network card: a netdev made of pairs of a receive and a transmit queue, as many as
// there are cores, queues and interrupt vectors, whichever is least. Each pair has a poller; its
// interrupt is aimed at the core of the same number and does nothing but mark it.
//
// The path of a received frame: device -> used ring -> interrupt (rx_irq: mark) -> scheduler of
// some core -> netpoll -> net_poll -> net_rx -> dev->input. While a poller is marked its queue
// does not interrupt: net_poll turns interrupts on again when the queue is empty, looks once
// more, and asks to be called again if something came in between (VIRTQ-IRQ).
//
// No offloads of segmentation: a frame fits a buffer. Checksums are left to the device where it
// can.

#include "drivers/virtio_net.h"

#include <string.h>

#include <heddle/time.h>

#include "drivers/drivers.h"
#include "kernel/clock.h"
#include "kernel/entropy.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/print.h"
#include "sched/sched.h"

enum net_config { CONFIG_MAC = 0, CONFIG_STATUS = 6, CONFIG_MAX_PAIRS = 8, CONFIG_MTU = 10 };
enum { STATUS_LINK_UP = 1, CONTROL_MQ = 4, CONTROL_MQ_PAIRS = 0, CONTROL_OK = 0 };

#define CONTROL_RING 16u
#define CONTROL_LIMIT_NS 1000000000ll
#define CONTROL_PAUSE_NS 50000ll
#define MTU_LEAST 576u

static void read_link(struct virtio_net *net)
{
    bool up = true;
    if (virtio_has(net->dev, VIRTIO_NET_F_STATUS))
        up = virtio_config(net->dev, CONFIG_STATUS, 2) & STATUS_LINK_UP;
    if (atomic_exchange_explicit(&net->link, up, memory_order_relaxed) != up)
        klog("%s: link is %s", net->name, up ? "up" : "down");
}

static bool link_up(struct netdev *dev)
{
    struct virtio_net *net = container_of(dev, struct virtio_net, netdev);
    return atomic_load_explicit(&net->link, memory_order_relaxed) && !virtio_failed(net->dev);
}

static bool net_poll(struct poller *pl)
{
    struct net_pair *pair = pl->ctx;
    struct virtio_net *net = pair->net;
    if (unlikely(virtio_failed(net->dev))) {
        net_tx_service(pair);
        return false;
    }
    if (unlikely(atomic_load_explicit(&net->config_changed, memory_order_relaxed)) &&
        pair == &net->pair[0]) {
        atomic_store_explicit(&net->config_changed, false, memory_order_relaxed);
        read_link(net);
    }
    // Sent buffers first: what arrives may ask for one of them to be sent again.
    net_tx_service(pair);
    unsigned n = net_rx(pair, NET_BUDGET);
    if (n) {
        net_rx_fill(pair);
        virtq_notify(&pair->rx.q);
        net->netdev.input_done(&net->netdev);
    }
    return n == NET_BUDGET || virtq_irq_on(&pair->rx.q, 1);
}

// Context: interrupt handler.
static void pair_irq(void *arg)
{
    struct net_pair *pair = arg;
    virtq_irq_mask(&pair->rx.q);
    netpoll_mark(&pair->rx.poller);
}

// Context: interrupt handler.
static void config_irq(void *arg)
{
    struct virtio_net *net = arg;
    atomic_store_explicit(&net->config_changed, true, memory_order_relaxed);
    netpoll_mark(&net->pair[0].rx.poller);
}

// One command to the device, waited for. Context: probing; nobody else uses the control queue.
static bool control(struct virtio_net *net, uint8_t class, uint8_t command, uint16_t value)
{
    struct virtq *q = &net->control;
    struct message {
        uint8_t class, command;
        uint16_t value;
        uint8_t ack;
    } *m = heap_zalloc(sizeof *m);
    if (!m)
        return false;
    *m = (struct message){ class, command, value, 0xff };
    struct virtq_seg seg[] = {
        { .addr = dma_addr(m), .len = 2 },
        { .addr = dma_addr(&m->value), .len = 2 },
        { .addr = dma_addr(&m->ack), .len = 1, .device_writes = true },
    };
    virtq_add(q, seg, ARRAY_LEN(seg), m);
    virtq_notify(q);
    int64_t limit_ns = clock_mono_ns() + CONTROL_LIMIT_NS;
    uint32_t len;
    while (!virtq_get(q, &len)) {
        if (clock_mono_ns() > limit_ns || virtio_failed(net->dev))
            return false; // m stays the device's
        time_sleep(CONTROL_PAUSE_NS);
    }
    bool ok = m->ack == CONTROL_OK;
    heap_free(m);
    return ok;
}

// Turns the pairs on. With one nothing is to be done.
static void use_pairs(struct virtio_net *net)
{
    if (net->pairs == 1)
        return;
    if (control(net, CONTROL_MQ, CONTROL_MQ_PAIRS, (uint16_t)net->pairs))
        return;
    klog("%s: device does not take %u queues; using one", net->name, net->pairs);
    net->pairs = 1;
}

static bool start_pairs(struct virtio_net *net)
{
    for (unsigned i = 0; i < net->pairs; i++) {
        struct net_pair *pair = &net->pair[i];
        if (!net_rx_start(pair, 2 * i, (int)i) || !net_tx_start(pair, 2 * i + 1, (int)i))
            return false;
        pair->rx.poller.poll = net_poll;
        pair->rx.poller.ctx = pair;
        pair->rx.poller.name = net->name;
        if (!net_rx_fill(pair)) {
            virtio_fail(net->dev, "no memory for receive buffers");
            return false;
        }
    }
    return true;
}

// How many pairs there will be, and an interrupt for each. 0: none.
static unsigned choose_pairs(struct virtio_net *net, unsigned max_pairs)
{
    unsigned n = MIN(max_pairs, sched.n_m);
    net->pair = heap_aligned_alloc(CACHE_LINE, n * sizeof *net->pair);
    net->irqs = heap_zalloc(n * sizeof *net->irqs);
    if (!net->pair || !net->irqs) {
        virtio_fail(net->dev, "no memory for %u queues", n);
        return 0;
    }
    memset(net->pair, 0, n * sizeof *net->pair);
    for (unsigned i = 0; i < n; i++) {
        net->pair[i].net = net;
        net->irqs[i] = (struct virtio_irq){ .fn = pair_irq, .arg = &net->pair[i], .core = i };
    }
    net->dev->config_irq = (struct virtio_irq){ .fn = config_irq, .arg = net, .core = 0 };
    return virtio_irqs(net->dev, net->irqs, n);
}

static void describe(struct virtio_net *net)
{
    struct virtio_dev *dev = net->dev;
    struct netdev *nd = &net->netdev;
    if (virtio_has(dev, VIRTIO_NET_F_MAC)) {
        virtio_config_bytes(dev, CONFIG_MAC, nd->mac, 6);
    } else {
        entropy_get(nd->mac, 6);
        nd->mac[0] = (uint8_t)((nd->mac[0] & 0xfc) | 2); // ours alone, a single station's
    }
    nd->name = net->name;
    nd->mtu = NET_MTU;
    if (virtio_has(dev, VIRTIO_NET_F_MTU)) {
        uint32_t mtu = virtio_config(dev, CONFIG_MTU, 2);
        nd->mtu = (uint16_t)MIN(MAX(mtu, MTU_LEAST), NET_MTU);
    }
    if (virtio_has(dev, VIRTIO_NET_F_CSUM))
        nd->features |= NETDEV_TX_CSUM;
    if (virtio_has(dev, VIRTIO_NET_F_GUEST_CSUM))
        nd->features |= NETDEV_RX_CSUM;
    nd->driver = net;
    nd->transmit = net_transmit;
    nd->flush = net_flush;
    nd->link_up = link_up;
}

static bool start(struct virtio_net *net)
{
    struct virtio_dev *dev = net->dev;
    uint64_t wanted = VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_MTU |
                      VIRTIO_NET_F_MAC | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_STATUS;
    if (sched.n_m > 1)
        wanted |= VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_MQ;
    if (!virtio_begin(dev, wanted))
        return false;
    describe(net);
    unsigned max_pairs = 1;
    if (virtio_has(dev, VIRTIO_NET_F_MQ) && virtio_has(dev, VIRTIO_NET_F_CTRL_VQ))
        max_pairs = MAX(virtio_config(dev, CONFIG_MAX_PAIRS, 2), 1u);
    net->pairs = choose_pairs(net, max_pairs);
    if (net->pairs == 0 || !start_pairs(net))
        return false;
    if (net->pairs > 1 &&
        !virtio_queue(dev, &net->control, (uint16_t)(2 * max_pairs), CONTROL_RING, -1))
        return false;
    virtio_ready(dev);
    use_pairs(net);
    net->netdev.queues = net->pairs;
    atomic_store_explicit(&net->link, true, memory_order_relaxed);
    read_link(net);
    klog("%s: %s, %02x:%02x:%02x:%02x:%02x:%02x, %u queue%s", net->name, dev->name,
         net->netdev.mac[0], net->netdev.mac[1], net->netdev.mac[2], net->netdev.mac[3],
         net->netdev.mac[4], net->netdev.mac[5], net->pairs, net->pairs == 1 ? "" : "s");
    // Nobody polls before the pollers are registered, so no frame is looked for before the stack
    // has said where to. The first poll turns interrupts on.
    netdev_register(&net->netdev);
    for (unsigned i = 0; i < net->pairs; i++) {
        virtq_notify(&net->pair[i].rx.q);
        netpoll_register(&net->pair[i].rx.poller);
        netpoll_mark_wake(&net->pair[i].rx.poller);
    }
    return true;
}

// Context: probing, one device at a time.
void virtio_net_probe(struct virtio_dev *dev)
{
    struct virtio_net *net = heap_zalloc(sizeof *net);
    if (!net) {
        klog("%s: no memory", dev->name);
        return;
    }
    net->dev = dev;
    dev->driver = net;
    ksnprintf(net->name, sizeof net->name, "eth%u", eth_count);
    if (start(net))
        eth_count++;
}
