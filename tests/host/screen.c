// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=kernel/screen.c,kernel/font.c
// test: cflags="-fsanitize=address,undefined -fno-pie -no-pie"
//
// The console on a screen: screens of many sizes, pitches and depths, in memory of exactly their
// size, so that the sanitizer sees a dot beside them. Text of all kinds scrolls by; what the dots
// show is read back by the font and compared with a page kept by hand. Screens that cannot be are
// not touched.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/bootinfo.h"
#include "kernel/page.h"
#include "kernel/screen.h"
#include "kernel/vm.h"

#define PA 0x200000000ull // beyond what the boot tables map

uintptr_t direct_map_base;
static uint8_t *memory;
static int failures;

__asm__(".globl image_start, image_end\n.set image_start, 0x100000\n.set image_end, 0x200000");

#define CHECK(cond)                                                       \
    do {                                                                  \
        if (!(cond)) {                                                    \
            printf("%s:%d: not so: %s\n", __func__, __LINE__, #cond);     \
            failures++;                                                   \
        }                                                                 \
    } while (0)

void arch_boot_mapped(uint64_t *start, uint64_t *end)
{
    *start = 0;
    *end = (uint64_t)1 << 32;
}

void *vm_map_screen(uint64_t pa, size_t len)
{
    CHECK(pa == PA);
    free(memory);
    return memory = malloc(len); // with whatever was there
}

static uint32_t random_state = 1;

static uint32_t rand_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)random_state * n) >> 32);
}

// The page by hand.
static char page[200][300];
static unsigned rows, cols, row, col;

static void page_newline(void)
{
    col = 0;
    if (++row < rows)
        return;
    row = rows - 1;
    memmove(page[0], page[1], sizeof page[0] * (rows - 1));
    memset(page[rows - 1], ' ', sizeof page[0]);
}

static void page_put(char c)
{
    if (c == '\n') {
        page_newline();
    } else if (c == '\r') {
        col = 0;
    } else if (c == '\b') {
        col -= col > 0;
    } else if (c == '\t') {
        col = col / 8 * 8 + 8 < cols ? col / 8 * 8 + 8 : cols - 1;
    } else {
        if (col == cols)
            page_newline();
        page[row][col++] = c >= ' ' && c <= '~' ? c : '?';
    }
}

static bool lit(const struct boot_framebuffer *fb, unsigned x, unsigned y)
{
    unsigned bytes = fb->bits / 8;
    const uint8_t *p = memory + (size_t)y * fb->pitch + x * bytes;
    unsigned n = 0;
    for (unsigned i = 0; i < bytes; i++)
        n += p[i] != 0;
    CHECK(n == 0 || n == bytes);
    return n;
}

static char cell(const struct boot_framebuffer *fb, unsigned c, unsigned r, unsigned scale)
{
    for (unsigned g = 0; g < FONT_GLYPHS; g++) {
        bool same = true;
        for (unsigned y = 0; y < 10 && same; y++)
            for (unsigned x = 0; x < 6 && same; x++) {
                unsigned dots = y >= 1 && y <= FONT_ROWS ? font[g][y - 1] : 0;
                same = lit(fb, (c * 6 + x) * scale + rand_below(scale),
                           (r * 10 + y) * scale + rand_below(scale)) == (dots << x >> 4 & 1);
            }
        if (same)
            return (char)(FONT_FIRST + g);
    }
    return 0;
}

static void test_screen(unsigned width, unsigned height, unsigned bits, unsigned more)
{
    struct boot_framebuffer fb = {
        PA, width * bits / 8 + more, width, height, bits
    };
    unsigned scale = width / 480 ? width / 480 : 1;
    scale = scale > 8 ? 8 : scale;
    scale = scale > height / 10 ? height / 10 : scale;
    cols = width / (6 * scale);
    rows = height / (10 * scale);
    cols = cols > 240 ? 240 : cols;
    rows = rows > 120 ? 120 : rows;
    row = col = 0;
    memset(page, ' ', sizeof page);
    screen_init(&fb);
    screen_write("lost", 4);
    screen_map();
    for (unsigned i = 0; i < 3000; i++) {
        char c = (char)(rand_below(40) == 0 ? "\n\r\b\t\x07\x80\xff\n"[rand_below(8)] :
                        ' ' + (int)rand_below(95));
        screen_write(&c, 1);
        page_put(c);
    }
    for (unsigned r = 0; r < rows && !failures; r++)
        for (unsigned c = 0; c < cols && !failures; c++)
            CHECK(cell(&fb, c, r, scale) == page[r][c]);
    free(memory);
    memory = NULL;
}

static void test_refused(uint64_t pa, uint32_t pitch, uint32_t width, uint32_t height,
                         uint32_t bits)
{
    struct boot_framebuffer fb = { pa, pitch, width, height, bits };
    screen_init(&fb);
    screen_map();
    screen_write("x", 1);
    CHECK(memory == NULL);
}

int main(void)
{
    for (unsigned a = 0; a < FONT_GLYPHS; a++)
        for (unsigned b = 0; b < a; b++)
            CHECK(memcmp(font[a], font[b], FONT_ROWS) != 0);
    test_screen(1024, 768, 32, 0);
    test_screen(800, 600, 24, 8);
    test_screen(640, 480, 16, 64);
    test_screen(1366, 768, 32, 40);
    test_screen(2000, 35, 32, 0);
    test_screen(6, 10, 32, 4);
    test_screen(500, 11, 24, 3);
    test_screen(3840, 2160, 32, 0);
    test_refused(0, 4096, 1024, 768, 32);
    test_refused(PA, 4095, 1024, 768, 32);
    test_refused(PA, 4096, 1024, 768, 8);
    test_refused(PA, 4096, 1024, 768, 40);
    test_refused(PA, 4096, 5, 768, 32);
    test_refused(PA, 4096, 1024, 9, 32);
    test_refused(PA, UINT32_MAX, 1024, 768, 32);
    test_refused(PA, UINT32_MAX, UINT32_MAX, UINT32_MAX, 32);
    test_refused(UINT64_MAX - 4096, 4096, 1024, 768, 32);
    test_refused(0x1ff000, 4096, 1024, 768, 32);
    printf("screen: eight screens, ten refused: %d failures\n", failures);
    return failures != 0;
}
