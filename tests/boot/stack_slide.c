// SPDX-License-Identifier: BSD-2-Clause
// test: smp=2 expect="^stacks lie anywhere$"
//
// Where stacks lie is drawn at each boot: for each class of stacks by itself, and not at the
// beginning of its addresses. Beside the first stack of a class nothing is mapped.

#include <arch_layout.h>

#include "tests/boot/check.h"

static struct chan *told;

static void tell(void *unused)
{
    (void)unused;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    chan_send(told, &here);
}

int main(void)
{
    enum { CLASSES = 6 };
    const uintptr_t part = (uintptr_t)1 << STACK_CLASS_SHIFT;
    uintptr_t at[CLASSES];
    unsigned low = 0, same = 0;
    told = chan_make(sizeof(uintptr_t), 0);
    for (unsigned i = 0; i < CLASSES; i++) {
        struct go_attr attr = { .stack_max = (size_t)1 << (19 + i) };
        check(go_with(&attr, tell, NULL) == 0 && chan_recv(told, &at[i]));
        check(at[i] >= STACK_BASE);
        at[i] = (at[i] - STACK_BASE) % part;
        check(at[i] < part / 2);
        low += at[i] < (1u << 27);
        for (unsigned k = 0; k < i; k++)
            same += (at[i] ^ at[k]) >> 28 == 0;
        check(stack_fault(STACK_BASE + (4 + i) * part) == STACK_FAULT_NOT_STACK);
    }
    // By accident: one in a hundred at worst for a single class, where parts are smallest.
    check(low < 3 && same < 3);
    puts("stacks lie anywhere");
    return 0;
}
