// SPDX-License-Identifier: BSD-2-Clause
// test: arch=x86_64 smp=1,4 boots=direct,grub,multiboot1,grub-uefi,uefi exit=77
// test: args="one \"two words\""
// test: expect="^boot_paths: all well" timeout=90 mem=256M
// Every way to boot ends in the same program on the same machine: all cores and their interrupt
// controllers found, nearly all memory, the command line with its quotes, preemption, a network
// card that gets an address, and the exit status.

#include "check.h"
#include "kernel/acpi.h"
#include "kernel/page.h"
#include "net/netif.h"

static _Atomic(bool) stop;

static void hog(void *unused)
{
    (void)unused;
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        ;
}

static bool network_up(void)
{
    for (struct netif *nif = atomic_load(&netif_list); nif; nif = nif->next)
        if (!nif->loopback && atomic_load(&nif->state) == NETIF_UP)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    check(argc == 3 && strcmp(argv[0], "boot_paths") == 0);
    check(strcmp(argv[1], "one") == 0 && strcmp(argv[2], "two words") == 0);
    check(acpi.refused == 0 && acpi.n_ioapics >= 1 && acpi.have_s5);
    check(go_numcpu() == (int)acpi.n_cores);
    printf("%zu MiB, %d cores\n", page_total() >> 8, go_numcpu());
    check(page_total() > (240u << 20) / PAGE_SIZE);
    for (int i = 0; i < go_numcpu(); i++)
        check(go(hog, NULL) == 0);
    check_soon(network_up());
    atomic_store_explicit(&stop, true, memory_order_relaxed);
    printf("boot_paths: all well\n");
    return 77;
}
