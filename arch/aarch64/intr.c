// SPDX-License-Identifier: BSD-2-Clause
// Interrupts: from what the controller calls them (INTID) to what they are for. SGI_WAKE and
// SGI_STOP are the runtime's, the timer's number is the tree's; a shared interrupt (SPI) has the
// vector it was routed to, a message (LPI) its vector in its number.
//
// SGI_STOP belongs to group 0 where the controller is ours alone (one security state): it then
// arrives as FIQ, which is never masked but for a few instructions, and stops a core whose
// interrupts are off. Elsewhere it is an ordinary interrupt.

#include "arch/arch.h"
#include "arch/aarch64/cpu.h"
#include "kernel/devtree.h"
#include "kernel/irq.h"
#include "kernel/panic.h"
#include "kernel/panic_int.h"
#include "kernel/print.h"
#include "kernel/vm.h"
#include "sched/sched.h"

enum { V2M_TYPER = 0x008, V2M_SETSPI = 0x040, MAX_SPI = 1020 };

struct gic_ops gic;
bool gic_has_fiq;

// By INTID; 0: nobody's. Written before the interrupt is enabled.
static _Atomic(uint8_t) vector_of[MAX_SPI];

// GICv2m: a register that raises the interrupt whose number is written to it.
static struct {
    uint64_t pa;
    uint32_t first, n;
} v2m;
static bool have_its;

static void find_v2m(void)
{
    volatile uint8_t *r = dt.v2m.len ? vm_map_mmio(dt.v2m.base, 0x1000) : NULL;
    if (!r)
        return;
    uint32_t type = arch_mmio_read32(r + V2M_TYPER);
    v2m.pa = dt.v2m.base;
    v2m.first = type >> 16 & 0x3ff;
    v2m.n = type & 0x3ff;
    if (v2m.first < INTID_SPI || v2m.first + v2m.n > MIN(gic.spis, (uint32_t)MAX_SPI))
        v2m.n = 0;
}

void intr_init(void)
{
    if (!(dt.gic == 2 && gicv2_init()) && !(dt.gic == 3 && gicv3_init()))
        throw("intr_init: the device tree names no interrupt controller that works");
    intr_init_core();
    find_v2m();
    have_its = dt.its.len && its_init();
}

void intr_init_core(void)
{
    unsigned core = getg()->m->id;
    gic.init_core(core);
    if (have_its)
        its_init_core(core);
}

void intr_handle(struct trap_frame *tf)
{
    uint32_t intid = gic.acknowledge();
    if (intid >= INTID_NONE && intid < INTID_LPI)
        return;
    if (intid == dt.timer_irq) {
        timer_irq_off();
        gic.end(intid);
        preempt_timer_irq();
        return;
    }
    if (intid == SGI_WAKE) {
        gic.end(intid);
        preempt_wake_irq();
        return;
    }
    if (intid == SGI_STOP) {
        gic.end(intid);
        if (panicking())
            panic_stop_here(tf);
        return;
    }
    if (intid >= INTID_LPI)
        irq_dispatch((int)(intid - INTID_LPI));
    else
        irq_dispatch(atomic_load_explicit(&vector_of[intid], memory_order_relaxed));
    gic.end(intid);
}

void arch_send_ipi(unsigned core, enum ipi what)
{
    gic.send(core, what == IPI_STOP ? SGI_STOP : SGI_WAKE);
}

// Context: boot or a goroutine of the one that configures devices; not concurrent.
int arch_irq_route(uint32_t gsi, int vector, unsigned core, bool level, bool active_low)
{
    (void)active_low; // the wires are as the controller wants them
    if (gsi < INTID_SPI || gsi >= MIN(gic.spis, (uint32_t)MAX_SPI)) {
        klog("interrupt: the controller has no shared interrupt %u", gsi);
        return -1;
    }
    atomic_store_explicit(&vector_of[gsi], (uint8_t)vector, memory_order_relaxed);
    gic.enable_spi(gsi, core, level);
    return 0;
}

// Context: as arch_irq_route.
bool arch_msi_message(uint32_t device, int vector, unsigned core, uint64_t *addr, uint32_t *data)
{
    if (have_its)
        return its_route(device, (unsigned)vector, core, addr, data);
    for (uint32_t i = 0; i < v2m.n; i++) {
        uint32_t intid = v2m.first + i;
        uint8_t has = atomic_load_explicit(&vector_of[intid], memory_order_relaxed);
        if (has != 0 && has != vector)
            continue;
        *addr = v2m.pa + V2M_SETSPI;
        *data = intid;
        return arch_irq_route(intid, vector, core, false, false) == 0;
    }
    return false;
}
