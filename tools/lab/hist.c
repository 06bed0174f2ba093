// SPDX-License-Identifier: BSD-2-Clause
// A histogram of times with buckets of a constant ratio: the octave, and sixteen parts of it.
#include "tools/lab/lab.h"

static unsigned bucket_of(uint64_t ns)
{
    if (ns < 16)
        return (unsigned)ns;
    unsigned octave = 63 - (unsigned)__builtin_clzll(ns);
    return (octave - 3) * 16 + (unsigned)(ns >> (octave - 4) & 15);
}

// The least time that is in the bucket after b.
static uint64_t end_of(unsigned b)
{
    if (b < 16)
        return b + 1;
    unsigned octave = b / 16 + 3;
    return (16ull + b % 16 + 1) << (octave - 4);
}

void hist_add(struct hist *h, uint64_t ns)
{
    h->n++;
    h->sum_ns += ns;
    h->max_ns = ns > h->max_ns ? ns : h->max_ns;
    h->bucket[bucket_of(ns)]++;
}

uint64_t hist_at(const struct hist *h, double part)
{
    uint64_t need = (uint64_t)((double)h->n * part), seen = 0;
    for (unsigned b = 0; b < sizeof(h->bucket) / sizeof(h->bucket[0]); b++) {
        seen += h->bucket[b];
        if (seen > need)
            return end_of(b) < h->max_ns ? end_of(b) : h->max_ns;
    }
    return h->max_ns;
}

void hist_print(const struct hist *h)
{
    static const struct {
        const char *name;
        double part;
    } at[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};
    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        printf("%s %.3f ", at[i].name, (double)hist_at(h, at[i].part) / 1e6);
    printf("max %.3f ms", (double)h->max_ns / 1e6);
}
