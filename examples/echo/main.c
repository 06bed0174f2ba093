// SPDX-License-Identifier: BSD-2-Clause
// A TCP echo server: one goroutine a connection, plain blocking calls.
// Argument: the address to listen on (":7").

#include <errno.h>
#include <heddle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_BYTES = 64 << 10 };

static void serve(void *arg)
{
    struct conn *c = arg;
    char *buf = malloc(BUFFER_BYTES);
    ssize_t n = 0;
    while (buf && (n = net_read(c, buf, BUFFER_BYTES)) > 0)
        if (net_write(c, buf, (size_t)n) < 0)
            break;
    if (n == 0)
        net_close_write(c);
    free(buf);
    net_close(c);
}

int main(int argc, char **argv)
{
    const char *addr = argc > 1 ? argv[1] : ":7";
    struct listener *l = net_listen("tcp", addr);
    if (!l) {
        fprintf(stderr, "echo: cannot listen on %s: %s\n", addr, strerror(errno));
        return 1;
    }
    printf("echo: listening on %s\n", addr);
    for (;;) {
        struct conn *c = net_accept(l);
        if (!c) {
            // Out of memory for the moment: those who are served go on.
            fprintf(stderr, "echo: accept: %s\n", strerror(errno));
            time_sleep(10000000);
            continue;
        }
        if (go(serve, c) != 0)
            net_close(c);
    }
}
