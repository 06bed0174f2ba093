// SPDX-License-Identifier: BSD-2-Clause
// The boot command line: kernel options `name=value` up to a word `--`, the application's arguments
// after it.
#ifndef KERNEL_CMDLINE_H
#define KERNEL_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// cmdline.c
void cmdline_init(const char *line);
// The value of the last option of that name, or NULL; "" for a bare word.
const char *cmdline_option(const char *name);
// As a number within [lo, hi]; dflt when absent; a bad value is reported on the console and dflt is
// used.
int64_t cmdline_number(const char *name, int64_t dflt, int64_t lo, int64_t hi);
// Every value of a repeated option in turn: pass 0, 1, ...; NULL past the last.
const char *cmdline_nth(const char *name, unsigned n);
// argv of the application, argv[0] its name, NULL-terminated.
int cmdline_args(char ***argv);

#endif
