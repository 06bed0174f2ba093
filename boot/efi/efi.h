// SPDX-License-Identifier: BSD-2-Clause
// The UEFI application, a loader with the kernel inside. What its files share.
#ifndef BOOT_EFI_EFI_H
#define BOOT_EFI_EFI_H

#include <efi.h>
#include <efilib.h>

#include "boot/cmdline_text.h"
#include "kernel/bootinfo.h"

// main.c

// Says why and returns status, for the firmware to go on to its next choice.
EFI_STATUS efi_give_up(EFI_STATUS status, const CHAR16 *fmt, ...);

// cmdline.c

// The command line: the load options if they are a text, else the file heddle.txt in the
// application's folder or at the root of its volume; "" if there is none.
void efi_cmdline(EFI_LOADED_IMAGE *self, char line[BOOT_LINE_BYTES]);

// screen.c

// The framebuffer the firmware's graphics output leaves behind; pa 0 if there is none of use.
void efi_screen(struct boot_framebuffer *fb);

// x86_64/kernel.c and handover.S

// What remains of us when boot services have ended: one block of memory below 4 GiB.
struct efi_handover;

// Checks the kernel, and that its place is free once boot services have ended; prepares its
// start. `line` is copied.
EFI_STATUS efi_kernel_prepare(const char *line, uint64_t rsdp_pa, struct efi_handover **h);
// Ends boot services and starts the kernel; returns only if the firmware does not let go.
EFI_STATUS efi_kernel_start(EFI_HANDLE self, struct efi_handover *h);

#endif
