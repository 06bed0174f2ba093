// SPDX-License-Identifier: BSD-2-Clause
// The command line as a text file: several lines, comments from a # at the beginning of a line.
// Used by the kernel and by the UEFI application.
#ifndef BOOT_CMDLINE_TEXT_H
#define BOOT_CMDLINE_TEXT_H

#include <stddef.h>

#define BOOT_LINE_BYTES 4097u // room for one more than the kernel takes, so that it can complain

// Appends the n bytes at text to the 0-terminated line of len bytes in buf, which has room for
// `size` bytes, as words between blanks: line ends become blanks, lines that begin with # are left
// out, and the text ends at a 0 byte. What does not fit is cut off. Returns the new length.
size_t cmdline_text_append(char *buf, size_t size, size_t len, const char *text, size_t n);

#endif
