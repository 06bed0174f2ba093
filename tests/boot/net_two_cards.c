// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 timeout=60 expect="two cards: both have their address"
// test: qemu="-netdev user,id=n1,net=10.0.5.0/24 -device virtio-net-pci,romfile=,netdev=n1"
//
// Two network cards on two networks: each gets its address by DHCP, and a packet leaves by the one
// whose network it is for.
#include <errno.h>
#include <heddle.h>
#include <string.h>

#include "tests/boot/check.h"

// Until the card that remote is behind has its address; either may be the first to get it.
static void wait_for(const char *remote, const char *local)
{
    char a[NET_ADDR_MAX] = "";
    for (int i = 0; i < 20000 && strncmp(a, local, strlen(local)) != 0; i++) {
        struct conn *c = net_dial("udp", remote);
        if (c) {
            net_local_addr(c, a, sizeof(a));
            net_close(c);
        }
        time_sleep(TIME_MS);
    }
}

static void local_is(const char *remote, const char *local)
{
    char a[NET_ADDR_MAX];
    struct conn *c = net_dial_deadline("udp", remote, time_mono() + 5 * TIME_S);
    check(c);
    check(net_local_addr(c, a, sizeof(a)) > 0);
    check(strncmp(a, local, strlen(local)) == 0);
    check(net_close(c) == 0);
}

int main(void)
{
    char a[NET_ADDR_MAX];
    check(net_wait_up(time_mono() + 20 * TIME_S, a, sizeof(a)) > 0);
    wait_for("10.0.2.2:9", "10.0.2.15:");
    wait_for("10.0.5.2:9", "10.0.5.15:");
    local_is("10.0.5.2:9", "10.0.5.15:");
    local_is("10.0.2.2:9", "10.0.2.15:");
    local_is("127.0.0.1:9", "127.0.0.1:");
    local_is("10.0.5.15:9", "10.0.5.15:");
    // Nobody is there: the wire says so, not a timeout.
    struct conn *c = net_dial("udp", "10.0.5.77:9");
    check(c && net_write(c, "x", 1) == 1);
    net_set_read_deadline(c, time_mono() + 10 * TIME_S);
    check(net_read(c, a, sizeof(a)) == -1 && errno == EHOSTUNREACH);
    check(net_close(c) == 0);
    printf("two cards: both have their address\n");
    return 0;
}
