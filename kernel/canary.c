// SPDX-License-Identifier: BSD-2-Clause
// Stack canaries: functions with arrays, of applications and of the rooms that handle what comes
// from outside, keep a secret word between the arrays and their return address, and look at it
// before they return. The compiler inserts that; it wants the two names below.
//
// The word is drawn once, at boot, while no function that has already stored the old one will ever
// look again: kernel_main and what called it do not return. It is the same for all goroutines,
// because functions are left on other cores than they were entered on, and because a word a
// goroutine would cost every such function a load more.

#include "kernel/canary.h"

#include <stdint.h>

#include "kernel/entropy.h"
#include "kernel/panic.h"

#pragma GCC visibility push(default)
extern uintptr_t __stack_chk_guard;
_Noreturn void __stack_chk_fail(void);
#pragma GCC visibility pop

uintptr_t __stack_chk_guard;

__attribute__((no_stack_protector)) void canary_init(void)
{
    uintptr_t word;
    entropy_get(&word, sizeof(word));
    // Its lowest byte, the first that a string running over would have to match, ends strings.
    __stack_chk_guard = word & ~(uintptr_t)0xff;
}

void __stack_chk_fail(void)
{
    throw("stack smashing: a function wrote beyond the end of an array on its stack");
}
