// SPDX-License-Identifier: BSD-2-Clause
// Console output, one writer at a time. While the machine dies the lock is ignored: its holder may
// be stopped.

#include "kernel/print.h"

#include "arch/arch.h"
#include "kernel/console.h"
#include "kernel/cmdline.h"
#include "kernel/panic.h"
#include "kernel/screen.h"
#include "kernel/spinlock.h"

static struct spinlock lock = SPINLOCK_INIT(LOCK_CONSOLE);
static bool crlf;   // set once at boot: a terminal wants a carriage return too
static bool wanted; // guard: lock. Somebody has read

void console_init(void)
{
    arch_console_init();
}

void console_configure(void)
{
    crlf = cmdline_number("crlf", 1, 0, 1) != 0;
}

static void write_all(const char *s, size_t n)
{
    screen_write(s, n);
    size_t from = 0;
    for (size_t i = 0; crlf && i < n; i++) {
        if (s[i] != '\n')
            continue;
        arch_console_write(s + from, i - from);
        arch_console_write("\r\n", 2);
        from = i + 1;
    }
    arch_console_write(s + from, n - from);
}

void console_write(const char *s, size_t n)
{
    if (panicking()) {
        write_all(s, n);
        return;
    }
    // The device is slow: the lock is given up now and then so that this core is not kept from
    // preempting.
    enum { PIECE = 256 };
    while (n > 0) {
        size_t now = MIN(n, (size_t)PIECE);
        spin_lock(&lock);
        write_all(s, now);
        spin_unlock(&lock);
        s += now;
        n -= now;
    }
}

void console_take_over(void)
{
    if (atomic_load_explicit(&lock.holder, memory_order_relaxed) != 0)
        write_all("\n", 1);
}

size_t console_read(char *buf, size_t n)
{
    size_t got = 0;
    spin_lock(&lock);
    if (!wanted)
        arch_console_wanted();
    wanted = true;
    for (int c; got < n && (c = arch_console_getc()) >= 0;)
        buf[got++] = (char)c;
    spin_unlock(&lock);
    return got;
}
