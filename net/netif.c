// SPDX-License-Identifier: BSD-2-Clause
// Interfaces: registration of devices, their addresses, and who waits for them.
//
// An interface is never removed, so the list is read without a lock. Addresses change rarely;
// whoever caches a decision made from them remembers route_gen from before it read them, and
// compares.
#include "net/netif.h"

#include <string.h>

#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/heap.h"
#include "kernel/panic.h"
#include "kernel/print.h"
#include "net/socket.h"
#include "net/wait.h"

_Atomic(struct netif *) netif_list;
_Atomic(uint32_t) route_gen = 1;

static struct spinlock netif_lock = SPINLOCK_INIT(LOCK_NET_TABLE);
static struct gqueue waiters; // guard: netif_lock; for an interface to become configured

void route_changed(void)
{
    uint32_t g = atomic_load_explicit(&route_gen, memory_order_relaxed), next;
    do {
        next = g + 1 ? g + 1 : 1;
    } while (!atomic_compare_exchange_weak_explicit(&route_gen, &g, next,
                                                    memory_order_acq_rel, /* pairs: ROUTE-GEN */
                                                    memory_order_relaxed));
}

static void log_address(struct netif *nif, uint32_t addr_be, uint32_t mask_be, uint32_t gateway_be)
{
    char a[16], g[16];
    net_ip4_format(addr_be, a, sizeof(a));
    net_ip4_format(gateway_be, g, sizeof(g));
    if (!addr_be)
        klog("net: %s has no address", nif->dev->name);
    else
        klog("net: %s is %s/%d%s%s", nif->dev->name, a, __builtin_popcount(mask_be),
             gateway_be ? ", gateway " : "", gateway_be ? g : "");
}

void netif_configure(struct netif *nif, uint32_t addr_be, uint32_t mask_be, uint32_t gateway_be,
                     uint32_t dns_be, enum netif_state state)
{
    spin_lock(&netif_lock);
    uint32_t old = atomic_load_explicit(&nif->addr_be, memory_order_relaxed);
    atomic_store_explicit(&nif->mask_be, mask_be, memory_order_relaxed);
    atomic_store_explicit(&nif->gateway_be, gateway_be, memory_order_relaxed);
    atomic_store_explicit(&nif->dns_be, dns_be, memory_order_relaxed);
    atomic_store_explicit(&nif->addr_be, addr_be, memory_order_relaxed);
    atomic_store_explicit(&nif->state, state, memory_order_relaxed);
    struct gqueue wake = gqueue_take(&waiters);
    // Under the lock: whoever does not find itself in `waiters` finds this changed.
    route_changed();
    spin_unlock(&netif_lock);
    if (old != addr_be) {
        arp_flush(nif);
        log_address(nif, addr_be, mask_be, gateway_be);
        if (addr_be && !nif->loopback)
            arp_announce(nif);
    }
    net_wake_all(&wake);
}

void netif_set_mtu(struct netif *nif, uint32_t mtu)
{
    mtu = MIN(MIN(mtu, nif->dev->mtu), (uint32_t)NETIF_MTU_MAX);
    atomic_store_explicit(&nif->mtu, (uint16_t)MAX(mtu, (uint32_t)NETIF_MTU_MIN),
                          memory_order_relaxed);
    route_changed();
}

bool netif_configuring(void)
{
    for (struct netif *n = netif_first(); n; n = netif_next(n))
        if (atomic_load_explicit(&n->state, memory_order_relaxed) == NETIF_CONFIGURING)
            return true;
    return false;
}

bool netif_wait_configured(uint32_t gen, int64_t deadline_ns)
{
    spin_lock(&netif_lock);
    while (netif_configuring() && gen == atomic_load_explicit(&route_gen, memory_order_relaxed)) {
        if (deadline_ns && clock_mono_ns() >= deadline_ns) {
            spin_unlock(&netif_lock);
            return false;
        }
        net_wait(&waiters, &netif_lock, deadline_ns, WAIT_DHCP);
        spin_lock(&netif_lock);
    }
    spin_unlock(&netif_lock);
    return true;
}

void netif_flush_all(void)
{
    for (struct netif *n = netif_first(); n; n = netif_next(n)) {
        if (!atomic_load_explicit(&n->unflushed, memory_order_relaxed))
            continue;
        atomic_exchange_explicit(&n->unflushed, false,
                                 memory_order_acq_rel); /* pairs: NETIF-UNFLUSHED */
        if (n->dev->flush)
            n->dev->flush(n->dev);
    }
}

