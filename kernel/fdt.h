// SPDX-License-Identifier: BSD-2-Clause
// The flattened device tree as a format (Devicetree Specification, chapter 5): nodes and their
// properties, read where they lie. What they mean is devtree.h's business.
#ifndef KERNEL_FDT_H
#define KERNEL_FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fdt {
    const uint8_t *base;
    const uint8_t *tree, *tree_end;       // the structure block
    const uint8_t *strings, *strings_end;
    const uint8_t *reserved, *reserved_end; // pairs of addresses and lengths
    uint32_t size;
};

// A node: where its properties begin. NULL: none.
typedef const uint8_t *fdt_node;

struct fdt_prop {
    const uint8_t *p; // NULL: no such property
    uint32_t len;
};

// fdt.c. No allocation, no lock; nothing outside [p, p + max) is read, whatever the tree says.

// False if there is no believable tree.
bool fdt_open(struct fdt *f, const void *p, size_t max);
// The node after `node` in the order of the file (the root first, for NULL); *depth is its depth,
// 0 for the root. Give the same variable at each step. NULL: there are no more.
fdt_node fdt_next(const struct fdt *f, fdt_node node, int *depth);
// The node's name, "memory@40000000" say; "" for the root.
const char *fdt_name(fdt_node node);
struct fdt_prop fdt_get(const struct fdt *f, fdt_node node, const char *name);
// Cell i of a property, 0 if it is not that long.
uint32_t fdt_cell(struct fdt_prop prop, uint32_t i);
// A number of n cells (0 to 2; of more the last two count) from cell i on.
uint64_t fdt_number(struct fdt_prop prop, uint32_t i, uint32_t n);
// A property of one cell, or dflt.
uint32_t fdt_u32(const struct fdt *f, fdt_node node, const char *name, uint32_t dflt);
// A property that is a string, NULL unless it ends within itself.
const char *fdt_string(const struct fdt *f, fdt_node node, const char *name);
// Whether one of the strings of a property (compatible) is that one.
bool fdt_has(const struct fdt *f, fdt_node node, const char *name, const char *value);
// Memory the loader wants kept: entry n. False past the last.
bool fdt_reserved(const struct fdt *f, unsigned n, uint64_t *start, uint64_t *len);

#endif
