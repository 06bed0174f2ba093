// SPDX-License-Identifier: BSD-2-Clause
// Which driver goes with which device. A new driver is one line in one of these tables.

#include "drivers/drivers.h"

#include "drivers/pci.h"
#include "drivers/virtio.h"
#include "kernel/print.h"
#include "lib/util.h"

unsigned eth_count;

static const struct {
    uint16_t vendor, device_first, device_last;
    void (*probe)(struct pci_dev *d);
} pci_drivers[] = {
    { 0x1af4, 0x1000, 0x107f, virtio_pci_probe },
    { 0x8086, 0x10d3, 0x10d3, e1000e_probe },
};

static const struct {
    uint32_t type;
    void (*probe)(struct virtio_dev *dev);
} virtio_drivers[] = {
    { VIRTIO_TYPE_NET, virtio_net_probe },
    { VIRTIO_TYPE_BLK, virtio_blk_probe },
    { VIRTIO_TYPE_RNG, virtio_rng_probe },
};

static void pci_found(struct pci_dev *d)
{
    for (size_t i = 0; i < ARRAY_LEN(pci_drivers); i++) {
        if (d->vendor == pci_drivers[i].vendor && d->device >= pci_drivers[i].device_first &&
            d->device <= pci_drivers[i].device_last) {
            pci_drivers[i].probe(d);
            return;
        }
    }
}

void virtio_found(struct virtio_dev *dev)
{
    for (size_t i = 0; i < ARRAY_LEN(virtio_drivers); i++) {
        if (dev->type == virtio_drivers[i].type) {
            virtio_drivers[i].probe(dev);
            return;
        }
    }
    klog("%s: no driver for virtio device type %u", dev->name, dev->type);
}

void drivers_init(void)
{
    pci_scan(pci_found);
    virtio_mmio_probe_all();
    if (drivers_host_probe)
        drivers_host_probe();
}
