// SPDX-License-Identifier: BSD-2-Clause
// Where the kernel's own ranges of addresses lie.
#ifndef ARCH_X86_64_LAYOUT_H
#define ARCH_X86_64_LAYOUT_H

#define MMIO_BASE ((uintptr_t)0xffff900000000000)
#define MMIO_SIZE ((uintptr_t)1 << 42)
#define KSTACK_BASE ((uintptr_t)0xffff980000000000)
#define STACK_BASE ((uintptr_t)0xffffa00000000000)
#define STACK_CLASS_SHIFT 42 // 4 TiB of addresses a class of stacks

#define G0_STACK_PAGES 6

#endif
