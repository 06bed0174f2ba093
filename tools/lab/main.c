// SPDX-License-Identifier: BSD-2-Clause
// netlab: a wire with faults for QEMU's datagram network, and a load without sockets. The manual is
// docs/netlab.md.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "tools/lab/lab.h"

volatile bool lab_stop;

static void stop(int sig)
{
    (void)sig;
    lab_stop = true;
}

int64_t lab_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = stop};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (getenv("HEDDLE_DIE_WITH_PARENT"))
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (argc > 1 && strcmp(argv[1], "wire") == 0)
        return wire_main(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "load") == 0)
        return load_main(argc - 2, argv + 2);
    refuse("usage: netlab wire|load --option value ...; see docs/netlab.md");
}
