// SPDX-License-Identifier: BSD-2-Clause
// newlib's per-goroutine state.
#ifndef LIBC_REENT_H
#define LIBC_REENT_H

struct g;

// reent.c

// Frees what newlib has allocated for gp. Context: gp itself, ending.
void reent_goroutine_exit(struct g *gp);

#endif
