// SPDX-License-Identifier: BSD-2-Clause
// Numbers of the architecture that assembly and C share: translation tables and system registers
// as the Arm Architecture Reference Manual lays them out.
#ifndef ARCH_AARCH64_REGS_H
#define ARCH_AARCH64_REGS_H

// Descriptors of 4 KiB pages, stage 1, EL1.
#define PTE_VALID 1
#define PTE_TABLE 3 // at levels 0 to 2: the next table; at level 3: a page
#define PTE_ATTR_NORMAL (0 << 2)
#define PTE_ATTR_DEVICE (1 << 2)
#define PTE_ATTR_UNCACHED (2 << 2)
#define PTE_RO (1 << 7)
#define PTE_SH_INNER (3 << 8)
#define PTE_AF (1 << 10)
#define PTE_NG (1 << 11)
#define PTE_PXN_BIT 53
#define PTE_UXN_BIT 54

// MAIR: 0 is write-back memory, 1 is Device-nGnRE, 2 memory without caches.
#define MAIR_VALUE 0x4404ff

// 48 bits of addresses both ways, 4 KiB pages, tables read through the inner-shareable caches. The
// size of physical addresses is or-ed in.
#define TCR_T0SZ 16
#define TCR_T1SZ (16 << 16)
#define TCR_WALK0 (1 << 8 | 1 << 10 | 3 << 12)
#define TCR_WALK1 (1 << 24 | 1 << 26 | 3 << 28)
#define TCR_TG1_4K (2 << 30)
#define TCR_EPD1 (1 << 23)
#define TCR_IPS_SHIFT 32

// SCTLR_EL1: the bits that must be 1, then MMU, caches, checks of SP's alignment.
#define SCTLR_RES1 0x30d00800
#define SCTLR_ON (1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 12)
#define SCTLR_WXN (1 << 19) // what is writable is never executable

// TTBR0's address space numbers: boot code's tables and the kernel's differ, so that no entry of
// one is ever taken for the other's.
#define ASID_SHIFT 48
#define ASID_IDENTITY 0
#define ASID_BOOT 2
#define ASID_KERNEL 1

// The image's address; it may be loaded anywhere with the same offset from 2 MiB.
#define IMAGE_VA 0x280000
#define IMAGE_TEXT_OFFSET 0x80000

#define DIRECT_MAP_VA 0xffff800000000000
// One page of boot code, read-only and executable: where a starting core goes when it has just
// turned its MMU on.
#define TRAMPOLINE_VA 0xfffff00000000000

#endif
