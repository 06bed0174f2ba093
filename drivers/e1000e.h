// SPDX-License-Identifier: BSD-2-Clause
// The Intel 82574 network card: registers, descriptors, and what its three files share.
#ifndef DRIVERS_E1000E_H
#define DRIVERS_E1000E_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/pci.h"
#include "kernel/page.h"
#include "kernel/spinlock.h"
#include "net/netdev.h"
#include "sched/netpoll.h"
#include "sched/timer.h"

// Registers and their bits, by the names of the 82574 data sheet.
enum e1000e_reg {
    E1000E_CTRL = 0x0000, E1000E_STATUS = 0x0008, E1000E_CTRL_EXT = 0x0018,
    E1000E_FCAL = 0x0028, E1000E_FCAH = 0x002c, E1000E_FCT = 0x0030, E1000E_ICR = 0x00c0,
    E1000E_IMS = 0x00d0, E1000E_IMC = 0x00d8, E1000E_EIAC = 0x00dc, E1000E_IVAR = 0x00e4,
    E1000E_EITR = 0x00e8, E1000E_RCTL = 0x0100, E1000E_FCTTV = 0x0170, E1000E_TCTL = 0x0400,
    E1000E_TIPG = 0x0410, E1000E_RDBAL = 0x2800, E1000E_RDBAH = 0x2804, E1000E_RDLEN = 0x2808,
    E1000E_RDH = 0x2810, E1000E_RDT = 0x2818, E1000E_RDTR = 0x2820, E1000E_RADV = 0x282c,
    E1000E_TDBAL = 0x3800, E1000E_TDBAH = 0x3804, E1000E_TDLEN = 0x3808, E1000E_TDH = 0x3810,
    E1000E_TDT = 0x3818, E1000E_TXDCTL = 0x3828, E1000E_RXCSUM = 0x5000, E1000E_RFCTL = 0x5008,
    E1000E_MTA = 0x5200, E1000E_RAL = 0x5400, E1000E_RAH = 0x5404, E1000E_MRQC = 0x5818,
    E1000E_BYTES = 0x6000, // registers this driver needs to reach
};

enum e1000e_bits {
    CTRL_ASDE = 1 << 5, CTRL_SLU = 1 << 6, CTRL_FRCSPD = 1 << 11, CTRL_FRCDPLX = 1 << 12,
    CTRL_RST = 1 << 26,
    STATUS_LINK_UP = 1 << 1,
    CTRL_EXT_PBA_CLR = 1u << 31,
    INT_TXDW = 1 << 0, INT_LSC = 1 << 2, INT_RXDMT0 = 1 << 4, INT_RXO = 1 << 6, INT_RXT0 = 1 << 7,
    INT_RXQ0 = 1 << 20, INT_OTHER = 1 << 24, INT_ASSERTED = 1u << 31,
    RCTL_EN = 1 << 1, RCTL_BAM = 1 << 15, RCTL_SECRC = 1 << 26,
    RXCSUM_IPOFL = 1 << 8, RXCSUM_TUOFL = 1 << 9,
    TCTL_EN = 1 << 1, TCTL_PSP = 1 << 3, TCTL_CT = 15 << 4, TCTL_COLD = 63 << 12,
    TCTL_RTLC = 1 << 24,
    TXDCTL_WTHRESH_1 = 1 << 16, TXDCTL_COUNT_DESC = 1 << 22, TXDCTL_GRAN = 1 << 24,
    RAH_VALID = 1u << 31,
};

// A receive descriptor in the old form: the buffer's address, then a word the device writes.
struct e1000e_rx_desc {
    uint64_t addr;
    _Atomic(uint64_t) done;
};

#define RX_LEN(done) ((uint32_t)(done) & 0xffff)
#define RX_STATUS(done) ((uint32_t)((done) >> 32) & 0xff)
#define RX_ERRORS(done) ((uint32_t)((done) >> 40) & 0xff)

