// SPDX-License-Identifier: BSD-2-Clause
// test: cflags="-fno-builtin -fsanitize=address,undefined -fno-sanitize=alignment" timeout=120
//
// lib/string.c against the definition of each function, byte by byte, for every small length, every
// alignment and every overlap, on buffers whose ends are guarded.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define memcpy our_memcpy
#define memmove our_memmove
#define memset our_memset
#define memcmp our_memcmp
#define memchr our_memchr
#define strlen our_strlen
#define strnlen our_strnlen
#define strcmp our_strcmp
#define strncmp our_strncmp
#define strspn our_strspn
#define strchr our_strchr
#define strrchr our_strrchr
#include "lib/string.c"

enum { ROOM = 600, MAX_LEN = 200 };

#define CHECK(cond, ...)                                     \
    do {                                                     \
        if (!(cond)) {                                       \
            printf("%s:%d: ", __func__, __LINE__);           \
            printf(__VA_ARGS__);                             \
            printf("\n");                                    \
            exit(1);                                         \
        }                                                    \
    } while (0)

static void fill(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(i * 7 + i / 251 + 1);
}

typedef void *move_fn(void *, const void *, size_t);

static void check_move(size_t to, size_t from, size_t n, move_fn *move)
{
    unsigned char got[ROOM], want[ROOM], before[ROOM];
    fill(got, ROOM);
    fill(want, ROOM);
    fill(before, ROOM);
    for (size_t i = 0; i < n; i++)
        want[to + i] = before[from + i];
    CHECK(move(got + to, got + from, n) == got + to, "wrong result");
    for (size_t i = 0; i < ROOM; i++)
        CHECK(got[i] == want[i], "to %zu from %zu n %zu: byte %zu", to, from, n, i);
}

static void *copy(void *to, const void *from, size_t n)
{
    return our_memcpy(to, from, n);
}

static void test_move(void)
{
    for (size_t n = 0; n <= MAX_LEN; n++)
        for (size_t from = 100; from < 108; from++) {
            for (size_t to = from - 70; to <= from + 70; to += 1 + (n > 70))
                check_move(to, from, n, our_memmove);
            check_move(from + n + 1, from, n, copy);
            check_move(from + n, from, n, copy);
        }
}

static void test_set(void)
{
    for (size_t n = 0; n <= MAX_LEN; n++)
        for (size_t at = 16; at < 24; at++) {
            unsigned char got[ROOM];
            fill(got, ROOM);
            CHECK(our_memset(got + at, 0x1a5, n) == got + at, "wrong result");
            for (size_t i = 0; i < ROOM; i++) {
                unsigned char want = (unsigned char)(i * 7 + i / 251 + 1);
                if (i >= at && i < at + n)
                    want = 0xa5;
                CHECK(got[i] == want, "n %zu at %zu: byte %zu", n, at, i);
            }
        }
}

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

static void test_compare(void)
{
    for (size_t n = 0; n <= 40; n++)
        for (size_t differ = 0; differ <= n; differ++) {
            unsigned char *a = malloc(n + 1), *b = malloc(n + 1);
            fill(a, n + 1);
            fill(b, n + 1);
            a[n] = b[n] = 0;
            if (differ < n)
                b[differ] = 0xff;
            int want = differ < n ? -1 : 0;
            CHECK(sign(our_memcmp(a, b, n)) == want, "memcmp %zu %zu", n, differ);
            CHECK(sign(our_memcmp(b, a, n)) == -want, "memcmp %zu %zu", n, differ);
            CHECK(sign(our_strcmp((char *)a, (char *)b)) == want, "strcmp %zu %zu", n, differ);
            CHECK(our_strncmp((char *)a, (char *)b, differ) == 0, "strncmp %zu %zu", n, differ);
            CHECK(sign(our_strncmp((char *)a, (char *)b, n + 9)) == want, "strncmp %zu", n);
            free(a);
            free(b);
        }
}

static void test_search(void)
{
    CHECK(our_strspn("aabbc", "ab") == 4 && our_strspn("", "ab") == 0, "strspn");
    CHECK(our_strspn("ab", "") == 0 && our_strspn("ab", "ba") == 2, "strspn");
    for (size_t n = 0; n <= 40; n++) {
        char *s = malloc(n + 1);
        for (size_t i = 0; i < n; i++)
            s[i] = 'a';
        s[n] = '\0';
        CHECK(our_strlen(s) == n, "strlen %zu", n);
        CHECK(our_strnlen(s, n) == n && our_strnlen(s, n + 5) == n, "strnlen %zu", n);
        CHECK(our_strnlen(s, n / 2) == n / 2, "strnlen %zu", n);
        CHECK(our_strchr(s, '\0') == s + n && our_strrchr(s, '\0') == s + n, "end %zu", n);
        CHECK(our_strchr(s, 'b') == NULL && our_strrchr(s, 'b') == NULL, "absent %zu", n);
        CHECK(our_memchr(s, 'b', n) == NULL && our_memchr(s, '\0', n) == NULL, "memchr %zu", n);
        for (size_t i = 0; i < n; i++) {
            s[i] = (char)0xe9;
            CHECK(our_strchr(s, (char)0xe9) == s + i, "strchr %zu", i);
            CHECK(our_strchr(s, 0xe9) == s + i, "strchr %zu", i);
            CHECK(our_memchr(s, 0xe9, n) == s + i, "memchr %zu", i);
            CHECK(our_strrchr(s, 'a') == (n == 1 ? NULL : s + (i == n - 1 ? n - 2 : n - 1)),
                  "strrchr %zu", i);
            s[i] = 'a';
        }
        free(s);
    }
}

int main(void)
{
    test_move();
    test_set();
    test_compare();
    test_search();
    puts("ok");
    return 0;
}
