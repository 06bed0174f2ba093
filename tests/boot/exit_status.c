// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 machines=q35,microvm args="200 \"two words\" c" exit=200
// test: expect="argument two words"
// main's result is the machine's, also above 127, while other goroutines still run; arguments
// arrive as typed.

#include <heddle.h>
#include <stdio.h>
#include <stdlib.h>

static void hog(void *unused)
{
    (void)unused;
    for (;;)
        __asm__ volatile("");
}

int main(int argc, char **argv)
{
    go(hog, NULL);
    go(hog, NULL);
    if (argc != 4)
        return 1;
    printf("argument %s\n", argv[2]);
    return atoi(argv[1]);
}
