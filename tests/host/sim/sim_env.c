// SPDX-License-Identifier: BSD-2-Clause
// Heap, console, command line, random numbers and failure reports of the simulated world.
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/cmdline.h"
#include "kernel/entropy.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/print.h"
#include "lib/util.h"
#include "tests/host/sim/sim.h"

// In front of each object, in a block of its own alignment.
struct tag {
    size_t size, align;
    uint64_t magic;
};
#define MAGIC 0x68656464 // "hedd"

static uint64_t rng[2];
static size_t objects, bytes;

uint64_t sim_rand(void)
{
    uint64_t a = rng[0], b = rng[1];
    rng[0] = b;
    a ^= a << 23;
    rng[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return rng[1] + b;
}

void sim_env_init(void)
{
    rng[0] = sim_opt.seed * 0x9e3779b97f4a7c15ull + 1;
    rng[1] = sim_opt.seed ^ 0xd1b54a32d192ed03ull;
    for (int i = 0; i < 16; i++)
        sim_rand();
    cmdline_init(sim_opt.cmdline);
}

void entropy_get(void *buf, size_t n)
{
    for (uint8_t *b = buf; n--; b++)
        *b = (uint8_t)(sim_rand() >> 24);
}

// Heap.

static void *allocate(size_t align, size_t n)
{
    if (sim_chance(sim_opt.heap_fail_ppm))
        return NULL;
    if (sim_opt.heap_fail_nth > 0 && --sim_opt.heap_fail_nth == 0)
        return NULL;
    size_t front = ROUND_UP(MAX(sizeof(struct tag), align), align);
    char *base = NULL;
    if (posix_memalign((void **)&base, align, front + n))
        return NULL;
    struct tag *t = (struct tag *)(base + front) - 1;
    *t = (struct tag){n, align, MAGIC};
    memset(base + front, 0xa5, n);
    objects++;
    bytes += n;
    sim_point();
    return base + front;
}

void *heap_alloc(size_t n)
{
    if (n >= 64 && n <= 4096 && (n & (n - 1)) == 0)
        return allocate(n, n);
    return allocate(n >= 64 ? 64 : 16, n);
}

void *heap_zalloc(size_t n)
{
    void *p = heap_alloc(n);
    return p ? memset(p, 0, n) : NULL;
}

void heap_free(void *p)
{
    if (!p)
        return;
    struct tag *t = (struct tag *)p - 1;
    require(t->magic == MAGIC);
    if (t->size != 2048)
        require(!sim_timer_within(p, t->size));
    size_t front = ROUND_UP(MAX(sizeof(struct tag), t->align), t->align);
    objects--;
    bytes -= t->size;
    t->magic = 0;
    memset(p, 0x5a, t->size);
    free((char *)p - front);
}

size_t heap_usable_size(const void *p) { return ((const struct tag *)p - 1)->size; }
void *heap_aligned_alloc(size_t align, size_t n) { return allocate(MAX(align, (size_t)16), n); }

void *heap_realloc(void *p, size_t n)
{
    void *q = heap_alloc(n);
    if (p && q) {
        memcpy(q, p, MIN(n, heap_usable_size(p)));
        heap_free(p);
    }
    return q;
}

size_t sim_heap_objects(void) { return objects; }
size_t sim_heap_bytes(void) { return bytes; }

// What the machine would have: 512 MiB.
size_t page_total(void) { return 131072; }

// Console.

int kvsnprintf(char *buf, size_t n, const char *fmt, va_list ap)
{
    return vsnprintf(buf, n, fmt, ap);
}

int ksnprintf(char *buf, size_t n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = vsnprintf(buf, n, fmt, ap);
    va_end(ap);
    return r;
}

void kprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

void klog(const char *fmt, ...)
{
    if (!sim_opt.verbose)
        return;
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "[%11.6f] ", (double)sim_now() / 1e9);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

void throw(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "fatal error: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, " (seed %llu, time %lld ns)\n", (unsigned long long)sim_opt.seed,
            (long long)sim_now());
    va_end(ap);
    abort();
}

void sim_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, " (seed %llu, time %lld ns)\n", (unsigned long long)sim_opt.seed,
            (long long)sim_now());
    va_end(ap);
    fflush(NULL);
    _exit(1);
}

// Command line.

static char words[1024];
static char *word[64];
static unsigned word_n;

void cmdline_init(const char *line)
{
    word_n = 0;
    snprintf(words, sizeof(words), "%s", line ? line : "");
    for (char *s = strtok(words, " "); s && word_n < ARRAY_LEN(word); s = strtok(NULL, " "))
        word[word_n++] = s;
}

static const char *value_of(const char *w, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(w, name, n) != 0 || (w[n] != '=' && w[n] != 0))
        return NULL;
    return w[n] ? w + n + 1 : "";
}

const char *cmdline_nth(const char *name, unsigned n)
{
    for (unsigned i = 0; i < word_n; i++) {
        const char *v = value_of(word[i], name);
        if (v && n-- == 0)
            return v;
    }
    return NULL;
}

const char *cmdline_option(const char *name)
{
    const char *v = NULL, *next;
    for (unsigned n = 0; (next = cmdline_nth(name, n)); n++)
        v = next;
    return v;
}

int64_t cmdline_number(const char *name, int64_t dflt, int64_t lo, int64_t hi)
{
    const char *v = cmdline_option(name);
    if (!v)
        return dflt;
    int64_t x = strtoll(v, NULL, 0);
    return x < lo || x > hi ? dflt : x;
}

// Cases in processes of their own.

bool sim_case(const char *name, uint64_t seed, unsigned limit_s, void (*fn)(void *), void *arg)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(limit_s);
        sim_opt.seed = seed;
        fn(arg);
        fflush(NULL);
        _exit(0);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFSIGNALED(status))
        fprintf(stderr, "FAIL %s seed %llu: signal %d%s\n", name, (unsigned long long)seed,
                WTERMSIG(status), WTERMSIG(status) == SIGALRM ? " (hung)" : "");
    else
        fprintf(stderr, "FAIL %s seed %llu: exit status %d\n", name, (unsigned long long)seed,
                WEXITSTATUS(status));
    return false;
}
