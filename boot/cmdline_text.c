// SPDX-License-Identifier: BSD-2-Clause
// A text file becomes a command line. Editors of other systems are welcome to it: a byte order mark
// is skipped and carriage returns count as blanks.

#include "boot/cmdline_text.h"

#include <stdbool.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

size_t cmdline_text_append(char *buf, size_t size, size_t len, const char *text, size_t n)
{
    size_t i = 0;
    if (n >= 3 && (unsigned char)text[0] == 0xef && (unsigned char)text[1] == 0xbb &&
        (unsigned char)text[2] == 0xbf)
        i = 3;
    bool line_start = true, comment = false, gap = len > 0;
    for (; i < n && text[i]; i++) {
        char c = text[i];
        if (c == '\n') {
            line_start = true;
            comment = false;
        } else if (line_start && !is_blank(c)) {
            line_start = false;
            comment = c == '#';
        }
        if (comment)
            continue;
        if (c == '\n' || c == '\r')
            c = ' ';
        if (gap && len + 1 < size)
            buf[len++] = ' ';
        gap = false;
        if (len + 1 < size)
            buf[len++] = c;
    }
    if (size)
        buf[len] = '\0';
    return len;
}
