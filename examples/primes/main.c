// SPDX-License-Identifier: BSD-2-Clause
// The sieve of Eratosthenes as a chain of goroutines: each passes on what its prime does not
// divide. Argument: how many primes (100).

#include <heddle.h>
#include <stdio.h>
#include <stdlib.h>

struct filter {
    struct chan *in, *out;
    int prime;
};

static void generate(void *out)
{
    for (int i = 2;; i++)
        chan_send(out, &i);
}

static void filter(void *arg)
{
    struct filter f = *(struct filter *)arg;
    free(arg);
    for (int n;;) {
        chan_recv(f.in, &n);
        if (n % f.prime != 0)
            chan_send(f.out, &n);
    }
}

int main(int argc, char **argv)
{
    int want = argc > 1 ? atoi(argv[1]) : 100;
    struct chan *c = chan_make(sizeof(int), 0);
    if (!c || go(generate, c) != 0)
        return 1;
    for (int i = 0; i < want; i++) {
        int prime;
        chan_recv(c, &prime);
        printf("%d\n", prime);
        struct filter *f = malloc(sizeof(*f));
        struct chan *next = chan_make(sizeof(int), 0);
        if (!f || !next) {
            fprintf(stderr, "primes: out of memory after %d\n", i + 1);
            return 1;
        }
        *f = (struct filter){ .in = c, .out = next, .prime = prime };
        if (go(filter, f) != 0)
            return 1;
        c = next;
    }
    return 0;
}
