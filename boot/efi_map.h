// SPDX-License-Identifier: BSD-2-Clause
// UEFI's memory map, as its firmware or a loader that has left it passes it on.
#ifndef BOOT_EFI_MAP_H
#define BOOT_EFI_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bootinfo;

// Adds what the map of `len` bytes says, in descriptors of `step` bytes each, as it is once boot
// services have ended. False if the descriptors are too short to be any.
bool efi_map_read(struct bootinfo *bi, const void *map, size_t len, size_t step);

#endif
