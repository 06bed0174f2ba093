// SPDX-License-Identifier: BSD-2-Clause
// test: arch=aarch64 smp=1,4,8 machines=q35,microvm timeout=60 expect="arm_levels: all well"
// test: qemu="-machine virtualization=on -cpu max -netdev user,id=n1"
// test: qemu+="-device virtio-net-pci,romfile=,netdev=n1"
// Entered at EL2, by a processor with everything the emulator knows: cores start by secure monitor
// call, all meet, hogs give way, and a card on PCI interrupts by message, with GICv3 through the
// translation service and with GICv2 through its frame of message registers; so does this program,
// in the name of device 0, on each core in turn.

#include "arch/arch.h"
#include "check.h"
#include "drivers/mmio.h"
#include "kernel/devtree.h"
#include "kernel/irq.h"
#include "kernel/vm.h"
#include "net/netif.h"

static _Atomic(int) arrived, done;

static void meet(void *unused)
{
    (void)unused;
    atomic_fetch_add(&arrived, 1);
    while (atomic_load(&arrived) < go_numcpu())
        arch_relax();
    atomic_fetch_add(&done, 1);
    for (;;)
        __asm__ volatile("");
}

static _Atomic(int) heard_on;

static void hear(void *unused)
{
    (void)unused;
    atomic_store(&heard_on, (int)getg()->m->id + 1);
}

static void check_messages(void)
{
    for (int core = 0; core < go_numcpu(); core++) {
        int vector = irq_alloc(hear, NULL, "test");
        uint64_t addr;
        uint32_t data;
        check(vector >= 0 && arch_msi_message(0, vector, (unsigned)core, &addr, &data));
        mmio_t *r = vm_map_mmio(addr, 4);
        mmio_write32(r, data);
        check_soon(atomic_load(&heard_on) == core + 1);
    }
}

static unsigned interfaces_up(void)
{
    unsigned n = 0;
    for (struct netif *nif = atomic_load(&netif_list); nif; nif = nif->next)
        n += !nif->loopback && atomic_load(&nif->state) == NETIF_UP;
    return n;
}

int main(void)
{
    check(dt.psci == DT_CALL_SMC && dt.n_cores == (uint32_t)go_numcpu());
    for (int i = 0; i < go_numcpu(); i++)
        check(go(meet, NULL) == 0);
    check_soon(atomic_load(&done) == go_numcpu());
    check_soon(interfaces_up() == 2);
    check_messages();
    printf("arm_levels: all well\n");
    return 0;
}
