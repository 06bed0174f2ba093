// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=boot/x86_64/multiboot*.c,boot/x86_64/pvh.c,boot/efi_map.c,boot/cmdline_text.c
// test: srcs+=kernel/bootinfo.c,kernel/bootinfo_add.c cflags=-fsanitize=address,undefined
// test: cflags+="-fno-pie -no-pie" timeout=120
//
// What loaders tell: complete information of each kind, then some ten thousand distortions of it.
// Memory is handed out in copies of exactly the bytes asked for, so that the sanitizer sees a read
// beyond what was checked. Whatever was told, the memory map that results has no two ranges that
// overlap, is in order, and leaves out the kernel's image.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/efi_map.h"
#include "boot/x86_64/boot.h"
#include "kernel/bootinfo.h"
#include "kernel/page.h"
#include "kernel/print.h"

#define BASE 0x10000u
#define SIZE 0x4000u
#define IMAGE 0x100000u

// The linker script's names for the image; only their addresses count.
extern char image_start[], image_end[];
__asm__(".globl image_start, image_end\n.set image_start, 0x100000\n.set image_end, 0x200000");

uint64_t virt_to_phys(const void *va)
{
    return (uintptr_t)va;
}

static uint8_t memory[SIZE]; // physical [BASE, BASE + SIZE)
static void *copies[4096];
static unsigned n_copies;
static int failures;

#define CHECK(cond)                                                       \
    do {                                                                  \
        if (!(cond)) {                                                    \
            printf("%s:%d: not so: %s\n", __func__, __LINE__, #cond);     \
            failures++;                                                   \
        }                                                                 \
    } while (0)

void kprintf(const char *fmt, ...)
{
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
}

const void *boot_phys(uint64_t pa, size_t len)
{
    if (pa < BASE || pa - BASE >= SIZE || len > SIZE - (pa - BASE))
        return NULL;
    if (n_copies == 4096) {
        printf("more looks at memory than there can be reasons for\n");
        exit(1);
    }
    void *copy = malloc(len ? len : 1);
    memcpy(copy, memory + (pa - BASE), len);
    return copies[n_copies++] = copy;
}

const char *boot_phys_text(uint64_t pa, size_t max, size_t *len)
{
    *len = pa >= BASE && pa < BASE + SIZE && max > BASE + SIZE - pa ? BASE + SIZE - pa : max;
    return boot_phys(pa, *len);
}

static void forget_copies(void)
{
    while (n_copies)
        free(copies[--n_copies]);
}

static void put(uint32_t pa, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++)
        memory[pa - BASE + i] = (uint8_t)(v >> 8 * i);
}

static void put_text(uint32_t pa, const char *s) { strcpy((char *)memory + (pa - BASE), s); }

static uint64_t random_state = 88172645463325252ull;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

// The same machine in four languages: 640 KiB less one, 127 MiB from 1 MiB, ACPI tables behind it,
// 2 GiB from 4 GiB.
static const struct { uint64_t start, len; uint32_t e820, efi; } machine[] = {
    { 0, 0x9fc00, 1, 7 }, { 0xf0000, 0x10000, 2, 0 }, { 0x100000, 0x7e00000, 1, 7 },
    { 0x7f00000, 0x10000, 3, 9 }, { 0x100000000, 0x80000000, 1, 7 },
};

enum { TEXT = BASE + 0x2000, MODULE_TEXT = BASE + 0x3000 };

static void make_texts(void)
{
    memset(memory, 0, sizeof memory);
    put_text(TEXT, "app=x log=1");
    put_text(TEXT + 0x100, "cmdline");
    put_text(MODULE_TEXT, "\xef\xbb\xbf# a note\r\nip=dhcp\r\n\r\n  # another\r\n-- \"a b\"");
}

static uint32_t make_pvh(void)
{
    make_texts();
    put(BASE, 4, 0x336ec578);
    put(BASE + 4, 4, 1);
    put(BASE + 24, 8, TEXT);
    put(BASE + 32, 8, 0xf5000);
    put(BASE + 40, 8, BASE + 0x100);
    put(BASE + 48, 4, 5);
    for (unsigned i = 0; i < 5; i++) {
        put(BASE + 0x100 + i * 24, 8, machine[i].start);
        put(BASE + 0x108 + i * 24, 8, machine[i].len);
        put(BASE + 0x110 + i * 24, 4, machine[i].e820);
    }
    return 0x300;
}

