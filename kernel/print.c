// SPDX-License-Identifier: BSD-2-Clause
// Formatted output without floating point and without libc, usable from the first instruction on.

#include "kernel/print.h"

#include <stdbool.h>
#include <stdint.h>

#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "lib/util.h"

struct out {
    char *buf;
    size_t size, len;
};

struct spec {
    bool left, zero, plus, alt;
    int width, precision; // precision -1: none
    int bytes;            // size of the argument
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void pad(struct out *o, char c, int n)
{
    for (; n > 0; n--)
        put(o, c);
}

static void put_str(struct out *o, const struct spec *sp, const char *s)
{
    int n = 0;
    if (!s)
        s = "(null)";
    while (s[n] && (sp->precision < 0 || n < sp->precision))
        n++;
    if (!sp->left)
        pad(o, ' ', sp->width - n);
    for (int i = 0; i < n; i++)
        put(o, s[i]);
    if (sp->left)
        pad(o, ' ', sp->width - n);
}

static void put_num(struct out *o, const struct spec *sp, uint64_t v, unsigned base, bool upper,
                    const char *prefix)
{
    char digits[24];
    int n = 0;
    do {
        unsigned d = (unsigned)(v % base);
        digits[n++] = (char)(d < 10 ? '0' + d : (upper ? 'A' : 'a') + d - 10);
        v /= base;
    } while (v);
    int plen = 0;
    while (prefix[plen])
        plen++;
    int zeros = sp->precision > n ? sp->precision - n : 0;
    int fill = sp->width - n - plen - zeros;
    if (sp->zero && !sp->left && sp->precision < 0 && fill > 0) {
        zeros = fill;
        fill = 0;
    }
    if (!sp->left)
        pad(o, ' ', fill);
    for (int i = 0; i < plen; i++)
        put(o, prefix[i]);
    pad(o, '0', zeros);
    while (n > 0)
        put(o, digits[--n]);
    if (sp->left)
        pad(o, ' ', fill);
}

static int parse_int(const char **f)
{
    int v = 0;
    while (**f >= '0' && **f <= '9')
        v = v * 10 + *(*f)++ - '0';
    return v;
}

static const char *parse_flags(const char *f, struct spec *sp)
{
    for (;; f++) {
        switch (*f) {
        case '-': sp->left = true; break;
        case '0': sp->zero = true; break;
        case '+': sp->plus = true; break;
        case '#': sp->alt = true; break;
        case ' ': break;
        default: return f;
        }
    }
}

static const char *parse_length(const char *f, struct spec *sp)
{
    sp->bytes = 4;
    for (;; f++) {
        switch (*f) {
        case 'l': case 'z': case 't': case 'j': sp->bytes = 8; break;
        case 'h': sp->bytes /= 2; break;
        default: return f;
        }
    }
}

static int64_t signed_arg(va_list *ap, int bytes)
{
    if (bytes == 8)
        return va_arg(*ap, int64_t);
    int v = va_arg(*ap, int);
    return bytes == 4 ? v : bytes == 2 ? (int16_t)v : (int8_t)v;
}

static uint64_t unsigned_arg(va_list *ap, int bytes)
{
    if (bytes == 8)
        return va_arg(*ap, uint64_t);
    unsigned v = va_arg(*ap, unsigned);
    return bytes == 4 ? v : bytes == 2 ? (uint16_t)v : (uint8_t)v;
}

static void convert(struct out *o, char c, struct spec *sp, va_list *ap)
{
    switch (c) {
    case 'd': case 'i': {
        int64_t v = signed_arg(ap, sp->bytes);
        uint64_t magnitude = v < 0 ? -(uint64_t)v : (uint64_t)v;
        put_num(o, sp, magnitude, 10, false, v < 0 ? "-" : sp->plus ? "+" : "");
        break;
    }
    case 'u': put_num(o, sp, unsigned_arg(ap, sp->bytes), 10, false, ""); break;
    case 'o': put_num(o, sp, unsigned_arg(ap, sp->bytes), 8, false, ""); break;
    case 'x': case 'X':
        put_num(o, sp, unsigned_arg(ap, sp->bytes), 16, c == 'X', sp->alt ? "0x" : "");
        break;
    case 'p': put_num(o, sp, (uintptr_t)va_arg(*ap, void *), 16, false, "0x"); break;
    case 's': put_str(o, sp, va_arg(*ap, const char *)); break;
    case 'c': put(o, (char)va_arg(*ap, int)); break;
    case '%': put(o, '%'); break;
    default: // an unknown conversion shows itself
        put(o, '%');
        put(o, c);
    }
}

int kvsnprintf(char *buf, size_t n, const char *fmt, va_list ap)
{
    struct out o = { buf, n, 0 };
    va_list args;
    va_copy(args, ap);
    for (const char *f = fmt; *f; f++) {
        if (*f != '%') {
            put(&o, *f);
            continue;
        }
        struct spec sp = { .precision = -1 };
        f = parse_flags(f + 1, &sp);
        if (*f == '*') {
            sp.width = va_arg(args, int);
            f++;
        } else {
            sp.width = parse_int(&f);
        }
        if (*f == '.') {
            f++;
            if (*f == '*') {
                sp.precision = va_arg(args, int);
                f++;
            } else {
                sp.precision = parse_int(&f);
            }
        }
        f = parse_length(f, &sp);
        if (!*f)
            break;
        convert(&o, *f, &sp, &args);
    }
    va_end(args);
    if (n > 0)
        buf[MIN(o.len, n - 1)] = '\0';
    return (int)o.len;
}

int ksnprintf(char *buf, size_t n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = kvsnprintf(buf, n, fmt, ap);
    va_end(ap);
    return len;
}

void kprintf(const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int len = kvsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    console_write(line, MIN((size_t)len, sizeof(line) - 1));
}

void klog(const char *fmt, ...)
{
    static int quiet = -1; // read once; racing readers find the same answer
    if (quiet < 0)
        quiet = cmdline_number("log", 1, 0, 1) == 0;
    if (quiet)
        return;
    char line[300];
    int64_t us = clock_mono_ns() / 1000;
    int n = ksnprintf(line, sizeof(line), "[%5ld.%06ld] ", (long)(us / 1000000),
                      (long)(us % 1000000));
    va_list ap;
    va_start(ap, fmt);
    n += kvsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    n = MIN(n, (int)sizeof(line) - 2);
    line[n++] = '\n';
    console_write(line, (size_t)n);
}
