// SPDX-License-Identifier: BSD-2-Clause
// Where the kernel's ranges of addresses lie in the lower half that a process has. With sanitizers
// they must lie where those expect the memory of a program (HOST_SAN, from the Makefile), and are
// smaller.
#ifndef ARCH_HOST_LAYOUT_H
#define ARCH_HOST_LAYOUT_H

// HOST_SAN: which sanitizer.
#define HOST_SAN_THREAD 1
#define HOST_SAN_ADDRESS 2

#if HOST_SAN
#define HOST_RAM_BASE ((uintptr_t)0x550000000000)
#define HOST_RAM_MAX ((uintptr_t)1 << 38)
#define KSTACK_BASE ((uintptr_t)0x554000000000)
#define STACK_BASE ((uintptr_t)0x555000000000)
#define STACK_CLASS_SHIFT 36 // 64 GiB of addresses a class of stacks
#define G0_STACK_PAGES 64    // with room for a report
#else
#define HOST_RAM_BASE ((uintptr_t)0x400000000000)
#define HOST_RAM_MAX ((uintptr_t)1 << 39)
#define KSTACK_BASE ((uintptr_t)0x0fff00000000)
#define STACK_BASE ((uintptr_t)0x100000000000)
#define STACK_CLASS_SHIFT 41 // 2 TiB
#define G0_STACK_PAGES 6
#endif
#define HOST_STACK_CLASSES 18
#define HOST_STACKS_END (STACK_BASE + ((uintptr_t)HOST_STACK_CLASSES << STACK_CLASS_SHIFT))

// There are no device registers in memory: a range of no use.
#define MMIO_BASE ((uintptr_t)1 << 46)
#define MMIO_SIZE ((uintptr_t)1 << 30)

// The physical address of the first byte of memory: beyond what the kernel keeps free of it, the
// first MiB and the numbers of the image's own addresses.
#define HOST_RAM_PA 0x1000000ull

#endif