static void put_framebuffer(uint32_t at)
{
    put(at, 8, 0xc0000000);
    put(at + 8, 4, 4096);
    put(at + 12, 4, 1000);
    put(at + 16, 4, 700);
    put(at + 20, 1, 32);
    put(at + 21, 1, 1);
}

static uint32_t make_multiboot1(void)
{
    make_texts();
    put(BASE, 4, 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 12);
    put(BASE + 4, 4, 639);
    put(BASE + 8, 4, 0x7e00000 >> 10);
    put(BASE + 16, 4, TEXT);
    put(BASE + 20, 4, 1);
    put(BASE + 24, 4, BASE + 0x80);
    put(BASE + 44, 4, 5 * 24);
    put(BASE + 48, 4, BASE + 0x100);
    put(BASE + 0x80, 4, MODULE_TEXT);
    put(BASE + 0x84, 4, MODULE_TEXT + strlen((char *)memory + (MODULE_TEXT - BASE)));
    put(BASE + 0x88, 4, TEXT + 0x100);
    put_framebuffer(BASE + 88);
    for (unsigned i = 0; i < 5; i++) {
        put(BASE + 0x100 + i * 24, 4, 20);
        put(BASE + 0x104 + i * 24, 8, machine[i].start);
        put(BASE + 0x10c + i * 24, 8, machine[i].len);
        put(BASE + 0x114 + i * 24, 4, machine[i].e820);
    }
    return 0x200;
}

static uint32_t tag_at; // where make_multiboot2 puts the next one

static uint32_t tag(uint32_t type, uint32_t body)
{
    uint32_t at = tag_at;
    put(at, 4, type);
    put(at + 4, 4, 8 + body);
    tag_at += (8 + body + 7) & ~7u;
    return at + 8;
}

static void put_efi_map(uint32_t at)
{
    for (unsigned i = 0; i < 5; i++, at += 48) {
        put(at, 4, machine[i].efi);
        put(at + 8, 8, machine[i].start);
        put(at + 24, 8, machine[i].len >> 12);
        put(at + 32, 8, 0xf);
    }
}

static uint32_t make_multiboot2(bool efi)
{
    make_texts();
    tag_at = BASE + 8;
    put_text(tag(1, 12), "app=x log=1");
    uint32_t m = tag(3, 16);
    put(m, 4, MODULE_TEXT);
    put(m + 4, 4, MODULE_TEXT + strlen((char *)memory + (MODULE_TEXT - BASE)));
    put_text(m + 8, "cmdline");
    m = tag(4, 8);
    put(m, 4, 639);
    put(m + 4, 4, 0x7e00000 >> 10);
    if (efi) {
        m = tag(17, 8 + 5 * 48);
        put(m, 4, 48);
        put(m + 4, 4, 1);
        put_efi_map(m + 8);
    } else {
        m = tag(6, 8 + 5 * 24);
        put(m, 4, 24);
        for (unsigned i = 0; i < 5; i++) {
            put(m + 8 + i * 24, 8, machine[i].start);
            put(m + 16 + i * 24, 8, machine[i].len);
            put(m + 24 + i * 24, 4, machine[i].e820);
        }
    }
    put_framebuffer(tag(8, 24));
    put_text(tag(14, 20), "RSD PTR old");
    put_text(tag(15, 36), "RSD PTR new");
    tag(0, 0);
    put(BASE, 4, tag_at - BASE);
    return tag_at - BASE;
}

typedef bool reader(struct bootinfo *bi, uint64_t pa);

static bool read_with(reader *read, struct bootinfo *bi)
{
    memset(bi, 0, sizeof *bi);
    bool known = read(bi, BASE);
    if (!bi->cmdline)
        bi->cmdline = "";
    return known;
}

