// SPDX-License-Identifier: BSD-2-Clause
// As arch_inline.h beside it. Nothing is mapped by these here.
#ifndef TESTS_HOST_ARCH_LAYOUT_H
#define TESTS_HOST_ARCH_LAYOUT_H

#define G0_STACK_PAGES 6

#endif
