// SPDX-License-Identifier: BSD-2-Clause
// Where the command line comes from. Load options are whatever somebody put into a boot entry:
// firmware leaves binary marks there, a shell puts the program's name first. They count if they
// are printable text with a word besides the name.

#include "boot/efi/efi.h"

#define FILE_NAME L"heddle.txt"
#define FILE_MAX 65536u
#define PATH_CHARS 256u

// The options as ASCII in out; false if they are no text.
static BOOLEAN options_text(EFI_LOADED_IMAGE *self, char *out, UINTN size)
{
    const CHAR16 *s = self->LoadOptions;
    UINTN n = s ? self->LoadOptionsSize / sizeof *s : 0, i = 0;
    for (; i < n && s[i]; i++) {
        if (i + 1 >= size || s[i] < ' ' || s[i] > '~')
            return FALSE;
        out[i] = (char)s[i];
    }
    out[i] = '\0';
    return i > 0 && i < n;
}

// What follows the program's name, if the first word looks like one.
static const char *after_name(const char *s)
{
    const char *end = s;
    while (*end && *end != ' ')
        end++;
    if (end - s < 4 || end[-4] != '.' || (end[-3] | 32) != 'e' || (end[-2] | 32) != 'f' ||
        (end[-1] | 32) != 'i')
        end = s;
    while (*end == ' ')
        end++;
    return end;
}

// The path of FILE_NAME in the folder the application came from.
static BOOLEAN beside(EFI_LOADED_IMAGE *self, CHAR16 *path, UINTN chars)
{
    CHAR16 *own = self->FilePath ? DevicePathToStr(self->FilePath) : NULL;
    UINTN n = own ? StrLen(own) : 0;
    while (n > 0 && own[n - 1] != L'\\')
        n--;
    BOOLEAN fits = n > 0 && n + StrLen(FILE_NAME) < chars;
    if (fits) {
        CopyMem(path, own, n * sizeof *path);
        StrCpy(path + n, FILE_NAME);
    }
    if (own)
        FreePool(own);
    return fits;
}

static BOOLEAN read_file(EFI_FILE_HANDLE root, CHAR16 *path, char *line)
{
    EFI_FILE_HANDLE file;
    if (EFI_ERROR(uefi_call_wrapper(root->Open, 5, root, &file, path, EFI_FILE_MODE_READ, 0)))
        return FALSE;
    UINTN n = FILE_MAX;
    char *text = AllocatePool(n);
    BOOLEAN ok = text && !EFI_ERROR(uefi_call_wrapper(file->Read, 3, file, &n, text));
    if (ok)
        cmdline_text_append(line, BOOT_LINE_BYTES, 0, text, n);
    else
        Print(L"heddle: %s cannot be read\r\n", path);
    if (text)
        FreePool(text);
    uefi_call_wrapper(file->Close, 1, file);
    return ok;
}

void efi_cmdline(EFI_LOADED_IMAGE *self, char line[BOOT_LINE_BYTES])
{
    static char options[BOOT_LINE_BYTES];
    CHAR16 path[PATH_CHARS];
    line[0] = '\0';
    if (options_text(self, options, sizeof options) && *after_name(options)) {
        const char *text = after_name(options);
        UINTN n = strlena((const CHAR8 *)text);
        CopyMem(line, (void *)text, n + 1);
        return;
    }
    EFI_FILE_HANDLE root = self->DeviceHandle ? LibOpenRoot(self->DeviceHandle) : NULL;
    if (!root)
        return;
    if (!beside(self, path, PATH_CHARS) || !read_file(root, path, line))
        read_file(root, L"\\" FILE_NAME, line);
    uefi_call_wrapper(root->Close, 1, root);
}
