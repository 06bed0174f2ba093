// SPDX-License-Identifier: BSD-2-Clause
// test: arch=x86_64 smp=1,2,4 exit=2 machines=microvm reject="eth0|never"
// test: qemu="-machine acpi=off,auto-kernel-cmdline=off"
// test: expect="refused(.|\n)*error: all goroutines are asleep - deadlock!(.|\n)*\[net accept"
// On a machine without a network card nobody can call: who waits to accept waits for ever. But a
// call of one's own to a port where nobody listens is refused, not a deadlock, nor is a connection
// that a timer of TCP will give up.

#include <errno.h>

#include "check.h"

int main(void)
{
    check(!net_dial("tcp", "127.0.0.1:9") && errno == ECONNREFUSED);
    printf("refused\n");
    struct listener *l = net_listen("tcp", "127.0.0.1:80");
    check(l);
    net_accept(l);
    printf("never\n");
    return 0;
}
