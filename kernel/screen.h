// SPDX-License-Identifier: BSD-2-Clause
// Console output on a screen, where the boot loader has left one in a graphics mode.
#ifndef KERNEL_SCREEN_H
#define KERNEL_SCREEN_H

#include <stddef.h>
#include <stdint.h>

struct boot_framebuffer;

enum { FONT_FIRST = ' ', FONT_GLYPHS = 95, FONT_ROWS = 8, FONT_DOTS = 5 };

// font.c
extern const uint8_t font[FONT_GLYPHS][FONT_ROWS];

// screen.c

// Starts using fb, if it makes sense: before the kernel's own page tables where the boot tables map
// it, else from screen_map on. Context: boot, one core.
void screen_init(const struct boot_framebuffer *fb);
// Maps it anew. Context: boot, with the kernel's own page tables and before anything is printed.
void screen_map(void);
// Writes text at the cursor: nothing if there is no screen. Context: the console's lock is held, or
// the machine is dying.
void screen_write(const char *s, size_t n);

#endif
