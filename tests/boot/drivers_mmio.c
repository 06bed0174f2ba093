// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 machines=microvm timeout=90 expect="drivers_mmio: 3 interfaces up"
// test: qemu="-netdev user,id=n1 -device virtio-net-device,netdev=n1,event_idx=off,mrg_rxbuf=off"
// test: qemu+="-netdev user,id=n2 -device virtio-net-device,netdev=n2 -device virtio-rng-device"
//
// Several virtio-mmio network cards, found through the tables, each with an address got by DHCP. A
// device of another kind is passed over.

#include "check.h"
#include "interfaces.h"

#include <tables.h>

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    check_mmio_machine(4);
    check_soon(interfaces_up() == 3);
    for (struct netif *nif = atomic_load(&netif_list); nif; nif = nif->next) {
        if (nif->loopback)
            continue;
        check(atomic_load(&nif->dev->rx_packets) >= 2 && nif->dev->link_up(nif->dev));
        check_soon(atomic_load(&nif->dev->tx_packets) >= 2);
    }
    printf("drivers_mmio: %u interfaces up\n", interfaces_up());
    return 0;
}
