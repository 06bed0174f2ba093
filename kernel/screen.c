// SPDX-License-Identifier: BSD-2-Clause
// Text on a linear framebuffer, white on black: a grid of cells and a copy of what they show, so
// that the screen's memory, which is slow to read, is never read, and scrolling draws only the
// cells that change. Grey has the same value in every channel, so the order of colours does not
// matter.
//
// All state belongs to the holder of the console's lock.

#include "kernel/screen.h"

#include <string.h>

#include "arch/arch.h"
#include "kernel/bootinfo.h"
#include "kernel/page.h"
#include "kernel/vm.h"
#include "lib/util.h"

enum { CELL_DOTS = FONT_DOTS + 1, CELL_ROWS = FONT_ROWS + 2, MAX_COLUMNS = 240, MAX_LINES = 120,
       TAB = 8, COLUMNS_WANTED = 80, MAX_SCALE = 8 };

#define MAX_BYTES (256ull << 20)
#define DOT 0xd0d0d0d0u

static struct boot_framebuffer screen;
static volatile uint8_t *pixels; // NULL: no screen, or not yet mapped
static unsigned scale, columns, lines, column, line;
static char cells[MAX_LINES][MAX_COLUMNS];

static uint64_t screen_bytes(void)
{
    return (uint64_t)screen.pitch * screen.height;
}

static bool on_image(void)
{
    extern char image_start[], image_end[];
    return screen.pa < (uintptr_t)image_end && screen.pa + screen_bytes() > (uintptr_t)image_start;
}

// A horizontal stroke of n pixels.
static void stroke(unsigned x, unsigned y, unsigned n, uint32_t colour)
{
    unsigned bytes = screen.bits / 8;
    volatile uint8_t *p = pixels + (size_t)y * screen.pitch + (size_t)x * bytes;
    if (bytes == 4) {
        for (unsigned i = 0; i < n; i++)
            ((volatile uint32_t *)p)[i] = colour;
        return;
    }
    if (colour && bytes == 2)
        colour = 0xff; // fewer bits a channel: white
    for (unsigned i = 0; i < n * bytes; i++)
        p[i] = (uint8_t)colour;
}

static void draw(unsigned c, unsigned l)
{
    unsigned char ch = (unsigned char)cells[l][c];
    const uint8_t *glyph = font[ch - FONT_FIRST];
    unsigned x = c * CELL_DOTS * scale, y = l * CELL_ROWS * scale;
    for (unsigned row = 0; row < CELL_ROWS; row++) {
        unsigned dots = row >= 1 && row <= FONT_ROWS ? glyph[row - 1] : 0;
        for (unsigned s = 0; s < scale; s++, y++)
            for (unsigned d = 0; d < CELL_DOTS; d++)
                stroke(x + d * scale, y, scale, dots << d & 1u << (FONT_DOTS - 1) ? DOT : 0);
    }
}

static void clear(void)
{
    memset(cells, ' ', sizeof cells);
    for (unsigned y = 0; y < screen.height; y++)
        stroke(0, y, screen.width, 0);
    column = line = 0;
}

static void scroll(void)
{
    for (unsigned l = 0; l < lines; l++) {
        for (unsigned c = 0; c < columns; c++) {
            char now = l + 1 < lines ? cells[l + 1][c] : ' ';
            if (now == cells[l][c])
                continue;
            cells[l][c] = now;
            draw(c, l);
        }
    }
}

static void new_line(void)
{
    column = 0;
    if (line + 1 < lines)
        line++;
    else
        scroll();
}

static void put(char ch)
{
    switch (ch) {
    case '\n': new_line(); return;
    case '\r': column = 0; return;
    case '\b': column -= column > 0; return;
    case '\t': column = MIN(ROUND_DOWN(column, TAB) + TAB, columns - 1); return;
    }
    if ((unsigned char)ch < FONT_FIRST || (unsigned char)ch >= FONT_FIRST + FONT_GLYPHS)
        ch = '?';
    if (column == columns)
        new_line();
    if (cells[line][column] != ch) {
        cells[line][column] = ch;
        draw(column, line);
    }
    column++;
}

void screen_write(const char *s, size_t n)
{
    for (size_t i = 0; pixels && i < n; i++)
        put(s[i]);
}

void screen_init(const struct boot_framebuffer *fb)
{
    screen = *fb;
    pixels = NULL;
    unsigned bytes = screen.bits / 8;
    if (screen.pa == 0 || bytes < 2 || bytes > 4 || screen.width < CELL_DOTS ||
        screen.height < CELL_ROWS || screen.width > UINT16_MAX || screen.height > UINT16_MAX ||
        screen.pitch / bytes < screen.width || screen_bytes() > MAX_BYTES ||
        screen.pa > UINT64_MAX - screen_bytes() || on_image()) {
        screen.pa = 0;
        return;
    }
    scale = MIN(MAX(screen.width / (COLUMNS_WANTED * CELL_DOTS), 1u), MAX_SCALE);
    scale = MIN(scale, screen.height / CELL_ROWS);
    columns = MIN(screen.width / (CELL_DOTS * scale), MAX_COLUMNS);
    lines = MIN(screen.height / (CELL_ROWS * scale), MAX_LINES);
    uint64_t start, end;
    arch_boot_mapped(&start, &end);
    if (screen.pa >= start && screen.pa + screen_bytes() <= end) {
        pixels = phys_to_virt(screen.pa);
        clear();
    }
}

void screen_map(void)
{
    if (screen.pa == 0)
        return;
    bool blank = !pixels;
    pixels = vm_map_screen(screen.pa, (size_t)screen_bytes());
    if (pixels && blank)
        clear();
}
