// SPDX-License-Identifier: BSD-2-Clause
// A network device for tests. As a mirror it plays every other host of its subnet: it answers ARP
// for them and returns each IPv4 packet with source and destination exchanged, through a wire
// that loses, delays, reorders, doubles and corrupts. A connection dialled to 10.0.0.2:80 thus
// arrives, from 10.0.0.2, at our own port 80; checksums stay right, since exchanging words does
// not change a sum. With a hook it plays a scripted peer.
#ifndef TESTS_LOSSY_H
#define TESTS_LOSSY_H

#include "net/netdev.h"
#include "net/netif.h"

struct lossy_params {
    // Chances in a million, for each frame.
    unsigned loss_ppm, dup_ppm, reorder_ppm, corrupt_ppm;
    int64_t delay_ns;     // of every frame, one way; 0 still means after the sender's turn
    int64_t jitter_ns;    // 0 to this much more; frames keep their order unless reorder_ppm strikes
    int64_t reorder_ns;   // how much later a reordered frame comes, at most; 0: 4 * delay + 1 ms
    uint64_t rate_bps;    // 0: infinitely fast
    unsigned queue_bytes; // waiting for the wire, with rate_bps; 0: 256 KiB; more are dropped
    int64_t lend_ns;      // how long the device keeps a buffer it was given, at most
    unsigned full_ppm;    // chance that transmit says the queue is full
};

struct lossy {
    struct netdev dev;
    struct lossy_params par; // may be changed at any time
    // Sees each frame sent (data at the Ethernet header) as it goes onto the wire. True: it took
    // p. NULL: none.
    bool (*hook)(struct lossy *l, struct pbuf *p);
    void *hook_arg;
    bool mirror;   // default true: returns packets with addresses exchanged, answers ARP
    bool unplugged;
    uint64_t frames, lost, doubled, reordered, corrupted, overflowed;
    unsigned in_flight; // frames the device or the wire holds

    // Private.
    struct pbuf *rx_head, *rx_tail;
    int64_t wire_free_ns, last_ns, loan_end_ns;
    struct poller *poller;
};

// Registers a device named name. Configuration comes from the command line (sim_options.cmdline),
// as for any device. MAC 02:00:00:00:00:01; its peers have 02:00 and their IPv4 address.
struct lossy *lossy_create(const char *name, uint16_t mtu, uint32_t features);
// A frame as though it had come from the wire, after delay_ns. Data at the Ethernet header.
void lossy_inject(struct lossy *l, struct pbuf *p, int64_t delay_ns);
void lossy_inject_bytes(struct lossy *l, const void *frame, uint32_t n, int64_t delay_ns);
// The same for an IPv4 packet from src_be to dst_be; payload begins after the IP header.
void lossy_inject_ip(struct lossy *l, uint32_t src_be, uint32_t dst_be, uint8_t proto,
                     const void *payload, uint32_t n, int64_t delay_ns);

#endif
