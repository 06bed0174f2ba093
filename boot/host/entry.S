// SPDX-License-Identifier: BSD-2-Clause
// The process's first instruction. The stack has argc, argv and the environment.

    .section .boot.text, "ax"
    .globl host_entry
    .type host_entry, @function
host_entry:
    xorl %ebp, %ebp
    movq %rsp, %rdi
    andq $-16, %rsp
    call host_main
    ud2
    .size host_entry, . - host_entry

    .section .note.GNU-stack, "", @progbits
