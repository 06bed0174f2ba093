// SPDX-License-Identifier: BSD-2-Clause
// Guards of the debug build. An object's room, its class size or its pages, is laid out as
//   [n bytes][red zone][struct guard]
// The red zone and the guard are checked when the object is freed; a freed object is filled with
// a pattern, but for the two words of the free list, and the pattern is checked when its room is
// handed out again.

#include "kernel/heap_int.h"
#include "kernel/panic.h"
#include "kernel/print.h"
#include "kernel/symtab.h"

#define BYTE_RED 0xfb  // between an object and its guard
#define BYTE_NEW 0xa5  // contents of a new object
#define BYTE_FREE 0xdd // contents of a free one
#define MAGIC_LIVE 0x6c1fe0b7ec70a3d5ull
#define MAGIC_FREE 0xf7ee5a9d1b20c463ull
#define LINK_BYTES 16

struct guard {
    size_t n;
    const void *alloc_site, *free_site;
    uint64_t magic; // last, so that fresh room is known by one word
};
_Static_assert(sizeof(struct guard) == HEAP_GUARD, "the guard is what heap_int.h says");

static struct guard *guard_of(const void *p, size_t room)
{
    return (struct guard *)((char *)(uintptr_t)p + room - HEAP_GUARD);
}

struct site { char text[96]; };

// The call before a return address, by name where the image knows it.
static struct site name_of(const void *pc)
{
    struct site s;
    const char *file, *func;
    size_t off;
    if (pc && symtab_lookup((uintptr_t)pc - 1, &file, &func, &off))
        ksnprintf(s.text, sizeof(s.text), "%s:%s+0x%lx", file, func, (unsigned long)off + 1);
    else
        ksnprintf(s.text, sizeof(s.text), "%p", (void *)(uintptr_t)pc);
    return s;
}

// A loop of single bytes: the ranges are odd, and speed is not what this build is for.
static void fill(unsigned char *at, unsigned char *end, unsigned char byte)
{
    for (; at < end; at++)
        *(volatile unsigned char *)at = byte;
}

static const unsigned char *differs(const unsigned char *at, const unsigned char *end,
                                    unsigned char byte)
{
    for (; at < end; at++)
        if (*at != byte)
            return at;
    return NULL;
}

void heap_guard_fresh(void *p, size_t room) { guard_of(p, room)->magic = 0; }

void heap_guard_set(void *p, size_t room, size_t n, const void *site)
{
    struct guard *g = guard_of(p, room);
    unsigned char *at = p;
    if (g->magic == MAGIC_FREE) {
        const unsigned char *bad = differs(at + LINK_BYTES, (unsigned char *)g, BYTE_FREE);
        if (bad)
            throw("malloc: %p, allocated at %s, freed at %s, was written to since, byte %zu",
                  p, name_of(g->alloc_site).text, name_of(g->free_site).text,
                  (size_t)(bad - at));
    }
    fill(at, at + n, BYTE_NEW);
    fill(at + n, (unsigned char *)g, BYTE_RED);
    *g = (struct guard){ .n = n, .alloc_site = site, .magic = MAGIC_LIVE };
}

static void check_live(const void *p, size_t room, const char *who)
{
    const struct guard *g = guard_of(p, room);
    const unsigned char *at = p;
    if (g->magic != MAGIC_LIVE || g->n > room - HEAP_GUARD)
        throw("%s: the guard behind %p is overwritten", who, p);
    const unsigned char *bad = differs(at + g->n, (const unsigned char *)g, BYTE_RED);
    if (bad)
        throw("%s: %p, %zu bytes allocated at %s, was written beyond its end, byte %zu", who, p,
              g->n, name_of(g->alloc_site).text, (size_t)(bad - at));
}

void heap_guard_clear(void *p, size_t room, const void *site)
{
    struct guard *g = guard_of(p, room);
    check_live(p, room, "free");
    g->free_site = site;
    g->magic = MAGIC_FREE;
    fill((unsigned char *)p + LINK_BYTES, (unsigned char *)g, BYTE_FREE);
}

size_t heap_guard_length(const void *p, size_t room)
{
    check_live(p, room, "realloc");
    return guard_of(p, room)->n;
}

_Noreturn void heap_guard_double_free(void *p, size_t room)
{
    struct guard *g = guard_of(p, room);
    throw("free: %p, allocated at %s, has been freed at %s already", p,
          name_of(g->alloc_site).text, name_of(g->free_site).text);
}
