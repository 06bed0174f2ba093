// SPDX-License-Identifier: BSD-2-Clause
// What the tests of drivers share.
#ifndef TESTS_BOOT_INTERFACES_H
#define TESTS_BOOT_INTERFACES_H

#include "net/netif.h"

// Interfaces with an address, loopback not counted.
static inline unsigned interfaces_up(void)
{
    unsigned n = 0;
    for (struct netif *nif = atomic_load(&netif_list); nif; nif = nif->next)
        n += !nif->loopback && atomic_load(&nif->state) == NETIF_UP;
    return n;
}

#endif
