// SPDX-License-Identifier: BSD-2-Clause
// The UEFI application: gathers what the kernel wants to know (command line, ACPI root, memory
// map), ends boot services and starts the kernel it contains. It is built with GNU-EFI.

#include "boot/efi/efi.h"

EFI_STATUS efi_main(EFI_HANDLE self, EFI_SYSTEM_TABLE *table);

EFI_STATUS efi_give_up(EFI_STATUS status, const CHAR16 *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    Print(L"heddle: ");
    VPrint(fmt, ap);
    Print(L" (%r)\r\n", status);
    va_end(ap);
    uefi_call_wrapper(BS->Stall, 1, 3000000); // time to read it
    return status;
}

static uint64_t find_rsdp(void)
{
    EFI_GUID acpi2 = ACPI_20_TABLE_GUID, acpi1 = ACPI_TABLE_GUID;
    void *root = NULL;
    if (EFI_ERROR(LibGetSystemConfigurationTable(&acpi2, &root)) &&
        EFI_ERROR(LibGetSystemConfigurationTable(&acpi1, &root)))
        return 0;
    return (uintptr_t)root;
}

EFI_STATUS efi_main(EFI_HANDLE self, EFI_SYSTEM_TABLE *table)
{
    static char line[BOOT_LINE_BYTES];
    EFI_GUID loaded_image = LOADED_IMAGE_PROTOCOL;
    EFI_LOADED_IMAGE *image;
    struct efi_handover *handover;
    InitializeLib(self, table);
    EFI_STATUS status = uefi_call_wrapper(BS->HandleProtocol, 3, self, &loaded_image,
                                          (void **)&image);
    if (EFI_ERROR(status))
        return efi_give_up(status, L"the firmware does not say how we were loaded");
    efi_cmdline(image, line);
    status = efi_kernel_prepare(line, find_rsdp(), &handover);
    if (EFI_ERROR(status))
        return status;
    status = efi_kernel_start(self, handover);
    return efi_give_up(status, L"the firmware does not end its services");
}