static void input(struct netdev *dev, struct pbuf *p)
{
    ether_input(dev->netif, p);
}

static void input_done(struct netdev *dev)
{
    (void)dev;
    tcp_input_done();
    netif_flush_all();
}

// The command line's value for this device: "ip=10.0.0.2/24" is the first device's,
// "ip=eth1:10.0.0.2/24" says whose it is. NULL: none.
static const char *option_for(struct netif *nif, const char *name, bool first)
{
    const char *v, *found = NULL;
    size_t n = strlen(nif->dev->name);
    for (unsigned i = 0; (v = cmdline_nth(name, i)); i++) {
        if (strncmp(v, nif->dev->name, n) == 0 && v[n] == ':')
            found = v + n + 1;
        else if (!strchr(v, ':') && first)
            found = v;
    }
    return found;
}

static bool option_addr(struct netif *nif, const char *name, bool first, uint32_t *addr_be)
{
    const char *v = option_for(nif, name, first);
    *addr_be = 0;
    if (!v || net_ip4_parse(v, strlen(v), addr_be))
        return true;
    kprintf("%s=%s: not an address; ignored\n", name, v);
    return false;
}

// "10.0.0.2/24".
static bool parse_cidr(const char *s, uint32_t *addr_be, uint32_t *mask_be)
{
    const char *slash = strchr(s, '/');
    if (!slash || !net_ip4_parse(s, (size_t)(slash - s), addr_be))
        return false;
    unsigned bits = 0;
    const char *d = slash + 1;
    for (; *d >= '0' && *d <= '9' && d - slash <= 2; d++)
        bits = bits * 10 + (unsigned)(*d - '0');
    if (*d || d == slash + 1 || bits > 32)
        return false;
    *mask_be = bits ? be32(0xffffffffu << (32 - bits)) : 0;
    return true;
}

static void start_dhcp(struct netif *nif)
{
    atomic_store_explicit(&nif->state, NETIF_CONFIGURING, memory_order_relaxed);
    if (dhcp_start(nif))
        return;
    klog("net: %s: no memory for its DHCP client", nif->dev->name);
    netif_configure(nif, 0, 0, 0, 0, NETIF_DOWN);
}

static void start_configuration(struct netif *nif, bool first)
{
    uint32_t addr, mask, gw, dns;
    const char *ip = option_for(nif, "ip", first);
    if (ip && strcmp(ip, "none") == 0)
        return;
    if (!ip || strcmp(ip, "dhcp") == 0) {
        start_dhcp(nif);
        return;
    }
    if (!parse_cidr(ip, &addr, &mask)) {
        kprintf("ip=%s: not an address with a prefix length, dhcp or none; using dhcp\n", ip);
        start_dhcp(nif);
        return;
    }
    option_addr(nif, "gw", first, &gw);
    option_addr(nif, "dns", first, &dns);
    netif_configure(nif, addr, mask, gw, dns, NETIF_UP);
}

void netdev_register(struct netdev *dev)
{
    struct netif *nif = heap_zalloc(sizeof(*nif));
    if (!nif) {
        klog("net: %s: no memory; left unused", dev->name);
        return;
    }
    nif->dev = dev;
    nif->loopback = dev == &loopback_dev;
    netif_set_mtu(nif, dev->mtu);
    atomic_store_explicit(&nif->ip_id, (uint32_t)net_random(), memory_order_relaxed);
    dev->netif = nif;
    dev->input = input;
    dev->input_done = input_done;
    spin_lock(&netif_lock);
    // In order of registration, but the loopback interface, which is there from the beginning,
    // stays last.
    _Atomic(struct netif *) *at = &netif_list;
    struct netif *n;
    while ((n = atomic_load_explicit(at, memory_order_relaxed)) && !n->loopback)
        at = &n->next;
    bool first = at == &netif_list;
    atomic_store_explicit(&nif->next, n, memory_order_relaxed);
    atomic_store_explicit(at, nif, memory_order_release); /* pairs: NETIF-LIST */
    spin_unlock(&netif_lock);
    if (nif->loopback)
        netif_configure(nif, IP4_BE(127, 0, 0, 1), IP4_BE(255, 0, 0, 0), 0, 0, NETIF_UP);
    else
        start_configuration(nif, first);
}

void net_init(void)
{
    pbuf_refill();
    udp_init();
    tcp_init();
    loopback_init();
}
