// SPDX-License-Identifier: BSD-2-Clause
// The smallest appliance: prints its arguments and how many cores it has.

#include <heddle.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    printf("hello from %s on %d core%s\n", argv[0], go_numcpu(), go_numcpu() == 1 ? "" : "s");
    for (int i = 1; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    return 0;
}
