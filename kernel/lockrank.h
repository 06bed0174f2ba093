// SPDX-License-Identifier: BSD-2-Clause
// The one table of spinlock ranks: a core may take a lock only while it holds none of equal or
// higher rank. Debug builds check it. LOCK_CHAN alone may be taken several times, in address order.
#ifndef KERNEL_LOCKRANK_H
#define KERNEL_LOCKRANK_H

enum lock_rank {
    LOCK_UNRANKED = 0, // not checked; for tests
    LOCK_NET_TABLE,    // listeners, interface configuration
    LOCK_LISTENER,     // one listener's accept queue
    LOCK_CONN,         // one connection or packet socket
    LOCK_NET_HASH,     // one bucket of a connection table
    LOCK_NET_MISC,     // reassembly table, DHCP state
    LOCK_ARP,          // neighbour cache
    LOCK_CHAN,         // channels, several in address order
    LOCK_SYNC,         // wait queues of mutexes, semaphores, conditions
    LOCK_DISK,         // a disk's queue and free requests
    LOCK_NETDEV_TX,    // a device's transmit queue
    LOCK_TIMERS,       // the timers of one P
    LOCK_SCHED,        // global run queue
    LOCK_GFREE,        // global free list of Gs
    LOCK_HEAP,         // central lists of the allocator
    LOCK_PAGE,         // free pages
    LOCK_ENTROPY,      // the seed that devices give
    LOCK_IRQ,          // vector table
    LOCK_CONSOLE,      // console output
    LOCK_RANKS
};

#endif
