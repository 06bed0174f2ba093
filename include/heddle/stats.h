// SPDX-License-Identifier: BSD-2-Clause
// What the scheduler counts, per P. Numbers since boot, read without stopping anything: each is
// exact for some moment in the recent past, not all for the same one.
#ifndef HEDDLE_STATS_H
#define HEDDLE_STATS_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

struct go_pstats {
    unsigned id;
    int core;           // the core that holds it now, -1: none, the P is idle
    unsigned runnable;  // goroutines on its run queue
    uint64_t switches;  // goroutines resumed
    uint64_t spawned;   // goroutines started from here
    uint64_t stolen;    // batches taken from other Ps
    uint64_t preempted; // goroutines stopped by an interrupt
    uint64_t woken;     // sleeping cores woken from here
    uint64_t polled;    // polls of the network from here
    uint64_t interrupts; // taken by the core of the same number
};

// Fills up to n entries, one a P; returns how many Ps there are. Does not block.
size_t go_pstats(struct go_pstats *out, size_t n);

#pragma GCC visibility pop

#endif
