// SPDX-License-Identifier: BSD-2-Clause
// test: arch=x86_64 smp=1,2,4 machines=microvm timeout=90 expect="drivers_noacpi: up"
// test: qemu="-machine acpi=off,auto-kernel-cmdline=off"
// test: kopts="virtio_mmio.device=nonsense virtio_mmio.device=512@0xfeb00e00:12"
//
// A machine without ACPI: cores and the interrupt controller from the MultiProcessor tables, the
// network card from the boot command line, an address by DHCP.

#include "check.h"
#include "kernel/acpi.h"
#include "net/netif.h"

static bool up(void)
{
    for (struct netif *nif = atomic_load(&netif_list); nif; nif = nif->next)
        if (!nif->loopback && atomic_load(&nif->state) == NETIF_UP)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    check(acpi.tables == 0 && acpi.n_cores == (uint32_t)go_numcpu() && acpi.n_ioapics == 1);
    check_soon(up());
    printf("drivers_noacpi: up\n");
    return 0;
}
