// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 machines=q35 timeout=90 expect="drivers_pci: 7 interfaces up"
// test: qemu="-netdev user,id=n1 -device virtio-net-pci,netdev=n1,vectors=0,romfile="
// test: qemu+="-netdev user,id=n2 -device virtio-net-pci,netdev=n2,vectors=2,romfile="
// test: qemu+="-netdev user,id=n3 -device pcie-root-port,id=rp,chassis=1"
// test: qemu+="-device virtio-net-pci,netdev=n3,bus=rp,event_idx=off,mrg_rxbuf=off,romfile="
// test: qemu+="-netdev user,id=n4 -device virtio-net-pci,netdev=n4,rx_queue_size=1024,romfile="
// test: qemu+="-netdev user,id=n6 -device virtio-net-pci,netdev=n6,vectors=0,addr=0x0a,romfile="
// test: qemu+="-netdev user,id=n7 -device virtio-net-pci,netdev=n7,vectors=0,addr=0x0e,romfile="
// test: qemu+="-netdev user,id=n5 -device virtio-rng-pci"
// test: qemu+="-device virtio-net-pci,netdev=n5,disable-modern=on,disable-legacy=off,romfile="
//
// Network cards in every manner PCI has: MSI-X, few vectors, the interrupt pin (two sharing one
// wire), behind a bridge, without event indexes and merged buffers, transitional; a legacy one
// and one of another kind are passed over. Each of the seven gets an address by DHCP, so frames
// go both ways.

#include "check.h"
#include "interfaces.h"

#include <tables.h>

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    check_pci_machine();
    check_soon(interfaces_up() == 7);
    for (struct netif *nif = atomic_load(&netif_list); nif; nif = nif->next) {
        if (nif->loopback)
            continue;
        struct netdev *dev = nif->dev;
        check(dev->queues == 1 && dev->mtu == 1500 && dev->link_up(dev));
        check(atomic_load(&dev->rx_packets) >= 2 && atomic_load(&dev->rx_dropped) == 0);
        check_soon(atomic_load(&dev->tx_packets) >= 2);
        check(atomic_load(&dev->tx_dropped) == 0);
    }
    printf("drivers_pci: %u interfaces up\n", interfaces_up());
    return 0;
}
