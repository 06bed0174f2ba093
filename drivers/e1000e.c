// SPDX-License-Identifier: BSD-2-Clause
// The Intel 82574 network card, which QEMU emulates as e1000e and many boards have. One queue each
// way, checksums by the device.
//
// Interrupts: MSI-X with one vector for frames and one for the link, else MSI, else the pin. The
// handler masks the device and marks the poller; the poll that finds nothing more unmasks it. The
// device keeps the cause of what came in meanwhile, and interrupts at once when it is unmasked, so
// nothing is lost between the last look and the unmasking.

#include "drivers/e1000e.h"

#include <string.h>

#include <heddle/time.h>

#include "drivers/drivers.h"
#include "kernel/clock.h"
#include "kernel/entropy.h"
#include "kernel/heap.h"
#include "kernel/print.h"
#include "lib/le.h"

#define RESET_NS 10000000ll
#define RESET_LIMIT_NS 1000000000ll
#define MTA_REGS 128u
// MSI-X: the queues by vector 0, the link by vector 1.
#define IVAR_QUEUES_0 0x8888u
#define IVAR_OTHER_1 0x90000u

void e1000e_fail(struct e1000e *e, const char *why)
{
    if (atomic_exchange_explicit(&e->failed, true, memory_order_relaxed))
        return;
    klog("e1000e %s: given up: %s", e->pci.name, why);
    if (!e->regs)
        return;
    e1000e_write(e, E1000E_IMC, UINT32_MAX);
    e1000e_write(e, E1000E_RCTL, 0);
    e1000e_write(e, E1000E_TCTL, 0);
}

static void read_link(struct e1000e *e)
{
    bool up = e1000e_read(e, E1000E_STATUS) & STATUS_LINK_UP;
    if (atomic_exchange_explicit(&e->link, up, memory_order_relaxed) != up)
        klog("%s: link is %s", e->name, up ? "up" : "down");
}

static bool link_up(struct netdev *dev)
{
    struct e1000e *e = container_of(dev, struct e1000e, netdev);
    return atomic_load_explicit(&e->link, memory_order_relaxed) &&
           !atomic_load_explicit(&e->failed, memory_order_relaxed);
}

// The link may have changed: takes back the cause, where the handler could not.
static void link_event(struct e1000e *e)
{
    if (e->irqs == E1000E_MSIX)
        e1000e_write(e, E1000E_ICR, INT_LSC | INT_OTHER);
    read_link(e);
}

static bool poll(struct poller *pl)
{
    struct e1000e *e = pl->ctx;
    if (unlikely(atomic_load_explicit(&e->failed, memory_order_relaxed)))
        return false;
    // With MSI the causes have to be read for the next message to be sent. What they announce is
    // looked for below.
    bool link = e->irqs == E1000E_MSI && e1000e_read(e, E1000E_ICR) & INT_LSC;
    if (unlikely(link || atomic_load_explicit(&e->link_changed, memory_order_relaxed))) {
        atomic_store_explicit(&e->link_changed, false, memory_order_relaxed);
        link_event(e);
    }
    e1000e_tx_service(e);
    unsigned n = e1000e_receive(e, E1000E_BUDGET);
    if (n)
        e->netdev.input_done(&e->netdev);
    if (n == E1000E_BUDGET || atomic_load_explicit(&e->failed, memory_order_relaxed))
        return n == E1000E_BUDGET;
    e1000e_write(e, E1000E_IMS, e->causes);
    return e1000e_rx_ready(e);
}

// Context: interrupt handler.
static void message_irq(void *arg)
{
    struct e1000e *e = arg;
    e1000e_write(e, E1000E_IMC, UINT32_MAX);
    netpoll_mark(&e->poller);
}

// Context: interrupt handler.
static void other_irq(void *arg)
{
    struct e1000e *e = arg;
    atomic_store_explicit(&e->link_changed, true, memory_order_relaxed);
    message_irq(e);
}

// Others may share the wire. Reading the causes takes the interrupt back. Context: interrupt
// handler.
static void pin_irq(void *arg)
{
    struct e1000e *e = arg;
    uint32_t causes = e1000e_read(e, E1000E_ICR);
    if (!(causes & INT_ASSERTED))
        return;
    if (causes & INT_LSC)
        other_irq(e);
    else
        message_irq(e);
}

static bool start_msix(struct e1000e *e)
{
    if (pci_msix_init(&e->pci) < 2)
        return false;
    int queues = irq_alloc(message_irq, e, e->name);
    int other = queues < 0 ? -1 : irq_alloc(other_irq, e, e->name);
    if (other < 0) {
        if (queues >= 0)
            irq_free(queues);
        return false;
    }
    if (!pci_msix_route(&e->pci, 0, queues, 0) || !pci_msix_route(&e->pci, 1, other, 0)) {
        irq_free(queues);
        irq_free(other);
        return false;
    }
    pci_msix_enable(&e->pci, true);
    e1000e_write(e, E1000E_CTRL_EXT, e1000e_read(e, E1000E_CTRL_EXT) | CTRL_EXT_PBA_CLR);
    e1000e_write(e, E1000E_IVAR, IVAR_QUEUES_0 | IVAR_OTHER_1);
    e1000e_write(e, E1000E_EIAC, INT_RXQ0); // a message takes this cause back
    e1000e_write(e, E1000E_EITR, 0);
    e->causes = INT_RXQ0 | INT_OTHER | INT_LSC;
    e->irqs = E1000E_MSIX;
    return true;
}

