// SPDX-License-Identifier: BSD-2-Clause
// What C cannot say: the way back from a signal handler, and a thread's first instruction.

#define SYS_RT_SIGRETURN 15
#define SYS_CLONE 56
// CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM
#define THREAD_FLAGS 0x50f00

    .section .text.host_entry, "ax"

// void host_signal_return(void)
    .globl host_signal_return
    .type host_signal_return, @function
host_signal_return:
    movl $SYS_RT_SIGRETURN, %eax
    syscall
    ud2
    .size host_signal_return, . - host_signal_return

#if !HOST_SAN // else in san/glue.c
// long host_clone(uintptr_t top, void (*fn)(void)) The new thread has the caller's registers, but
// for the stack and the result.
    .globl host_clone
    .type host_clone, @function
host_clone:
    movq %rsi, %r9
    movq %rdi, %rsi
    movl $THREAD_FLAGS, %edi
    xorl %edx, %edx
    xorl %r10d, %r10d
    xorl %r8d, %r8d
    movl $SYS_CLONE, %eax
    syscall
    testq %rax, %rax
    jz 1f
    ret
1:  xorl %ebp, %ebp
    call *%r9
    ud2
    .size host_clone, . - host_clone
#endif

    .section .note.GNU-stack, "", @progbits
