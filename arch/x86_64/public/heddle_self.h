// SPDX-License-Identifier: BSD-2-Clause
// For the inline functions of <heddle/...>: who the calling goroutine is.
#ifndef HEDDLE_SELF_H
#define HEDDLE_SELF_H

struct g;

// The same for ever within one goroutine, so a compiler may keep it.
static inline struct g *heddle_self(void)
{
    struct g *gp;
    __asm__("movq %%gs:0, %0" : "=r"(gp));
    return gp;
}

#endif
