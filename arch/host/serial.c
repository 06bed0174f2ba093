// SPDX-License-Identifier: BSD-2-Clause
// The console: standard input and output. Input is looked for without waiting; its end is a Ctrl-D
// byte, as from tools/run.

#include "arch/arch.h"
#include "arch/host/linux.h"

enum { CONSOLE_EOF = 4 };

void arch_console_init(void)
{
}

void arch_console_write(const char *s, size_t n)
{
    while (n > 0) {
        long done = linux_sys(SYS_WRITE, 1, s, n);
        if (done == -LINUX_EAGAIN) {
            struct linux_pollfd out = { .fd = 1, .events = POLLOUT };
            linux_sys(SYS_POLL, &out, 1, -1);
        } else if (done < 0 && done != -LINUX_EINTR) {
            return; // nobody there
        } else if (done > 0) {
            s += done;
            n -= (size_t)done;
        }
    }
}

int arch_console_getc(void)
{
    static char buf[256]; // guard: the console's lock
    static long have, used;
    if (used < have)
        return (unsigned char)buf[used++];
    struct linux_pollfd in = { .fd = 0, .events = POLLIN };
    if (linux_sys(SYS_POLL, &in, 1, 0) != 1)
        return -1;
    have = linux_sys(SYS_READ, 0, buf, sizeof buf);
    used = 1;
    if (have > 0)
        return (unsigned char)buf[0];
    bool again = have == -LINUX_EINTR || have == -LINUX_EAGAIN;
    have = 0;
    return again ? -1 : CONSOLE_EOF;
}

void arch_console_wanted(void)
{
}
