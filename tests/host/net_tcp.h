// SPDX-License-Identifier: BSD-2-Clause
// What the TCP tests share: a world with one device whose far side is a mirror, so that both ends
// of a connection are ours, and the look at what is left when everything has been closed.
#ifndef TESTS_NET_TCP_H
#define TESTS_NET_TCP_H

#include <errno.h>
#include <heddle/go.h>
#include <heddle/net.h>
#include <string.h>

#include "net/tcp.h"
#include "tests/host/sim/lossy.h"
#include "tests/host/sim/sim.h"

#define US_BE IP4_BE(10, 0, 0, 1)
#define PEER_BE IP4_BE(10, 0, 0, 2)

static struct lossy *wire;
static size_t objects_before;
static size_t table_growth; // pieces by which the table of connections has grown; it keeps them

static inline void net_start(uint32_t features)
{
    net_init();
    wire = lossy_create("eth0", 1500, features);
    sim_settle(TIME_S);
    objects_before = sim_heap_objects();
}

// After every handle has been closed nothing may be left once TIME_WAIT is over and the neighbours
// have been forgotten.
static inline void net_check_empty(void)
{
    wire->par = (struct lossy_params){0};
    sim_settle(700 * TIME_S);
    pbuf_refill();
    CHECK_EQ(tcp_table_count(), 0);
    CHECK_EQ(tcp_tcb_count(), 0);
    CHECK_EQ(tcp_tw_count(), 0);
    CHECK_EQ(sim_heap_objects() - objects_before, table_growth);
}

// Waits for n goroutines to say that they are done.
struct done {
    int left;
};

static inline void done_wait(struct done *d)
{
    while (d->left)
        time_sleep(10 * TIME_MS);
}

// The byte at position i of stream `id`.
static inline uint8_t pattern(uint32_t id, uint64_t i)
{
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull ^ id * 0xc2b2ae3d27d4eb4full;
    return (uint8_t)(x >> 40 ^ x >> 17);
}

#endif
