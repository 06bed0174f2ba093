// SPDX-License-Identifier: BSD-2-Clause
// Words of the command line with their units. Whatever is not understood to its last character is
// refused.
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lab/lab.h"

void refuse(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("netlab: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(125);
}

struct unit {
    const char *name;
    double factor;
};

static double measure(const char *option, const char *text, const struct unit *units)
{
    char *end;
    double v = strtod(text, &end);
    for (; end != text && units->name; units++)
        if (strcmp(end, units->name) == 0 && v >= 0)
            return v * units->factor;
    refuse("%s %s: not understood", option, text);
}

double word_chance(const char *option, const char *text)
{
    static const struct unit units[] = {{"%", 0.01}, {"", 1}, {NULL, 0}};
    double v = measure(option, text, units);
    if (v > 1)
        refuse("%s %s: more than always", option, text);
    return v;
}

int64_t word_time(const char *option, const char *text)
{
    static const struct unit units[] = {
        {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {NULL, 0},
    };
    return strcmp(text, "0") == 0 ? 0 : (int64_t)measure(option, text, units);
}

uint64_t word_rate(const char *option, const char *text)
{
    static const struct unit units[] = {{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {NULL, 0}};
    return strcmp(text, "0") == 0 ? 0 : (uint64_t)measure(option, text, units);
}

uint64_t word_number(const char *option, const char *text, uint64_t least, uint64_t most)
{
    static const struct unit units[] = {{"", 1}, {"k", 1e3}, {"m", 1e6}, {NULL, 0}};
    double v = measure(option, text, units);
    if (v < (double)least || v > (double)most || v != (double)(uint64_t)v)
        refuse("%s %s: must be a number from %llu to %llu", option, text,
               (unsigned long long)least, (unsigned long long)most);
    return (uint64_t)v;
}

uint32_t word_address(const char *option, const char *text)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1)
        refuse("%s %s: not an IPv4 address", option, text);
    return ntohl(a.s_addr);
}
