// SPDX-License-Identifier: BSD-2-Clause
// Disks: numbered blocks of bytes. Every call that waits parks the calling goroutine and nothing
// else; any number of goroutines may use a disk at once. Which of two overlapping calls comes first
// is not said.
//
// Positions and lengths are in bytes and must be multiples of BLK_SECTOR. A call that fails returns
// -1 or NULL and sets errno, which is per goroutine:
//   EINVAL   a position or length is not a multiple of BLK_SECTOR
//   ENXIO    it lies, or ends, beyond the end of the disk
//   EROFS    the disk is read-only
//   EIO      the disk reports an error, or has broken down
//   ENOMEM   memory is exhausted
// After EIO and ENOMEM any part of the bytes may have been transferred.
#ifndef HEDDLE_BLK_H
#define HEDDLE_BLK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

#ifdef __cplusplus
extern "C" {
#endif

#define BLK_SECTOR 512

struct blk;

// The disk of that name: "blk0", "blk1" and so on, in the order the machine lists them. The same
// handle each time; it needs no closing. NULL and ENOENT if there is none. Does not block.
struct blk *blk_open(const char *name);

// Its length in bytes, which may change when the disk's owner changes it. Does not block.
uint64_t blk_size(const struct blk *b);

// Whether it refuses to be written. Does not block.
bool blk_read_only(const struct blk *b);

// Reads n bytes from position off, all of them or -1.
int blk_read(struct blk *b, uint64_t off, void *buf, size_t n);

// Writes n bytes at position off, all of them or -1. They survive a loss of power only after
// blk_flush.
int blk_write(struct blk *b, uint64_t off, const void *buf, size_t n);

// Returns when everything written by calls that had returned before is on stable storage.
int blk_flush(struct blk *b);

#ifdef __cplusplus
}
#endif

#pragma GCC visibility pop

#endif
