// SPDX-License-Identifier: BSD-2-Clause
// What AddressSanitizer has to be told of stacks. A function marks the room around its variables as
// out of bounds when it begins and clears the marks when it ends. Frames that are left in another
// way leave theirs behind: those of g0, which is begun afresh at each switch, those a longjmp
// skips, those of a goroutine that ends. They are cleared here before the stack is used again.
//
// This file is compiled without the sanitizer, and empty without it.

#include "arch/arch.h"
#include "arch/host/host.h"

#if HOST_SAN == HOST_SAN_ADDRESS

void __asan_unpoison_memory_region(const volatile void *at, size_t size);
void __asan_handle_no_return(void);
_Noreturn void raw_gogo(struct g *gp);
_Noreturn void raw_longjmp(struct arch_jmp *j);

static void clear(uintptr_t from, uintptr_t to)
{
    from &= ~(uintptr_t)7;
    __asan_unpoison_memory_region((void *)from, to - from);
}

// The runtime would clear all of what it takes for the stack of the thread.
void __asan_handle_no_return(void)
{
}

void arch_gogo(struct g *gp)
{
    clear((uintptr_t)__builtin_frame_address(0) - 256, this_cpu()->g0->stack_top);
    raw_gogo(gp);
}

void arch_longjmp(struct arch_jmp *j)
{
    enum { SAVED_SP = 6 };
    clear((uintptr_t)__builtin_frame_address(0) - 256, j->reg[SAVED_SP]);
    raw_longjmp(j);
}

void host_asan_new_stack(struct g *gp)
{
    uintptr_t from = gp->sp != 0 ? gp->sp - 256 : gp->stack_top - 4096;
    clear(from, gp->stack_top);
}

#endif
