// SPDX-License-Identifier: BSD-2-Clause
// What the ways of booting have in common: a command line that may come in parts, and memory typed
// as the BIOS does.
//
// The command line of a disk is a text file that a person can edit. A multiboot loader cannot read
// it itself, so it passes it as a module called "cmdline".

#include <string.h>

#include "boot/x86_64/boot.h"
#include "kernel/bootinfo.h"
#include "lib/util.h"

#define MODULE_NAME "cmdline"
#define TEXT_MAX 65536u // a longer file is somebody's mistake

static char line[BOOT_LINE_BYTES];
static size_t line_len;

void multiboot_cmdline(struct bootinfo *bi, const char *s, size_t max)
{
    line_len = strnlen(s, MIN(max, sizeof line - 1));
    memcpy(line, s, line_len);
    line[line_len] = '\0';
    bi->cmdline = line;
}

void multiboot_module(struct bootinfo *bi, uint64_t start, uint64_t end, const char *name,
                      size_t max)
{
    size_t want = sizeof MODULE_NAME; // with its 0 byte
    if (max < want || memcmp(name, MODULE_NAME, want) != 0 || end <= start)
        return;
    size_t len = (size_t)MIN(end - start, TEXT_MAX);
    const char *text = boot_phys(start, len);
    if (!text)
        return;
    line_len = cmdline_text_append(line, sizeof line, bi->cmdline ? line_len : 0, text, len);
    bi->cmdline = line;
}

void boot_e820_range(struct bootinfo *bi, uint64_t start, uint64_t len, uint32_t type)
{
    enum mem_kind kind = type == 1 ? MEM_USABLE : type == 3 ? MEM_ACPI : MEM_RESERVED;
    bootinfo_add(bi, start, len, kind);
}
