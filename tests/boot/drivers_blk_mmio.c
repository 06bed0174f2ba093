// SPDX-License-Identifier: BSD-2-Clause
// test: arch=x86_64 smp=1,4 machines=microvm timeout=90 mem=192M
// test: expect="(?s)entropy: virtio [^,]*$.*drivers_blk: all well"
// test: qemu="-drive if=none,id=d0,driver=null-co,size=64M,read-zeroes=on,snapshot=on"
// test: qemu+="-device virtio-blk-device,drive=d0"
// test: qemu+="-drive if=none,id=d1,driver=null-co,size=1M,read-zeroes=on,readonly=on"
// test: qemu+="-device virtio-blk-device,drive=d1"
// test: qemu+="-blockdev driver=null-co,node-name=n2,size=1048576,read-zeroes=on"
// test: qemu+="-drive if=none,id=d2,driver=blkdebug,image=n2,inject-error.0.event=none"
// test: qemu+="-set drive.d2.inject-error.0.sector=100 -set drive.d2.inject-error.0.iotype=read"
// test: qemu+="-device virtio-blk-device,drive=d2"
// test: qemu+="-device virtio-rng-device"
//
// drivers_blk.c once more, over virtio-mmio.

#include "tests/boot/drivers_blk.c"