static void check_map(struct bootinfo *bi)
{
    bootinfo_normalise(bi);
    CHECK(bi->n_ranges <= BOOT_MAX_RANGES);
    CHECK(bi->low_page % 4096 == 0 && bi->low_page < 0xa0000);
    for (size_t i = 0; i < bi->n_ranges; i++) {
        const struct mem_range *r = &bi->ranges[i];
        CHECK(r->start < r->end);
        CHECK(i == 0 || bi->ranges[i - 1].end <= r->start);
        CHECK(r->kind != MEM_USABLE || r->start >= 2 * IMAGE || r->end <= IMAGE);
        CHECK(r->kind != MEM_USABLE || r->start >= IMAGE);
    }
}

static void check_machine(struct bootinfo *bi, const char *loader, const char *line)
{
    CHECK(strcmp(bi->loader, loader) == 0 && strcmp(bi->cmdline, line) == 0);
    CHECK(bi->n_ranges == 5 && bi->n_dropped == 0);
    const struct boot_framebuffer *fb = &bi->framebuffer;
    CHECK(fb->pa == 0 || (fb->pa == 0xc0000000 && fb->pitch == 4096 && fb->width == 1000 &&
                          fb->height == 700 && fb->bits == 32));
    CHECK((fb->pa == 0) == (strcmp(loader, "pvh") == 0));
    check_map(bi);
    CHECK(bi->low_page == 0x8000);
    uint64_t usable = 0, acpi = 0;
    for (size_t i = 0; i < bi->n_ranges; i++) {
        usable += bi->ranges[i].kind == MEM_USABLE ? bi->ranges[i].end - bi->ranges[i].start : 0;
        acpi += bi->ranges[i].kind == MEM_ACPI ? bi->ranges[i].end - bi->ranges[i].start : 0;
    }
    CHECK(usable == 0x7d00000 + 0x80000000ull && acpi == 0x10000);
}

#define FILE_LINE "app=x log=1 ip=dhcp      -- \"a b\""

// Words of a line, so that the number of blanks between does not matter.
static bool same_words(const char *a, const char *b)
{
    for (;;) {
        a += strspn(a, " ");
        b += strspn(b, " ");
        size_t n = strcspn(a, " ");
        if (n != strcspn(b, " ") || memcmp(a, b, n) != 0)
            return false;
        if (n == 0)
            return true;
        a += n;
        b += n;
    }
}

static void test_complete(void)
{
    static struct bootinfo bi;
    make_pvh();
    CHECK(read_with(pvh_read, &bi) && bi.rsdp_pa == 0xf5000);
    check_machine(&bi, "pvh", "app=x log=1");
    forget_copies();

    make_multiboot1();
    CHECK(read_with(multiboot1_read, &bi) && same_words(bi.cmdline, FILE_LINE));
    check_machine(&bi, "multiboot", bi.cmdline);
    put(BASE, 4, 1); // sizes only
    CHECK(read_with(multiboot1_read, &bi) && bi.n_ranges == 2 && bi.ranges[1].end == 0x7f00000);
    forget_copies();

    for (int efi = 0; efi < 2; efi++) {
        make_multiboot2(efi);
        CHECK(read_with(multiboot2_read, &bi) && same_words(bi.cmdline, FILE_LINE));
        CHECK(bi.rsdp_pa && memcmp((void *)(uintptr_t)bi.rsdp_pa, "RSD PTR new", 12) == 0);
        if (efi)
            CHECK(bi.ranges[1].kind == MEM_RESERVED && bi.ranges[3].kind == MEM_ACPI);
        check_machine(&bi, "multiboot2", bi.cmdline);
        forget_copies();
    }
}

