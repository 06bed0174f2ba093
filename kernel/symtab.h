// SPDX-License-Identifier: BSD-2-Clause
// Names for code addresses, for backtraces.
#ifndef KERNEL_SYMTAB_H
#define KERNEL_SYMTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// symtab.c

// The function that holds pc: its source file's base name ("" when unknown), its name, and how far
// into it pc is. False when pc is outside the image's text, or the image holds no table; nothing is
// written then. Allocates nothing, takes no lock. Context: any, panics included.
bool symtab_lookup(uintptr_t pc, const char **file, const char **func, size_t *off);

#endif
