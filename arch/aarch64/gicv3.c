// SPDX-License-Identifier: BSD-2-Clause
// The generic interrupt controller, versions 3 and 4: a distributor for all, a redistributor for
// each core, and system registers (Arm IHI 0069).
//
// The distributor's control register has one set of bits with one security state and another with
// two; ARE and both enables stand in the same places, so both are set alike.

#include "arch/arch.h"
#include "arch/aarch64/cpu.h"
#include "kernel/clock.h"
#include "kernel/devtree.h"
#include "kernel/panic.h"
#include "kernel/vm.h"
#include "lib/util.h"

enum {
    GICD_CTLR = 0x0000, GICD_TYPER = 0x0004, GICD_IGROUPR = 0x0080, GICD_ISENABLER = 0x0100,
    GICD_ICENABLER = 0x0180, GICD_ICPENDR = 0x0280, GICD_ICACTIVER = 0x0380,
    GICD_IPRIORITYR = 0x0400, GICD_ICFGR = 0x0c00, GICD_IROUTER = 0x6000,
    GICR_TYPER = 0x0008, GICR_WAKER = 0x0014, GICR_SGI_FRAME = 0x10000,
    CTLR_ENABLES = 3, CTLR_ARE = 1 << 4, CTLR_ONE_STATE = 1 << 6,
    TYPER_LAST = 1 << 4, TYPER_VLPIS = 1 << 1, WAKER_SLEEP = 1 << 1, WAKER_ASLEEP = 1 << 2,
    FRAMES = 0x20000, // of a redistributor; twice as much with virtual LPIs
};
#define CTLR_WRITE_PENDING (1u << 31)
#define PRIORITY 0xa0a0a0a0u

// The core's own registers, by their encodings.
#define ICC_PMR_EL1 S3_0_C4_C6_0
#define ICC_SGI1R_EL1 S3_0_C12_C11_5
#define ICC_SGI0R_EL1 S3_0_C12_C11_7
#define ICC_IAR1_EL1 S3_0_C12_C12_0
#define ICC_EOIR1_EL1 S3_0_C12_C12_1
#define ICC_BPR1_EL1 S3_0_C12_C12_3
#define ICC_CTLR_EL1 S3_0_C12_C12_4
#define ICC_SRE_EL1 S3_0_C12_C12_5
#define ICC_IGRPEN0_EL1 S3_0_C12_C12_6
#define ICC_IGRPEN1_EL1 S3_0_C12_C12_7
#define READ(reg) sysreg_read(reg)
#define WRITE(reg, v) sysreg_write(reg, v)

static volatile uint8_t *gicd;
static volatile uint8_t *regions[DT_MAX_GICR];

// The distributor has taken in what was written to it.
static void settle(void)
{
    for (int i = 0; i < 1000000; i++) {
        if (!(arch_mmio_read32(gicd + GICD_CTLR) & CTLR_WRITE_PENDING))
            return;
        arch_relax();
    }
    throw("gicv3: the distributor does not settle");
}

// MPIDR's affinities packed as GICR_TYPER has them.
static uint32_t affinity(uint64_t mpidr)
{
    return (uint32_t)(mpidr & 0xffffff) | (uint32_t)(mpidr >> 32 & 0xff) << 24;
}

static volatile uint8_t *find_redistributor(uint64_t mpidr, uint64_t *pa)
{
    for (uint32_t i = 0; i < dt.n_gicr; i++) {
        volatile uint8_t *r = regions[i];
        for (uint64_t off = 0; r && off + FRAMES <= dt.gicr[i].len;) {
            uint64_t type = arch_mmio_read64(r + off + GICR_TYPER);
            if (type >> 32 == affinity(mpidr)) {
                *pa = dt.gicr[i].base + off;
                return r + off;
            }
            if (type & TYPER_LAST)
                break;
            off += type & TYPER_VLPIS ? 2 * FRAMES : FRAMES;
        }
    }
    throw("gicv3: no redistributor for core %lx", (unsigned long)mpidr);
}

