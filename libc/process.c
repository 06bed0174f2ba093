// SPDX-License-Identifier: BSD-2-Clause
// The one process: what a C program may ask about it, and what it cannot do.

#include <errno.h>
#include <limits.h>
#include <reent.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <heddle/go.h>

#include "kernel/entropy.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "libc/libc.h"

enum { THE_PROCESS = 1, ENTROPY_MAX = 256 };

static int fail(struct _reent *r, int error)
{
    r->_errno = error;
    return -1;
}

// raise() comes here for signals that nobody handles.
EXPORT int _kill_r(struct _reent *r, int pid, int sig)
{
    if (pid != THE_PROCESS)
        return fail(r, ESRCH);
    if (sig < 0 || sig >= NSIG)
        return fail(r, EINVAL);
    if (sig != 0)
        fatal_panic("signal %d", sig);
    return 0;
}

EXPORT int _getpid_r(struct _reent *r)
{
    return THE_PROCESS;
}

EXPORT int _fork_r(struct _reent *r)
{
    return fail(r, ENOSYS);
}

EXPORT int _execve_r(struct _reent *r, const char *path, char *const argv[], char *const env[])
{
    return fail(r, ENOSYS);
}

EXPORT int _wait_r(struct _reent *r, int *status)
{
    return fail(r, ECHILD);
}

// The heap is not a break that can be moved.
EXPORT void *_sbrk_r(struct _reent *r, ptrdiff_t by)
{
    r->_errno = ENOMEM;
    return (void *)-1;
}

WEAK_EXPORT int kill(pid_t pid, int sig)
{
    return _kill_r(_REENT, pid, sig);
}

WEAK_EXPORT pid_t getpid(void)
{
    return THE_PROCESS;
}

WEAK_EXPORT pid_t fork(void)
{
    return _fork_r(_REENT);
}

WEAK_EXPORT int execve(const char *path, char *const argv[], char *const env[])
{
    return _execve_r(_REENT, path, argv, env);
}

EXPORT int _execve(const char *path, char *const argv[], char *const env[]);

EXPORT int _execve(const char *path, char *const argv[], char *const env[])
{
    return _execve_r(_REENT, path, argv, env);
}

WEAK_EXPORT pid_t wait(int *status)
{
    return _wait_r(_REENT, status);
}

WEAK_EXPORT void *sbrk(ptrdiff_t by)
{
    return _sbrk_r(_REENT, by);
}

WEAK_EXPORT int getentropy(void *buf, size_t n)
{
    if (n > ENTROPY_MAX)
        return fail(_REENT, EIO);
    entropy_get(buf, n);
    return 0;
}

WEAK_EXPORT int gethostname(char *name, size_t n)
{
    static const char host[] = "heddle";
    if (n < sizeof(host))
        return fail(_REENT, ENAMETOOLONG);
    memcpy(name, host, sizeof(host));
    return 0;
}

WEAK_EXPORT long sysconf(int name)
{
    switch (name) {
    case _SC_NPROCESSORS_CONF:
    case _SC_NPROCESSORS_ONLN: return go_numcpu();
    case _SC_PAGESIZE: return (long)PAGE_SIZE;
    case _SC_PHYS_PAGES: return (long)page_total();
    case _SC_AVPHYS_PAGES: return (long)page_free_count();
    case _SC_CLK_TCK: return CLOCKS_PER_SEC;
    default: return fail(_REENT, EINVAL);
    }
}

int sched_yield(void);

WEAK_EXPORT int sched_yield(void)
{
    go_yield();
    return 0;
}