static bool start_irqs(struct e1000e *e)
{
    if (start_msix(e))
        return true;
    e->causes = INT_RXT0 | INT_RXO | INT_RXDMT0 | INT_LSC;
    int vector = irq_alloc(message_irq, e, e->name);
    if (vector >= 0 && pci_msi_enable(&e->pci, vector, 0)) {
        e->irqs = E1000E_MSI;
        return true;
    }
    if (vector >= 0)
        irq_free(vector);
    e->irqs = E1000E_PIN;
    return pci_pin_connect(&e->pci, pin_irq, e, 0);
}

// The data sheet forbids looking at the device in the first moment of a reset.
static bool reset(struct e1000e *e)
{
    e1000e_write(e, E1000E_IMC, UINT32_MAX);
    e1000e_write(e, E1000E_RCTL, 0);
    e1000e_write(e, E1000E_TCTL, TCTL_PSP);
    time_sleep(RESET_NS);
    e1000e_write(e, E1000E_CTRL, e1000e_read(e, E1000E_CTRL) | CTRL_RST);
    int64_t limit_ns = clock_mono_ns() + RESET_LIMIT_NS;
    do {
        time_sleep(RESET_NS);
        if (clock_mono_ns() > limit_ns)
            return false;
    } while (e1000e_read(e, E1000E_CTRL) & CTRL_RST);
    e1000e_write(e, E1000E_IMC, UINT32_MAX);
    e1000e_read(e, E1000E_ICR);
    return true;
}

// After a reset the device has its own address in the first filter.
static void read_mac(struct e1000e *e)
{
    uint8_t *mac = e->netdev.mac;
    uint32_t low = e1000e_read(e, E1000E_RAL), high = e1000e_read(e, E1000E_RAH);
    le32_put(mac, low);
    mac[4] = (uint8_t)high;
    mac[5] = (uint8_t)(high >> 8);
    if (high & RAH_VALID && !(mac[0] & 1) && (low | (high & 0xffff)) != 0)
        return;
    entropy_get(mac, 6);
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 2); // ours alone, a single station's
    e1000e_write(e, E1000E_RAL, le32_get(mac));
    e1000e_write(e, E1000E_RAH, (uint32_t)mac[4] | (uint32_t)mac[5] << 8 | RAH_VALID);
}

static void configure(struct e1000e *e)
{
    struct netdev *nd = &e->netdev;
    read_mac(e);
    for (unsigned i = 0; i < MTA_REGS; i++)
        e1000e_write(e, E1000E_MTA + 4 * i, 0);
    e1000e_write(e, E1000E_FCAL, 0); // no flow control
    e1000e_write(e, E1000E_FCAH, 0);
    e1000e_write(e, E1000E_FCT, 0);
    e1000e_write(e, E1000E_FCTTV, 0);
    uint32_t ctrl = e1000e_read(e, E1000E_CTRL) & ~(uint32_t)(CTRL_FRCSPD | CTRL_FRCDPLX);
    e1000e_write(e, E1000E_CTRL, ctrl | CTRL_SLU | CTRL_ASDE);
    nd->name = e->name;
    nd->mtu = 1500;
    nd->features = NETDEV_TX_CSUM | NETDEV_RX_CSUM;
    nd->queues = 1;
    nd->driver = e;
    nd->transmit = e1000e_transmit;
    nd->flush = e1000e_flush;
    nd->link_up = link_up;
}

static const char *start(struct e1000e *e)
{
    pci_enable(&e->pci);
    e->regs = pci_map(&e->pci, 0, 0, E1000E_BYTES);
    if (!e->regs)
        return "no registers";
    if (!reset(e))
        return "it does not answer a reset";
    configure(e);
    if (!e1000e_tx_start(e) || !e1000e_rx_start(e))
        return "no memory for its queues";
    return start_irqs(e) ? NULL : "no interrupt to be had";
}

// Context: probing, one device at a time.
void e1000e_probe(struct pci_dev *d)
{
    static const char *const kinds[] = { "pin", "MSI", "MSI-X" };
    struct e1000e *e = heap_aligned_alloc(CACHE_LINE, sizeof *e);
    if (!e) {
        klog("e1000e at %s: no memory", d->name);
        return;
    }
    memset(e, 0, sizeof *e);
    e->pci = *d;
    ksnprintf(e->name, sizeof e->name, "eth%u", eth_count);
    const char *why = start(e);
    if (why) {
        // What the device has been told of stays its own.
        e1000e_fail(e, why);
        return;
    }
    eth_count++;
    const uint8_t *mac = e->netdev.mac;
    klog("%s: e1000e %s, %02x:%02x:%02x:%02x:%02x:%02x, interrupts by %s", e->name, d->name,
         mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], kinds[e->irqs]);
    atomic_store_explicit(&e->link, true, memory_order_relaxed);
    read_link(e);
    e->poller.poll = poll;
    e->poller.ctx = e;
    e->poller.name = e->name;
    netdev_register(&e->netdev);
    // The first poll turns interrupts on.
    netpoll_register(&e->poller);
    netpoll_mark_wake(&e->poller);
}
