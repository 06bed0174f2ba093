// SPDX-License-Identifier: BSD-2-Clause
// Threads that play cores, for tests of the parts that need no scheduler but several cores at
// once: each has a struct m and a g0 that getg() finds, throw ends the process, and a stretch of
// address space stands for physical memory. Included by one file, the test itself.
#ifndef TESTS_HOST_CORES_H
#define TESTS_HOST_CORES_H

#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "kernel/page.h"
#include "kernel/preempt.h"

_Thread_local struct g *host_g;
uintptr_t direct_map_base;

static struct m host_m[MAX_CORES];
static struct g host_g0[MAX_CORES];

void preempt_yield(void)
{
    atomic_store_explicit(&host_g->preempt_pending, false, memory_order_relaxed);
    sched_yield();
}

uint64_t virt_to_phys(const void *va) { return (uintptr_t)va - direct_map_base; }

// The calling thread plays core n from now on.
static inline void be_core(unsigned n)
{
    host_m[n].id = n;
    host_m[n].g0 = &host_g0[n];
    host_g0[n].m = &host_m[n];
    setg(&host_g0[n]);
}

// Runs fn as core 0 in a process of its own, where it may set up once what can be set up only once.
static inline void in_child(const char *name, void (*fn)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        be_core(0);
        fn();
        exit(0);
    }
    int status;
    check(waitpid(pid, &status, 0) == pid);
    if (status != 0) {
        fprintf(stderr, "%s failed\n", name);
        exit(1);
    }
}

static inline uint32_t seed_next(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 33);
}

static inline uint32_t seed_below(uint64_t *s, uint32_t n) { return seed_next(s) % n; }

// Address space for `bytes` of physical memory, from 0; what is touched becomes real.
static inline void make_memory(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(p != MAP_FAILED);
    direct_map_base = (uintptr_t)p;
}

// Runs fn on n threads, each a core, and waits for them.
struct core_arg {
    unsigned core;
    void (*fn)(unsigned core);
};

static inline void *core_thread(void *arg)
{
    struct core_arg *a = arg;
    be_core(a->core);
    a->fn(a->core);
    return NULL;
}

static inline void run_cores(unsigned n, void (*fn)(unsigned core))
{
    pthread_t thread[MAX_CORES];
    struct core_arg arg[MAX_CORES];
    for (unsigned i = 0; i < n; i++) {
        arg[i] = (struct core_arg){ i, fn };
        check(pthread_create(&thread[i], NULL, core_thread, &arg[i]) == 0);
    }
    for (unsigned i = 0; i < n; i++)
        check(pthread_join(thread[i], NULL) == 0);
}

// Runs fn in a process of its own, which must end by a throw whose text contains `text`.
static inline void expect_throw(const char *text, void (*fn)(void))
{
    int fd[2];
    check(pipe(fd) == 0);
    fflush(stdout);
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        dup2(fd[1], 2);
        fn();
        fprintf(stderr, "nothing was thrown\n");
        _exit(0);
    }
    close(fd[1]);
    char out[4096];
    size_t n = 0;
    ssize_t got;
    while (n < sizeof(out) - 1 && (got = read(fd[0], out + n, sizeof(out) - 1 - n)) > 0)
        n += (size_t)got;
    out[n] = 0;
    close(fd[0]);
    int status;
    check(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 2 || !strstr(out, text)) {
        fprintf(stderr, "expected \"%s\", but status is %x and it said:\n%s\n", text, status, out);
        abort();
    }
}

#endif
