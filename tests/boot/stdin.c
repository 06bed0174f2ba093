// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 machines=q35,microvm stdin="first line\nsecond 17 0x22\nunfinished" exit=3
//
// Console input: lines, numbers, and an end; a reader that waits leaves the core to others.

#include <stdio.h>
#include <string.h>

#include <heddle.h>

static _Atomic(int) turns;

static void turn(void *unused)
{
    for (;;) {
        atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed);
        time_sleep(TIME_MS);
    }
}

int main(void)
{
    char line[100], word[20];
    int ten, hex;
    go(turn, NULL);
    if (!fgets(line, sizeof(line), stdin) || strcmp(line, "first line\n") != 0)
        return 100;
    if (scanf("%19s %d %x", word, &ten, &hex) != 3 || ten != 17 || hex != 0x22)
        return 101;
    if (getchar() != '\n' || !fgets(line, sizeof(line), stdin) || strcmp(line, "unfinished") != 0)
        return 102;
    if (getchar() != EOF || !feof(stdin))
        return 103;
    clearerr(stdin);
    if (getchar() != EOF)
        return 104;
    return 3;
}
