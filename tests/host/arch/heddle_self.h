// SPDX-License-Identifier: BSD-2-Clause
// As arch_inline.h beside it, for the inline functions of <heddle/...>.
#ifndef HEDDLE_SELF_H
#define HEDDLE_SELF_H

struct g;
extern _Thread_local struct g *host_g;

static inline struct g *heddle_self(void) { return host_g; }

#endif