static void test_refusals(void)
{
    static struct bootinfo bi;
    make_pvh();
    put(BASE, 4, 1);
    CHECK(!read_with(pvh_read, &bi) && bi.n_ranges == 0);
    make_multiboot2(false);
    put(BASE, 4, 4);
    CHECK(!read_with(multiboot2_read, &bi));
    put(BASE, 4, SIZE + 1);
    CHECK(!read_with(multiboot2_read, &bi));
    memset(&bi, 0, sizeof bi);
    CHECK(!efi_map_read(&bi, memory, 100, 39) && !efi_map_read(&bi, memory, 100, 0));
    CHECK(efi_map_read(&bi, memory, 39, 48) && bi.n_ranges == 0);
    CHECK(efi_map_read(&bi, memory, 100, SIZE_MAX) && bi.n_ranges <= 1); // the first only
    bi.n_ranges = 0;
    // Usable memory that cannot be cached, or that nobody has heard of.
    memset(memory, 0, 48);
    memory[0] = 7;
    memory[24] = 1;
    CHECK(efi_map_read(&bi, memory, 48, 48) && bi.n_ranges == 1);
    CHECK(bi.ranges[0].kind == MEM_RESERVED);
    bi.n_ranges = 0;
    memset(memory + 24, 0xff, 8);
    memory[8] = 1;
    memory[32] = 8;
    CHECK(efi_map_read(&bi, memory, 48, 48) && bi.ranges[0].end == UINT64_MAX);
    forget_copies();
}

static void test_line(void)
{
    char line[16];
    CHECK(cmdline_text_append(line, sizeof line, 0, "abc\n#x\ndef", 10) == 8);
    CHECK(strcmp(line, "abc  def") == 0);
    CHECK(cmdline_text_append(line, sizeof line, 8, "0123456789", 10) == 15);
    CHECK(strcmp(line, "abc  def 012345") == 0);
    CHECK(cmdline_text_append(line, 1, 0, "abc", 3) == 0 && line[0] == '\0');
    CHECK(cmdline_text_append(line, sizeof line, 0, "a#b\0c", 5) == 3 && !strcmp(line, "a#b"));
    CHECK(cmdline_text_append(line, sizeof line, 0, "# only", 6) == 0 && line[0] == '\0');
}

static void test_many_ranges(void)
{
    static struct bootinfo bi;
    memset(&bi, 0, sizeof bi);
    for (unsigned i = 0; i < 3 * BOOT_MAX_RANGES; i++)
        bootinfo_add(&bi, 0x1000000 + i * 0x2000ull, 0x1000, MEM_USABLE);
    CHECK(bi.n_ranges == BOOT_MAX_RANGES && bi.n_dropped == 2 * BOOT_MAX_RANGES);
    check_map(&bi);
    memset(&bi, 0, sizeof bi);
    for (unsigned i = 0; i < 3 * BOOT_MAX_RANGES; i++)
        bootinfo_add(&bi, 0x1000000 + i * 0x1000ull, 0x1000, MEM_USABLE);
    CHECK(bi.n_ranges == 1 && bi.n_dropped == 0);
}

static void distort(uint32_t used)
{
    for (unsigned changes = 1 + next_random() % 8; changes; changes--) {
        uint32_t at = next_random() % 8 ? next_random() % used : next_random() % SIZE;
        switch (next_random() % 5) {
        case 0: memory[at] = (uint8_t)next_random(); break;
        case 1: memory[at] = 0xff; break;
        case 2: memory[at] = 0; break;
        case 3: memory[at] ^= (uint8_t)(1 << next_random() % 8); break;
        default: memset(memory + at, (int)next_random(), SIZE - at < 8 ? SIZE - at : 8); break;
        }
    }
}

static void test_distortions(unsigned runs)
{
    static struct bootinfo bi;
    for (unsigned run = 0; run < runs && !failures; run++) {
        reader *read = run % 4 == 0 ? pvh_read : run % 4 == 1 ? multiboot1_read : multiboot2_read;
        distort(run % 4 == 0 ? make_pvh() : run % 4 == 1 ? make_multiboot1() :
                make_multiboot2(run % 4 == 3));
        read_with(read, &bi);
        CHECK(strnlen(bi.cmdline, BOOT_LINE_BYTES) < BOOT_LINE_BYTES);
        check_map(&bi);
        forget_copies();
    }
}

int main(void)
{
    const unsigned runs = 40000;
    test_complete();
    test_refusals();
    test_line();
    test_many_ranges();
    test_distortions(runs);
    printf("boot: four loaders, %u distortions: %d failures\n", runs, failures);
    return failures != 0;
}
