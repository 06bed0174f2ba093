// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=90 mem=192M expect="(?s)entropy: virtio [^,]*$.*drivers_blk: all well"
// test: qemu="-drive if=none,id=d0,driver=null-co,size=64M,read-zeroes=on,snapshot=on"
// test: qemu+="-device virtio-blk-pci,drive=d0"
// test: qemu+="-drive if=none,id=d1,driver=null-co,size=1M,read-zeroes=on,readonly=on"
// test: qemu+="-device virtio-blk-pci,drive=d1,vectors=0"
// test: qemu+="-blockdev driver=null-co,node-name=n2,size=1048576,read-zeroes=on"
// test: qemu+="-drive if=none,id=d2,driver=blkdebug,image=n2,inject-error.0.event=none"
// test: qemu+="-set drive.d2.inject-error.0.sector=100 -set drive.d2.inject-error.0.iotype=read"
// test: qemu+="-device virtio-blk-pci,drive=d2"
// test: qemu+="-device virtio-rng-pci"
//
// Disks: goroutines write and read pieces of all sizes at random places of regions of their own,
// from memory of all kinds, and find what they wrote; a read-only disk refuses, a bad sector is an
// error for who reads it and for nobody else, and places that are not there are refused. The
// entropy device answers before main.

#include <errno.h>

#include "check.h"
#include "kernel/entropy.h"

enum { WORKERS = 12, REGION = 4 << 20, PIECE_MAX = 300 * 1024, ROUNDS = 40 };

static struct blk *disk;
static struct waitgroup done;
static uint8_t image_memory[WORKERS][BLK_SECTOR];

// What stands at a position after its version-th write.
static uint8_t byte_at(uint64_t off, uint32_t version)
{
    return (uint8_t)(off / BLK_SECTOR * 37 + off * 11 + version * 101);
}

static void fill(uint8_t *p, uint64_t off, size_t n, uint32_t version)
{
    for (size_t i = 0; i < n; i++)
        p[i] = byte_at(off + i, version);
}

static void worker(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    uint32_t seed = me + 1;
    uint64_t base = (uint64_t)me * REGION;
    uint8_t *versions = calloc(1, REGION / BLK_SECTOR), *buf = malloc(PIECE_MAX);
    uint8_t on_stack[2 * BLK_SECTOR];
    check(versions && buf);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t sector = rand_below(&seed, REGION / BLK_SECTOR);
        uint32_t most = round % 4 ? 16 : PIECE_MAX / BLK_SECTOR;
        uint64_t n = 1 + rand_below(&seed, most);
        if (sector + n > REGION / BLK_SECTOR)
            n = REGION / BLK_SECTOR - sector;
        uint8_t *p = n == 1 ? image_memory[me] : n == 2 ? on_stack : buf;
        uint64_t off = base + sector * BLK_SECTOR;
        if (rand_below(&seed, 2)) {
            for (uint64_t s = 0; s < n; s++) {
                versions[sector + s]++;
                fill(p + s * BLK_SECTOR, off + s * BLK_SECTOR, BLK_SECTOR, versions[sector + s]);
            }
            check(blk_write(disk, off, p, n * BLK_SECTOR) == 0);
            if (rand_below(&seed, 4) == 0)
                check(blk_flush(disk) == 0);
            continue;
        }
        memset(p, 0xee, n * BLK_SECTOR);
        check(blk_read(disk, off, p, n * BLK_SECTOR) == 0);
        for (uint64_t i = 0; i < n * BLK_SECTOR; i++) {
            uint8_t v = versions[sector + i / BLK_SECTOR];
            check(p[i] == (v ? byte_at(off + i, v) : 0));
        }
    }
    free(versions);
    free(buf);
    waitgroup_done(&done);
}

static void refusals(void)
{
    static uint8_t buf[4 * BLK_SECTOR];
    uint64_t size = blk_size(disk);
    check(size == 64 << 20 && !blk_read_only(disk));
    check(!blk_open("blk9") && errno == ENOENT);
    check(blk_read(disk, 1, buf, BLK_SECTOR) == -1 && errno == EINVAL);
    check(blk_write(disk, 0, buf, 100) == -1 && errno == EINVAL);
    check(blk_read(disk, size, buf, BLK_SECTOR) == -1 && errno == ENXIO);
    check(blk_write(disk, size - BLK_SECTOR, buf, 2 * BLK_SECTOR) == -1 && errno == ENXIO);
    check(blk_read(disk, UINT64_MAX - BLK_SECTOR + 1, buf, BLK_SECTOR) == -1 && errno == ENXIO);
    check(blk_read(disk, 0, buf, SIZE_MAX - BLK_SECTOR + 1) == -1 && errno == ENXIO);
    check(blk_read(disk, size - BLK_SECTOR, buf, BLK_SECTOR) == 0);
    check(blk_read(disk, size, buf, 0) == 0);

    struct blk *ro = blk_open("blk1"), *bad = blk_open("blk2");
    check(ro && bad && blk_open("blk0") == disk);
    check(blk_read_only(ro) && blk_size(ro) == 1 << 20);
    check(blk_write(ro, 0, buf, BLK_SECTOR) == -1 && errno == EROFS);
    check(blk_read(ro, 0, buf, sizeof buf) == 0 && buf[0] == 0);
    for (int i = 0; i < 3; i++) {
        check(blk_read(bad, 100 * BLK_SECTOR, buf, BLK_SECTOR) == -1 && errno == EIO);
        check(blk_read(bad, 99 * BLK_SECTOR, buf, 4 * BLK_SECTOR) == -1 && errno == EIO);
        check(blk_read(bad, 101 * BLK_SECTOR, buf, 4 * BLK_SECTOR) == 0);
        check(blk_write(bad, 100 * BLK_SECTOR, buf, BLK_SECTOR) == 0 && blk_flush(bad) == 0);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    disk = blk_open("blk0");
    check(disk);
    refusals();
    waitgroup_add(&done, WORKERS);
    for (uintptr_t i = 0; i < WORKERS; i++)
        check(go(worker, (void *)i) == 0);
    waitgroup_wait(&done);
    check(blk_flush(disk) == 0);
    uint8_t a[32] = { 0 }, b[32] = { 0 };
    entropy_get(a, sizeof a);
    entropy_get(b, sizeof b);
    check(memcmp(a, b, sizeof a) != 0);
    printf("drivers_blk: all well\n");
    return 0;
}