static void init_core(unsigned core)
{
    volatile uint8_t *r = find_redistributor(cpus[core].mpidr, &cpus[core].gicr_pa);
    volatile uint8_t *sgi = r + GICR_SGI_FRAME;
    cpus[core].gicr = (uintptr_t)r;
    arch_mmio_write32(r + GICR_WAKER, arch_mmio_read32(r + GICR_WAKER) & ~(uint32_t)WAKER_SLEEP);
    for (int i = 0; arch_mmio_read32(r + GICR_WAKER) & WAKER_ASLEEP; i++) {
        if (i > 1000000)
            throw("gicv3: the redistributor of core %u does not wake", core);
        arch_relax();
    }
    arch_mmio_write32(sgi + GICD_ICENABLER, 0xffffffff);
    arch_mmio_write32(sgi + GICD_ICPENDR, 0xffffffff);
    arch_mmio_write32(sgi + GICD_ICACTIVER, 0xffffffff);
    arch_mmio_write32(sgi + GICD_IGROUPR, gic_has_fiq ? ~(1u << SGI_STOP) : 0xffffffff);
    for (uint32_t i = 0; i < 32; i += 4)
        arch_mmio_write32(sgi + GICD_IPRIORITYR + i, PRIORITY);
    arch_mmio_write8(sgi + GICD_IPRIORITYR + SGI_STOP, 0);
    arch_mmio_write32(sgi + GICD_ISENABLER, 1u << SGI_WAKE | 1u << SGI_STOP | 1u << dt.timer_irq);

    WRITE(ICC_SRE_EL1, READ(ICC_SRE_EL1) | 1);
    isb();
    if (!(READ(ICC_SRE_EL1) & 1))
        throw("gicv3: the firmware keeps the system registers to itself");
    WRITE(ICC_PMR_EL1, 0xff);
    WRITE(ICC_BPR1_EL1, 0);
    WRITE(ICC_CTLR_EL1, 0);
    if (gic_has_fiq)
        WRITE(ICC_IGRPEN0_EL1, 1);
    WRITE(ICC_IGRPEN1_EL1, 1);
    isb();
}

static uint32_t acknowledge(void)
{
    uint32_t intid = (uint32_t)READ(ICC_IAR1_EL1) & 0xffffff;
    __asm__ volatile("dsb sy" ::: "memory");
    return intid;
}

static void end(uint32_t intid)
{
    WRITE(ICC_EOIR1_EL1, intid);
    isb();
}

static void send(unsigned core, unsigned sgi)
{
    uint64_t a = cpus[core].mpidr;
    uint64_t v = (a >> 32 & 0xff) << 48 | (a >> 4 & 0xf) << 44 | (a >> 16 & 0xff) << 32 |
                 (uint64_t)sgi << 24 | (a >> 8 & 0xff) << 16 | 1u << (a & 0xf);
    __asm__ volatile("dsb ishst" ::: "memory");
    if (sgi == SGI_STOP && gic_has_fiq)
        WRITE(ICC_SGI0R_EL1, v);
    else
        WRITE(ICC_SGI1R_EL1, v);
    isb();
}

static void enable_spi(uint32_t intid, unsigned core, bool level)
{
    uint32_t shift = intid % 16 * 2;
    arch_mmio_write32(gicd + GICD_ICENABLER + intid / 32 * 4, 1u << intid % 32);
    settle();
    volatile uint8_t *cfg = gicd + GICD_ICFGR + intid / 16 * 4;
    arch_mmio_write32(cfg, (arch_mmio_read32(cfg) & ~(3u << shift)) | (level ? 0u : 2u << shift));
    arch_mmio_write64(gicd + GICD_IROUTER + 8 * (uint64_t)intid, cpus[core].mpidr);
    arch_mmio_write32(gicd + GICD_ISENABLER + intid / 32 * 4, 1u << intid % 32);
}

bool gicv3_init(void)
{
    gicd = dt.gicd.len ? vm_map_mmio(dt.gicd.base, 0x10000) : NULL;
    bool any = false;
    for (uint32_t i = 0; i < dt.n_gicr; i++) {
        regions[i] = dt.gicr[i].len ? vm_map_mmio(dt.gicr[i].base, dt.gicr[i].len) : NULL;
        any |= regions[i] != NULL;
    }
    if (!gicd || !any)
        return false;
    uint32_t lines = 32 * ((arch_mmio_read32(gicd + GICD_TYPER) & 31) + 1);
    gic_has_fiq = arch_mmio_read32(gicd + GICD_CTLR) & CTLR_ONE_STATE;
    arch_mmio_write32(gicd + GICD_CTLR, 0);
    settle();
    for (uint32_t i = 32; i < lines; i += 32) {
        arch_mmio_write32(gicd + GICD_ICENABLER + i / 8, 0xffffffff);
        arch_mmio_write32(gicd + GICD_ICPENDR + i / 8, 0xffffffff);
        arch_mmio_write32(gicd + GICD_ICACTIVER + i / 8, 0xffffffff);
        arch_mmio_write32(gicd + GICD_IGROUPR + i / 8, 0xffffffff);
        for (uint32_t k = 0; k < 32; k += 4)
            arch_mmio_write32(gicd + GICD_IPRIORITYR + i + k, PRIORITY);
    }
    settle();
    arch_mmio_write32(gicd + GICD_CTLR, CTLR_ARE);
    settle();
    arch_mmio_write32(gicd + GICD_CTLR, CTLR_ARE | CTLR_ENABLES);
    settle();
    gic = (struct gic_ops){ init_core, acknowledge, end, send, enable_spi, MIN(lines, 1020u) };
    return true;
}
