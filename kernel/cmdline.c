// SPDX-License-Identifier: BSD-2-Clause
// Splits the boot command line into words, as a shell would with blanks and double quotes; a
// backslash keeps the next character as it is. Words up to `--` are options of the kernel, the rest
// is the application's.

#include "kernel/cmdline.h"

#include <string.h>

#include "kernel/print.h"

enum { LINE_MAX_BYTES = 4096, WORDS_MAX = 256 };

static char text[LINE_MAX_BYTES];   // the words, each terminated
static char *words[WORDS_MAX + 1];
static unsigned n_words, n_options; // options are words[0..n_options)
static char default_name[] = "app";
static char *args[WORDS_MAX + 2];

// Copies one word from *in to *out without its quotes; false at the end of the line.
static bool next_word(const char **in, char **out)
{
    const char *s = *in;
    char *d = *out;
    while (*s == ' ' || *s == '\t' || *s == '\n')
        s++;
    if (!*s)
        return false;
    for (bool quoted = false; *s && (quoted || (*s != ' ' && *s != '\t' && *s != '\n')); s++) {
        if (*s == '"') {
            quoted = !quoted;
            continue;
        }
        if (*s == '\\' && s[1])
            s++;
        *d++ = *s;
    }
    *d++ = '\0';
    *in = s;
    *out = d;
    return true;
}

void cmdline_init(const char *line)
{
    size_t len = strnlen(line, LINE_MAX_BYTES);
    static char copy[LINE_MAX_BYTES];
    if (len == LINE_MAX_BYTES) {
        kprintf("command line: longer than %d bytes; the rest is ignored\n", LINE_MAX_BYTES - 1);
        len--;
    }
    memcpy(copy, line, len);
    copy[len] = '\0';
    const char *in = copy;
    char *out = text;
    bool options = true;
    for (char *word = out; n_words < WORDS_MAX && next_word(&in, &out); word = out) {
        if (options && strcmp(word, "--") == 0) {
            options = false;
            continue;
        }
        words[n_words++] = word;
        n_options += options;
    }
}

const char *cmdline_nth(const char *name, unsigned n)
{
    size_t len = strlen(name);
    for (unsigned i = 0; i < n_options; i++) {
        const char *w = words[i];
        if (strncmp(w, name, len) != 0 || (w[len] != '=' && w[len] != '\0'))
            continue;
        if (n-- == 0)
            return w[len] ? w + len + 1 : "";
    }
    return NULL;
}

const char *cmdline_option(const char *name)
{
    const char *last = NULL, *v;
    for (unsigned n = 0; (v = cmdline_nth(name, n)) != NULL; n++)
        last = v;
    return last;
}

static bool parse(const char *s, int64_t *out)
{
    bool negative = *s == '-';
    int64_t v = 0;
    s += negative;
    if (!*s)
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || v > INT64_MAX / 10 - 1)
            return false;
        v = v * 10 + (*s - '0');
    }
    *out = negative ? -v : v;
    return true;
}

int64_t cmdline_number(const char *name, int64_t dflt, int64_t lo, int64_t hi)
{
    const char *s = cmdline_option(name);
    int64_t v;
    if (!s)
        return dflt;
    if (parse(s, &v) && v >= lo && v <= hi)
        return v;
    kprintf("command line: %s=%s is not a number from %ld to %ld; using %ld\n", name, s, (long)lo,
            (long)hi, (long)dflt);
    return dflt;
}

int cmdline_args(char ***argv)
{
    const char *name = cmdline_option("app");
    args[0] = name && *name ? (char *)(uintptr_t)name : default_name;
    unsigned n = n_words - n_options;
    for (unsigned i = 0; i < n; i++)
        args[1 + i] = words[n_options + i];
    args[1 + n] = NULL;
    *argv = args;
    return (int)(1 + n);
}
