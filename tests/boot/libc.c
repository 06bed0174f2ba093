// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 machines=q35 args="one 'two words' a\\\"b" expect="^all of libc is well$"
//
// The C library from many goroutines on several cores: errno and strtok state of one's own, streams
// shared line by line, memory, numbers to text and back, time, environment, arguments.

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <heddle.h>

#include "check.h"

enum { WORKERS = 40, ROUNDS = 60 };

static struct waitgroup workers;

static void check_own_state(int id)
{
    char text[64], *end;
    errno = id + 1000;
    go_yield();
    check(errno == id + 1000);
    check(open("/no/such/file", O_RDONLY) == -1 && errno == ENOENT);
    check(close(77) == -1 && errno == EBADF);

    snprintf(text, sizeof(text), "%d.%03d %#x %s %zu %lld", id, id * 7 % 1000, id, "abc",
             (size_t)id << 40, (long long)id << 50);
    double d = strtod(text, &end);
    check(fabs(d - (id + id * 7 % 1000 / 1000.0)) < 1e-9);
    char *word = strtok(text, " ");
    go_yield();
    check(word == text && strtol(strtok(NULL, " "), NULL, 16) == id);
    check(strcmp(strtok(NULL, " "), "abc") == 0);
    check(strtoull(strtok(NULL, " "), NULL, 10) == (unsigned long long)id << 40);

    snprintf(text, sizeof(text), "%.15g %e", id / 3.0, id * 1e100);
    double a, b;
    check(sscanf(text, "%lf %lf", &a, &b) == 2);
    check(fabs(a - id / 3.0) <= id * 1e-14 && fabs(b - id * 1e100) <= id * 1e94);
    snprintf(text, sizeof(text), "%a", id / 7.0);
    check(strtod(text, NULL) == id / 7.0);
    check(sqrt(id * (double)id) == id);
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void check_memory(int id)
{
    size_t n = 1 + (size_t)id * 37 % 5000;
    int *v = malloc(n * sizeof(*v));
    check(v != NULL && (uintptr_t)v % 16 == 0);
    for (size_t i = 0; i < n; i++)
        v[i] = (int)((i * 7919 + (size_t)id) % 10007);
    v = realloc(v, 2 * n * sizeof(*v));
    memcpy(v + n, v, n * sizeof(*v));
    qsort(v, 2 * n, sizeof(*v), compare);
    for (size_t i = 1; i < 2 * n; i++)
        check(v[i - 1] <= v[i]);
    free(v);
    void *p;
    check(posix_memalign(&p, 4096, 100) == 0 && (uintptr_t)p % 4096 == 0);
    free(p);
    char *zero = calloc(n, 3);
    for (size_t i = 0; i < 3 * n; i++)
        check(zero[i] == 0);
    free(zero);
    volatile size_t huge = SIZE_MAX / 2;
    check(malloc(huge) == NULL && errno == ENOMEM);
}

static void worker(void *arg)
{
    int id = (int)(intptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        check_own_state(id + i);
        if (i % 20 == 0) {
            check_memory(id + i);
            printf("worker %d round %d line-of-one-piece\n", id, i);
        }
    }
    waitgroup_done(&workers);
}

static void check_time(void)
{
    struct timespec before, after, nap = { .tv_sec = 0, .tv_nsec = 20 * 1000000 };
    check(clock_gettime(CLOCK_MONOTONIC, &before) == 0);
    check(nanosleep(&nap, NULL) == 0);
    check(clock_gettime(CLOCK_MONOTONIC, &after) == 0);
    int64_t ns = (after.tv_sec - before.tv_sec) * TIME_S + after.tv_nsec - before.tv_nsec;
    check(ns >= 20 * TIME_MS && ns < 10 * TIME_S);
    nap.tv_nsec = 1000000000;
    check(nanosleep(&nap, NULL) == -1 && errno == EINVAL);
    check(clock_gettime(99, &before) == -1 && errno == EINVAL);
    time_t now = time(NULL);
    check(now > 1700000000);
    struct tm *utc = gmtime(&now);
    check(utc->tm_year >= 123);
    check(usleep(1000) == 0 && clock() > 0);
}

static void check_process(int argc, char **argv)
{
    check(argc == 4 && strcmp(argv[0], "libc") == 0 && strcmp(argv[1], "one") == 0);
    check(strcmp(argv[2], "two words") == 0 && strcmp(argv[3], "a\"b") == 0 && !argv[4]);
    check(getenv("HOME") == NULL && setenv("HOME", "/", 1) == 0);
    check(strcmp(getenv("HOME"), "/") == 0);
    check(isatty(1) && !isatty(5) && getpid() > 0);
    check(fopen("file", "r") == NULL && errno == ENOENT);
    check(write(1, "", 0) == 0 && write(9, "x", 1) == -1 && errno == EBADF);
    check(sysconf(_SC_NPROCESSORS_ONLN) == go_numcpu());
    unsigned char random[2][16];
    check(getentropy(random[0], 16) == 0 && getentropy(random[1], 16) == 0);
    check(memcmp(random[0], random[1], 16) != 0);
}

static bool constructed;

__attribute__((constructor)) static void construct(void)
{
    constructed = true;
}

static void at_exit(void)
{
    printf("all of libc is well"); // no newline: exit flushes
}

static void nothing(void)
{
}

int main(int argc, char **argv)
{
    check(constructed);
    check_process(argc, argv);
    check_time();
    waitgroup_add(&workers, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        check(go(worker, (void *)(intptr_t)(i * 100)) == 0);
    waitgroup_wait(&workers);
    for (int i = 0; i < 40; i++)
        check(atexit(i == 0 ? at_exit : nothing) == 0);
    return 0;
}