enum { RX_DD = 1, RX_EOP = 2, RX_IXSM = 4, RX_TCPCS = 0x20, RX_IPCS = 0x40 };
enum { RX_E_FRAME = 0x97, RX_E_TCP = 0x20, RX_E_IP = 0x40 };

// A transmit descriptor: data or, before the first of its kind, where checksums go.
struct e1000e_tx_desc {
    uint64_t addr;
    _Atomic(uint64_t) command; // the device sets TX_DD in the last of a frame
};

#define TX_DATA (1ull << 20 | 1ull << 29)
#define TX_CONTEXT (1ull << 29)
#define TX_CONTEXT_TCP (1ull << 24)
#define TX_CONTEXT_IP4 (1ull << 25)
#define TX_EOP (1ull << 24)
#define TX_FCS (1ull << 25)
#define TX_REPORT (1ull << 27)
#define TX_DD (1ull << 32)
#define TX_TXSM (1ull << 41)

#define E1000E_RX_RING 256u
#define E1000E_TX_RING 1024u
#define E1000E_BUDGET (HOSTILE ? 2u : 64u)
#define E1000E_FRAME_MAX 1522u // longer ones the device drops

struct e1000e_rx {
    // Owner: whoever polls.
    struct e1000e_rx_desc *desc;
    struct pbuf *slot[E1000E_RX_RING];
    uint32_t next, filled; // buffers next..filled-1 are the device's, counted for ever
    uint32_t told;         // `filled` as the device knows it
    bool in_frame;         // the rest of an overlong frame is being skipped
};

struct e1000e_tx {
    struct spinlock lock; // LOCK_NETDEV_TX
    // guard: lock
    struct e1000e_tx_desc *desc;
    struct pbuf *frame[E1000E_TX_RING];    // at a frame's first descriptor
    uint16_t pieces[E1000E_TX_RING];       // likewise: how many descriptors it has
    uint32_t first, next, told;            // first..next-1 are in flight, counted for ever
    uint64_t context;                      // the checksum places the device knows
    bool reaping;                          // reaper is armed
    struct timer reaper;
    _Atomic(bool) untold; // legal to set late; must be set while the tail is held back by `more`
};

struct e1000e {
    struct netdev netdev;
    struct pci_dev pci;
    mmio_t *regs;
    uint32_t causes; // of interrupts, enabled while nobody polls
    enum { E1000E_PIN, E1000E_MSI, E1000E_MSIX } irqs;
    char name[8];
    struct poller poller;
    _Alignas(CACHE_LINE) struct e1000e_rx rx;
    _Alignas(CACHE_LINE) struct e1000e_tx tx;
    _Atomic(bool) link;   // written by who polls
    _Atomic(bool) link_changed; // legal to set at any time
    _Atomic(bool) failed; // legal to set at any time; then the device is left alone
};

static inline uint32_t e1000e_read(struct e1000e *e, unsigned reg)
{
    return mmio_read32(e->regs + reg);
}

static inline void e1000e_write(struct e1000e *e, unsigned reg, uint32_t value)
{
    mmio_write32(e->regs + reg, value);
}

// e1000e.c

// Gives the device up, with a line in the log.
void e1000e_fail(struct e1000e *e, const char *why);

// e1000e_rx.c

bool e1000e_rx_start(struct e1000e *e);
// Hands up to `budget` received frames to the stack; returns how many descriptors it took.
// Context: the poller.
unsigned e1000e_receive(struct e1000e *e, unsigned budget);
// True if the device has written something since. Context: the poller.
bool e1000e_rx_ready(struct e1000e *e);

// e1000e_tx.c

bool e1000e_tx_start(struct e1000e *e);
bool e1000e_transmit(struct netdev *dev, struct pbuf *p, bool more);
void e1000e_flush(struct netdev *dev);
// Takes back what has been sent. Context: goroutine or g0.
void e1000e_tx_service(struct e1000e *e);

#endif
