// SPDX-License-Identifier: BSD-2-Clause
// File descriptors as far as there are any: 0, 1 and 2 are the console. There is no file system, so
// every path is absent. The _r functions are what newlib calls; the plain names are for
// applications.
//
// Console input ends with a Ctrl-D byte, which stays the end: nothing follows it from tools/run.
// One reader at a time holds input.lock, and parks while there is nothing.

#include <errno.h>
#include <fcntl.h>
#include <reent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <heddle/sync.h>
#include <heddle/time.h>

#include "kernel/print.h"
#include "lib/util.h"
#include "libc/libc.h"

// Not in newlib's headers.
int lstat(const char *restrict path, struct stat *restrict st);

#define CONSOLE_EOF 0x04

// The console's lock is a spinlock: longer writes are cut so that others get their turn.
enum { WRITE_MAX = 1024 };

static struct {
    struct mutex lock;
    bool ended; // guard: lock
} input;

static bool is_console(int fd)
{
    return fd >= 0 && fd <= 2;
}

static int fail(struct _reent *r, int error)
{
    r->_errno = error;
    return -1;
}

// At least one byte, or 0 at the end of input.
static size_t console_wait_read(char *buf, size_t n)
{
    int64_t wait_ns = TIME_MS;
    size_t got;
    while ((got = console_read(buf, n)) == 0) {
        time_sleep(wait_ns);
        wait_ns = MIN(2 * wait_ns, 16 * TIME_MS);
    }
    return got;
}

EXPORT _ssize_t _read_r(struct _reent *r, int fd, void *buf, size_t n)
{
    if (!is_console(fd))
        return fail(r, EBADF);
    if (n == 0)
        return 0;
    mutex_lock(&input.lock);
    size_t got = input.ended ? 0 : console_wait_read(buf, n);
    char *end = memchr(buf, CONSOLE_EOF, got);
    if (end) {
        input.ended = true;
        got = (size_t)(end - (char *)buf);
    }
    mutex_unlock(&input.lock);
    return (_ssize_t)got;
}

EXPORT _ssize_t _write_r(struct _reent *r, int fd, const void *buf, size_t n)
{
    if (!is_console(fd))
        return fail(r, EBADF);
    for (size_t done = 0, part; done < n; done += part) {
        part = MIN(n - done, (size_t)WRITE_MAX);
        console_write((const char *)buf + done, part);
    }
    return (_ssize_t)n;
}

EXPORT int _open_r(struct _reent *r, const char *path, int flags, int mode)
{
    return fail(r, flags & O_CREAT ? EROFS : ENOENT);
}

EXPORT int _close_r(struct _reent *r, int fd)
{
    return is_console(fd) ? 0 : fail(r, EBADF);
}

EXPORT int _isatty_r(struct _reent *r, int fd)
{
    if (is_console(fd))
        return 1;
    r->_errno = EBADF;
    return 0;
}

EXPORT int _fstat_r(struct _reent *r, int fd, struct stat *st)
{
    if (!is_console(fd))
        return fail(r, EBADF);
    memset(st, 0, sizeof(*st));
    st->st_mode = S_IFCHR | 0600;
    st->st_nlink = 1;
    st->st_blksize = WRITE_MAX;
    return 0;
}

EXPORT _off_t _lseek_r(struct _reent *r, int fd, _off_t offset, int whence)
{
    return fail(r, is_console(fd) ? ESPIPE : EBADF);
}

EXPORT int _stat_r(struct _reent *r, const char *path, struct stat *st)
{
    return fail(r, ENOENT);
}

EXPORT int _fcntl_r(struct _reent *r, int fd, int command, int arg)
{
    if (!is_console(fd))
        return fail(r, EBADF);
    switch (command) {
    case F_GETFL: return O_RDWR;
    case F_GETFD:
    case F_SETFD: return 0;
    default: return fail(r, EINVAL);
    }
}

EXPORT int _link_r(struct _reent *r, const char *from, const char *to)
{
    return fail(r, ENOENT);
}

EXPORT int _rename_r(struct _reent *r, const char *from, const char *to)
{
    return fail(r, ENOENT);
}

EXPORT int _unlink_r(struct _reent *r, const char *path)
{
    return fail(r, ENOENT);
}

EXPORT int _mkdir_r(struct _reent *r, const char *path, int mode)
{
    return fail(r, EROFS);
}

WEAK_EXPORT ssize_t read(int fd, void *buf, size_t n)
{
    return _read_r(_REENT, fd, buf, n);
}

WEAK_EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
    return _write_r(_REENT, fd, buf, n);
}

WEAK_EXPORT int open(const char *path, int flags, ...)
{
    return _open_r(_REENT, path, flags, 0);
}

WEAK_EXPORT int close(int fd)
{
    return _close_r(_REENT, fd);
}

WEAK_EXPORT int isatty(int fd)
{
    return _isatty_r(_REENT, fd);
}

WEAK_EXPORT int fstat(int fd, struct stat *st)
{
    return _fstat_r(_REENT, fd, st);
}

WEAK_EXPORT int stat(const char *restrict path, struct stat *restrict st)
{
    return _stat_r(_REENT, path, st);
}

WEAK_EXPORT int lstat(const char *restrict path, struct stat *restrict st)
{
    return _stat_r(_REENT, path, st);
}

WEAK_EXPORT int access(const char *path, int mode)
{
    return fail(_REENT, ENOENT);
}

WEAK_EXPORT off_t lseek(int fd, off_t offset, int whence)
{
    return _lseek_r(_REENT, fd, offset, whence);
}

WEAK_EXPORT int fcntl(int fd, int command, ...)
{
    return _fcntl_r(_REENT, fd, command, 0);
}

WEAK_EXPORT int link(const char *from, const char *to)
{
    return _link_r(_REENT, from, to);
}

WEAK_EXPORT int unlink(const char *path)
{
    return _unlink_r(_REENT, path);
}

WEAK_EXPORT int mkdir(const char *path, mode_t mode)
{
    return _mkdir_r(_REENT, path, (int)mode);
}
