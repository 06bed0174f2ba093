// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,4 timeout=90 expect="drivers_e1000e: two cards up by pin" kopts="pci_irq=pin"
// test: qemu="-netdev user,id=n1,net=10.0.5.0/24 -device e1000e,netdev=n1,romfile=,id=card"
// test: qemu+="-netdev user,id=n2,net=10.0.6.0/24 -device pcie-root-port,id=rp,chassis=1"
// test: qemu+="-device e1000e,netdev=n2,bus=rp,romfile="
//
// drivers_e1000e.c once more, with interrupts by pin.

#include "tests/boot/drivers_e1000e.c"
