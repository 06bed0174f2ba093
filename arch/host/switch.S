// SPDX-License-Identifier: BSD-2-Clause
// Context switch: that of x86-64, with another way to turn interrupts off. In the stub's end,
// whatever came meanwhile is handled by stopping once more, on the same piece of stack.

#define STUB_PARK call host_preempt_park
#define STUB_IRQ_OFF movl $1, %gs:24
// x87, SSE, AVX, AVX-512; see cpu.c.
#define STUB_XSAVE_MASK movl $0xe7, %eax; xorl %edx, %edx
#define STUB_RETURN              \
    movl $0, %gs:24;             \
    cmpl $0, %gs:28;             \
    jne 3f;                      \
    popfq;                       \
    ret $128;                    \
3:  popfq;                       \
    jmp arch_preempt_stub

#if HOST_SAN == 2 // AddressSanitizer: what precedes them is in asan.c
#define arch_gogo raw_gogo
#define arch_longjmp raw_longjmp
#endif

#include "arch/x86_64/switch.S"
