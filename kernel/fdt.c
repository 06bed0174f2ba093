// SPDX-License-Identifier: BSD-2-Clause
// Reads a flattened device tree in place. The structure block is a sequence of 32-bit big-endian
// tokens: a node begins with its name, then its properties, then the nodes in it, then its end.
//
// The tree is somebody else's data. Every step checks that it stays within the block it is in, and
// what does not ends the walk as though the tree ended there; each step moves on by at least a
// token, so a walk ends.

#include "kernel/fdt.h"

#include <string.h>

#include "lib/util.h"

enum { MAGIC = 0xd00dfeed, BEGIN_NODE = 1, END_NODE = 2, PROP = 3, NOP = 4, HEADER = 40 };

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// [off, off + len) of the blob as pointers.
static bool block(const struct fdt *f, uint32_t off, uint32_t len, const uint8_t **start,
                  const uint8_t **end)
{
    if (off > f->size || len > f->size - off)
        return false;
    *start = f->base + off;
    *end = *start + len;
    return true;
}

bool fdt_open(struct fdt *f, const void *p, size_t max)
{
    const uint8_t *b = p;
    *f = (struct fdt){ .base = b };
    if (!b || max < HEADER || be32(b) != MAGIC)
        return false;
    uint32_t version = be32(b + 20), compatible = be32(b + 24);
    f->size = be32(b + 4);
    // 17 is the only version there has been for twenty years, and says how long its blocks are.
    if (f->size < HEADER || f->size > max || version < 17 || compatible > 17)
        return false;
    uint32_t rsv = be32(b + 16);
    return (be32(b + 8) & 3) == 0 && rsv <= f->size &&
           block(f, be32(b + 8), be32(b + 36), &f->tree, &f->tree_end) &&
           block(f, be32(b + 12), be32(b + 32), &f->strings, &f->strings_end) &&
           block(f, rsv, f->size - rsv, &f->reserved, &f->reserved_end);
}

// Length of the string at p, -1 if it does not end before `end`.
static ptrdiff_t length(const uint8_t *p, const uint8_t *end)
{
    for (const uint8_t *q = p; q < end; q++)
        if (*q == 0)
            return q - p;
    return -1;
}

// What stands at *at; *at moves behind it. 0: nothing more that makes sense. For a property, its
// name's offset and its value are left in *name and *value; for a node, its name in value.
static uint32_t token(const struct fdt *f, const uint8_t **at, uint32_t *name,
                      struct fdt_prop *value)
{
    const uint8_t *p = *at, *end = f->tree_end;
    uint32_t what;
    do {
        if (end - p < 4)
            return 0;
        what = be32(p);
        p += 4;
    } while (what == NOP);
    uint32_t len = 0;
    if (what == BEGIN_NODE) {
        ptrdiff_t n = length(p, end);
        if (n < 0)
            return 0;
        len = (uint32_t)n + 1;
    } else if (what == PROP) {
        if (end - p < 8)
            return 0;
        len = be32(p);
        *name = be32(p + 4);
        p += 8;
    } else if (what != END_NODE) {
        return 0;
    }
    if ((size_t)(end - p) < len)
        return 0;
    *value = (struct fdt_prop){ p, len };
    // Tokens are aligned to 4 within the block.
    size_t next = ROUND_UP((size_t)(p - f->tree) + len, (size_t)4);
    *at = next <= (size_t)(end - f->tree) ? f->tree + next : end;
    return what;
}

const char *fdt_name(fdt_node node)
{
    return (const char *)node;
}

// Where the token after the node's name stands.
static const uint8_t *after_name(const struct fdt *f, fdt_node node)
{
    size_t n = (size_t)length(node, f->tree_end) + 1;
    size_t next = ROUND_UP((size_t)(node - f->tree) + n, (size_t)4);
    return next <= (size_t)(f->tree_end - f->tree) ? f->tree + next : f->tree_end;
}

fdt_node fdt_next(const struct fdt *f, fdt_node node, int *depth)
{
    const uint8_t *at = node ? after_name(f, node) : f->tree;
    if (!node)
        *depth = -1;
    uint32_t what, name;
    struct fdt_prop value;
    while ((what = token(f, &at, &name, &value)) != 0) {
        if (what == BEGIN_NODE) {
            (*depth)++;
            return value.p;
        }
        if (what == END_NODE && --*depth < 0)
            return NULL;
    }
    return NULL;
}

struct fdt_prop fdt_get(const struct fdt *f, fdt_node node, const char *name)
{
    const uint8_t *at = after_name(f, node);
    size_t n = strlen(name) + 1;
    uint32_t off;
    struct fdt_prop value;
    while (token(f, &at, &off, &value) == PROP) {
        size_t room = (size_t)(f->strings_end - f->strings);
        if (off < room && n <= room - off && memcmp(f->strings + off, name, n) == 0)
            return value;
    }
    return (struct fdt_prop){ NULL, 0 };
}

uint32_t fdt_cell(struct fdt_prop prop, uint32_t i)
{
    return i < prop.len / 4 ? be32(prop.p + 4 * i) : 0;
}

uint64_t fdt_number(struct fdt_prop prop, uint32_t i, uint32_t n)
{
    uint64_t v = 0;
    for (uint32_t k = 0; k < n; k++)
        v = v << 32 | fdt_cell(prop, i + k);
    return v;
}

uint32_t fdt_u32(const struct fdt *f, fdt_node node, const char *name, uint32_t dflt)
{
    struct fdt_prop prop = fdt_get(f, node, name);
    return prop.p && prop.len == 4 ? fdt_cell(prop, 0) : dflt;
}

const char *fdt_string(const struct fdt *f, fdt_node node, const char *name)
{
    struct fdt_prop prop = fdt_get(f, node, name);
    return prop.p && length(prop.p, prop.p + prop.len) >= 0 ? (const char *)prop.p : NULL;
}

bool fdt_has(const struct fdt *f, fdt_node node, const char *name, const char *value)
{
    struct fdt_prop prop = fdt_get(f, node, name);
    const uint8_t *end = prop.p + prop.len;
    size_t want = strlen(value);
    for (const uint8_t *p = prop.p; p && p < end;) {
        ptrdiff_t n = length(p, end);
        if (n < 0)
            return false;
        if ((size_t)n == want && memcmp(p, value, want) == 0)
            return true;
        p += n + 1;
    }
    return false;
}

bool fdt_reserved(const struct fdt *f, unsigned n, uint64_t *start, uint64_t *len)
{
    if ((size_t)(f->reserved_end - f->reserved) / 16 <= n)
        return false;
    struct fdt_prop entry = { f->reserved + 16 * (size_t)n, 16 };
    *start = fdt_number(entry, 0, 2);
    *len = fdt_number(entry, 2, 2);
    return *start != 0 || *len != 0;
}
