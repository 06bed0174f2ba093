// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1
//
// The image's own table of functions: names, files and offsets of what is known here.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/symtab.h"

static int failures;

static void check(const void *address, size_t off, const char *file, const char *func)
{
    const char *got_file = "?", *got_func = "?";
    size_t got_off = 0;
    if (symtab_lookup((uintptr_t)address + off, &got_file, &got_func, &got_off) &&
        strcmp(got_file, file) == 0 && strcmp(got_func, func) == 0 && got_off == off)
        return;
    printf("%s:%s+%zu is said to be %s:%s+%zu\n", file, func, off, got_file, got_func, got_off);
    failures++;
}

__attribute__((noinline)) static void local_function(void)
{
    __asm__ volatile("");
}

int main(void)
{
    const char *file, *func;
    size_t off;
    local_function();
    check((void *)main, 0, "symtab.c", "main");
    check((void *)main, 9, "symtab.c", "main");
    check((void *)local_function, 0, "symtab.c", "local_function");
    check((void *)symtab_lookup, 5, "symtab.c", "symtab_lookup");
    check((void *)qsort, 3, "qsort.c", "qsort");
    if (symtab_lookup(0, &file, &func, &off) || symtab_lookup(UINTPTR_MAX, &file, &func, &off) ||
        symtab_lookup((uintptr_t)&failures, &file, &func, &off)) {
        printf("an address outside the text has a name\n");
        failures++;
    }
    return failures;
}
