// SPDX-License-Identifier: BSD-2-Clause
// What is used of Linux's system call interface on x86-64: numbers, constants and the layouts of
// structures. Each call returns what the kernel does, -errno on failure, and touches no errno.
//
// Linux does not grow our stacks: memory on a stack that is handed over must have been written to.
#ifndef ARCH_HOST_LINUX_H
#define ARCH_HOST_LINUX_H

#include <stddef.h>
#include <stdint.h>

enum {
    SYS_READ = 0, SYS_WRITE = 1, SYS_OPEN = 2, SYS_CLOSE = 3, SYS_POLL = 7, SYS_MMAP = 9,
    SYS_MPROTECT = 10, SYS_RT_SIGACTION = 13, SYS_RT_SIGPROCMASK = 14, SYS_IOCTL = 16,
    SYS_WRITEV = 20, SYS_SCHED_YIELD = 24, SYS_MADVISE = 28, SYS_PAUSE = 34, SYS_GETPID = 39,
    SYS_FCNTL = 72,
    SYS_SIGALTSTACK = 131,
    SYS_ARCH_PRCTL = 158, SYS_GETTID = 186, SYS_FUTEX = 202, SYS_SCHED_SETAFFINITY = 203,
    SYS_SCHED_GETAFFINITY = 204, SYS_TIMER_CREATE = 222, SYS_TIMER_SETTIME = 223,
    SYS_CLOCK_GETTIME = 228, SYS_EXIT_GROUP = 231, SYS_TGKILL = 234, SYS_GETRANDOM = 318,
};

enum {
    LINUX_EINTR = 4, LINUX_EAGAIN = 11, LINUX_ENOMEM = 12, LINUX_EFAULT = 14, LINUX_ENOBUFS = 105,

    PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2,
    MAP_PRIVATE = 2, MAP_FIXED_NOREPLACE = 0x100000, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000,
    MADV_DONTNEED = 4,

    LINUX_SIGILL = 4, LINUX_SIGTRAP = 5, LINUX_SIGBUS = 7, LINUX_SIGFPE = 8, LINUX_SIGSEGV = 11,
    SIG_SETMASK = 2,
    SA_SIGINFO = 4, SA_RESTORER = 0x04000000, SA_ONSTACK = 0x08000000, SA_RESTART = 0x10000000,
    SEGV_ACCERR = 2,

    ARCH_SET_GS = 0x1001,
    FUTEX_WAIT_PRIVATE = 128, FUTEX_WAKE_PRIVATE = 129,
    LINUX_CLOCK_REALTIME = 0, LINUX_CLOCK_MONOTONIC = 1,
    SIGEV_THREAD_ID = 4,
    POLLIN = 1, POLLOUT = 4,

    LINUX_O_RDWR = 2, LINUX_O_NONBLOCK = 0x800, LINUX_O_ASYNC = 0x2000,
    F_SETFL = 4, F_SETSIG = 10, F_SETOWN_EX = 15, F_OWNER_TID = 0,
};

struct linux_siginfo;
struct linux_ucontext;

struct linux_timespec { int64_t sec, nsec; };
struct linux_itimerspec { struct linux_timespec interval, value; };

struct linux_sigaction {
    void (*handler)(int, struct linux_siginfo *, struct linux_ucontext *);
    uint64_t flags;
    void (*restorer)(void);
    uint64_t mask; // bit n: signal n + 1
};

struct linux_siginfo {
    int32_t signo, error, code, pad;
    uint64_t addr; // of a fault
};

struct linux_stack { void *sp; int32_t flags, pad; size_t size; };

enum { // registers in a signal frame
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RDI, REG_RSI, REG_RBP,
    REG_RBX, REG_RDX, REG_RAX, REG_RCX, REG_RSP, REG_RIP, REG_EFLAGS, REG_SEGMENTS, REG_ERR,
    REG_TRAPNO, REG_OLDMASK, REG_CR2, REGS,
};

struct linux_ucontext {
    uint64_t flags;
    struct linux_ucontext *link;
    struct linux_stack stack;
    uint64_t reg[REGS];
};

struct linux_sigevent {
    void *value;
    int32_t signo, notify, tid;
    int32_t pad[11];
};

struct linux_iovec { void *base; size_t len; };
struct linux_owner { int32_t type, id; };
struct linux_pollfd { int32_t fd; int16_t events, revents; };

static inline long linux_call(long n, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "0"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

// linux_sys(NUMBER, up to six arguments), each a number or a pointer.
#define linux_sys(...) LINUX_PICK(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)(__VA_ARGS__)
#define LINUX_PICK(n, a, b, c, d, e, f, count, ...) LINUX_SYS##count
#define LINUX_SYS0(n) linux_call(n, 0, 0, 0, 0, 0, 0)
#define LINUX_SYS1(n, a) linux_call(n, (long)(a), 0, 0, 0, 0, 0)
#define LINUX_SYS2(n, a, b) linux_call(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define LINUX_SYS3(n, a, b, c) linux_call(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define LINUX_SYS4(n, a, b, c, d) \
    linux_call(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define LINUX_SYS5(n, a, b, c, d, e) \
    linux_call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define LINUX_SYS6(n, a, b, c, d, e, f) \
    linux_call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
