// SPDX-License-Identifier: BSD-2-Clause
// What the ways of booting have in common: a command line that may come in parts, and memory typed
// as the BIOS does.
//
// The command line of a disk is a text file that a person can edit. A multiboot loader cannot read
// it itself, so it passes it as a module called "cmdline".

#include <string.h>

#include "boot/x86_64/boot.h"
#include "kernel/bootinfo.h"
#include "lib/le.h"
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

// Address, pitch, width, height, bits a pixel, type: 1 for direct colours. Others (palettes, text
// modes) are not for us.
void multiboot_framebuffer(struct bootinfo *bi, const uint8_t *told)
{
    if (told[21] == 1)
        bi->framebuffer = (struct boot_framebuffer){
            .pa = le64_get(told), .pitch = le32_get(told + 8), .width = le32_get(told + 12),
            .height = le32_get(told + 16), .bits = told[20],
        };
}

void boot_e820_range(struct bootinfo *bi, uint64_t start, uint64_t len, uint32_t type)
{
    enum mem_kind kind = type == 1 ? MEM_USABLE : type == 3 ? MEM_ACPI : MEM_RESERVED;
    bootinfo_add(bi, start, len, kind);
}
