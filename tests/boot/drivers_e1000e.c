// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,4 timeout=90 expect="drivers_e1000e: two cards up"
// test: qemu="-netdev user,id=n1,net=10.0.5.0/24 -device e1000e,netdev=n1,romfile=,id=card"
// test: qemu+="-netdev user,id=n2,net=10.0.6.0/24 -device pcie-root-port,id=rp,chassis=1"
// test: qemu+="-device e1000e,netdev=n2,bus=rp,romfile="
//
// Two Intel cards beside the virtio one, the second behind a bridge: each gets its address by DHCP,
// so frames go both ways; then datagrams to a port where nobody listens, until five hundred frames
// have come back that say so, which wraps the receive ring. With pci_irq= on the
// command line the same by MSI and by pins (drivers_e1000e_*.c).

#include "check.h"
#include "kernel/cmdline.h"
#include "net/netif.h"

static struct netdev *card(unsigned n)
{
    for (struct netif *nif = atomic_load(&netif_list); nif; nif = nif->next)
        if (!nif->loopback && atomic_load(&nif->state) == NETIF_UP &&
            nif->dev->name[3] == (char)('0' + n))
            return nif->dev;
    return NULL;
}

// Sends to a port where nobody is until `answers` frames more have come by dev. (The stack does not
// like them all: the emulator sends some from 127.0.0.1.)
static void talk(struct netdev *dev, const char *to, unsigned answers)
{
    uint64_t before = atomic_load(&dev->rx_packets), sent = atomic_load(&dev->tx_packets);
    struct conn *c = net_dial("udp", to);
    check(c);
    unsigned tries = 0;
    while (atomic_load(&dev->rx_packets) < before + answers && tries++ < 100 * answers) {
        if (net_write(c, "anybody", 7) < 0)
            check(tries > 1);
        if (tries % 8 == 0)
            time_sleep(TIME_MS);
    }
    net_close(c);
    check(atomic_load(&dev->rx_packets) >= before + answers);
    check_soon(atomic_load(&dev->tx_packets) > sent);
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    check_soon(card(0) && card(1) && card(2));
    for (unsigned i = 1; i <= 2; i++) {
        struct netdev *dev = card(i);
        check(dev->queues == 1 && dev->mtu == 1500 && dev->link_up(dev));
        check(dev->features == (NETDEV_TX_CSUM | NETDEV_RX_CSUM));
        check(dev->mac[0] == 0x52 && dev->mac[1] == 0x54);
        talk(dev, i == 1 ? "10.0.5.2:9" : "10.0.6.2:9", 500);
        check(atomic_load(&dev->tx_dropped) == 0);
    }
    const char *irq = cmdline_option("pci_irq");
    printf("drivers_e1000e: two cards up by %s\n", irq ? irq : "msix");
    return 0;
}
