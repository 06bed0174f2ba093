// SPDX-License-Identifier: BSD-2-Clause
// The screen as the firmware has set it up, which stays as it is when boot services have ended.

#include "boot/efi/efi.h"

void efi_screen(struct boot_framebuffer *fb)
{
    EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
    EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;
    *fb = (struct boot_framebuffer){ 0 };
    if (EFI_ERROR(LibLocateProtocol(&guid, (void **)&gop)) || !gop->Mode || !gop->Mode->Info)
        return;
    const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *mode = gop->Mode->Info;
    if (mode->PixelFormat != PixelRedGreenBlueReserved8BitPerColor &&
        mode->PixelFormat != PixelBlueGreenRedReserved8BitPerColor)
        return;
    *fb = (struct boot_framebuffer){
        .pa = gop->Mode->FrameBufferBase, .pitch = mode->PixelsPerScanLine * 4,
        .width = mode->HorizontalResolution, .height = mode->VerticalResolution, .bits = 32,
    };
}
