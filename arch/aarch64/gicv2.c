// SPDX-License-Identifier: BSD-2-Clause
// The generic interrupt controller, version 2: a distributor for all and registers of each core,
// both in memory (Arm IHI 0048). At most 8 cores.
//
// With one security state there are two groups: 0, which we have delivered as FIQ, and 1. AckCtl
// lets the plain registers acknowledge and end both (the aliases for group 1 are missing in QEMU).
// With two states everything we see is group 1 and the plain registers are for it.

#include "arch/arch.h"
#include "arch/aarch64/cpu.h"
#include "kernel/devtree.h"
#include "kernel/panic.h"
#include "kernel/vm.h"
#include "lib/util.h"

enum {
    GICD_CTLR = 0x000, GICD_TYPER = 0x004, GICD_IGROUPR = 0x080, GICD_ISENABLER = 0x100,
    GICD_ICENABLER = 0x180, GICD_ICPENDR = 0x280, GICD_ICACTIVER = 0x380, GICD_IPRIORITYR = 0x400,
    GICD_ITARGETSR = 0x800, GICD_ICFGR = 0xc00, GICD_SGIR = 0xf00,
    GICC_CTLR = 0x00, GICC_PMR = 0x04, GICC_BPR = 0x08, GICC_IAR = 0x0c, GICC_EOIR = 0x10,
    TYPER_SECURITY = 1 << 10, CTLR_ACK_BOTH = 1 << 2, CTLR_FIQ = 1 << 3, PRIORITY = 0xa0a0a0a0u,
    MAX_GICV2_CORES = 8,
};

static volatile uint8_t *gicd, *gicc;

static void set(uint32_t reg, uint32_t v)
{
    arch_mmio_write32(gicd + reg, v);
}

// The first 32 interrupts are each core's own, and so are these registers.
static void init_core(unsigned core)
{
    cpus[core].gicc_mask = arch_mmio_read32(gicd + GICD_ITARGETSR) & 0xff;
    if (cpus[core].gicc_mask == 0)
        cpus[core].gicc_mask = 1; // a lone core's register may read as zero
    set(GICD_ICENABLER, 0xffffffff);
    set(GICD_ICPENDR, 0xffffffff);
    set(GICD_ICACTIVER, 0xffffffff);
    set(GICD_IGROUPR, gic_has_fiq ? ~(1u << SGI_STOP) : 0xffffffff);
    for (uint32_t i = 0; i < 32; i += 4)
        set(GICD_IPRIORITYR + i, PRIORITY);
    arch_mmio_write8(gicd + GICD_IPRIORITYR + SGI_STOP, 0);
    set(GICD_ISENABLER, 1u << SGI_WAKE | 1u << SGI_STOP | 1u << dt.timer_irq);
    arch_mmio_write32(gicc + GICC_PMR, 0xff);
    arch_mmio_write32(gicc + GICC_BPR, 0);
    arch_mmio_write32(gicc + GICC_CTLR, gic_has_fiq ? 3 | CTLR_ACK_BOTH | CTLR_FIQ : 1);
}

// What was acknowledged, of an SGI with its sender's number, which is due again when it ends.
// Owner: the core; nothing nests between the two.
static uint32_t last_iar[MAX_GICV2_CORES];

static uint32_t acknowledge(void)
{
    uint32_t v = arch_mmio_read32(gicc + GICC_IAR);
    last_iar[getg()->m->id] = v;
    return v & 0x3ff;
}

static void end(uint32_t intid)
{
    (void)intid;
    arch_mmio_write32(gicc + GICC_EOIR, last_iar[getg()->m->id]);
}

static void send(unsigned core, unsigned sgi)
{
    __asm__ volatile("dsb ishst" ::: "memory");
    set(GICD_SGIR, cpus[core].gicc_mask << 16 | sgi);
}

static void enable_spi(uint32_t intid, unsigned core, bool level)
{
    uint32_t shift = intid % 16 * 2;
    arch_mmio_write32(gicd + GICD_ICENABLER + intid / 32 * 4, 1u << intid % 32);
    uint32_t cfg = arch_mmio_read32(gicd + GICD_ICFGR + intid / 16 * 4) & ~(3u << shift);
    set(GICD_ICFGR + intid / 16 * 4, cfg | (level ? 0u : 2u << shift));
    arch_mmio_write8(gicd + GICD_ITARGETSR + intid, (uint8_t)cpus[core].gicc_mask);
    set(GICD_ISENABLER + intid / 32 * 4, 1u << intid % 32);
}

bool gicv2_init(void)
{
    gicd = dt.gicd.len ? vm_map_mmio(dt.gicd.base, 0x1000) : NULL;
    gicc = dt.gicc.len ? vm_map_mmio(dt.gicc.base, 0x1000) : NULL;
    if (!gicd || !gicc)
        return false;
    uint32_t type = arch_mmio_read32(gicd + GICD_TYPER);
    uint32_t lines = 32 * ((type & 31) + 1);
    gic_has_fiq = !(type & TYPER_SECURITY);
    set(GICD_CTLR, 0);
    for (uint32_t i = 32; i < lines; i += 32) {
        set(GICD_ICENABLER + i / 8, 0xffffffff);
        set(GICD_ICPENDR + i / 8, 0xffffffff);
        set(GICD_ICACTIVER + i / 8, 0xffffffff);
        set(GICD_IGROUPR + i / 8, 0xffffffff);
        for (uint32_t k = 0; k < 32; k += 4)
            set(GICD_IPRIORITYR + i + k, PRIORITY);
    }
    set(GICD_CTLR, gic_has_fiq ? 3 : 1);
    gic = (struct gic_ops){ init_core, acknowledge, end, send, enable_spi,
                            MIN(lines, 1020u) };
    return true;
}
