// SPDX-License-Identifier: BSD-2-Clause
// The devices of the machine: one call finds them all and starts their drivers.
#ifndef DRIVERS_DRIVERS_H
#define DRIVERS_DRIVERS_H

struct pci_dev;
struct virtio_dev;

// drivers.c

// Looks at every bus and starts what it knows. A device that misbehaves costs a line in the boot
// log, never the machine. Context: a goroutine, once.
void drivers_init(void);

// For the virtio transports: starts the driver of a device they found, or says there is none.
void virtio_found(struct virtio_dev *dev);

// Network cards that work; the next one's number. Context: probing.
extern unsigned eth_count;

// virtio_pci.c, virtio_mmio.c, virtio_net.c, virtio_blk.c, virtio_rng.c, e1000e.c

void virtio_pci_probe(struct pci_dev *d);
void virtio_mmio_probe_all(void);
void virtio_net_probe(struct virtio_dev *dev);
void virtio_blk_probe(struct virtio_dev *dev);
void virtio_rng_probe(struct virtio_dev *dev);
void e1000e_probe(struct pci_dev *d);

// host/net.c, in the kernel as a process only; otherwise NULL.
void drivers_host_probe(void) __attribute__((weak));

#endif
