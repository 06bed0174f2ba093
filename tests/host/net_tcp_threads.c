// SPDX-License-Identifier: BSD-2-Clause
// TCP under real concurrency: two devices polled by a core each, goroutines on cores of their own
// that dial, exchange, close and break off connections at random, timers on one more; under
// ThreadSanitizer and AddressSanitizer. Every answer is compared, and in the end no connection
// and no buffer is left.
// test: srcs=net/*.c,sched/timer.c,sched/time.c,sched/chan.c,sched/select.c,kernel/spinlock.c
// test: cflags="-iquote tests/host/seam"
// test: variants="-fsanitize=thread|-fsanitize=address,undefined" timeout=240
#include "threads.h"

#include <heddle/net.h>
#include <heddle/time.h>

#include "kernel/cmdline.h"
#include "kernel/entropy.h"
#include "kernel/page.h"
#include "net/netif.h"
#include "net/tcp.h"
#include "sched/netpoll.h"

enum { CLIENTS = 8, ROUNDS = 200, SERVERS_MAX = 40 };

// ---- what the kernel would give ----

size_t page_total(void) { return 131072; }
const char *cmdline_option(const char *name) { return cmdline_nth(name, 0); }

const char *cmdline_nth(const char *name, unsigned n)
{
    return n == 0 && strcmp(name, "ip") == 0 ? "10.0.0.1/24" : NULL;
}

int64_t cmdline_number(const char *name, int64_t dflt, int64_t lo, int64_t hi)
{
    check(dflt >= lo && dflt <= hi);
    return strcmp(name, "tcp_orphan_timeout") == 0 ? 5 : dflt;
}

int go_system(const char *name, void (*fn)(void *), void *arg)
{
    (void)name;
    return go(fn, arg);
}

int ksnprintf(char *buf, size_t n, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = vsnprintf(buf, n, fmt, ap);
    va_end(ap);
    return r;
}

void klog(const char *fmt, ...) { (void)fmt; }
void kprintf(const char *fmt, ...) { (void)fmt; }

void entropy_get(void *buf, size_t n)
{
    static _Atomic(uint64_t) state = 1;
    for (uint8_t *b = buf; n--; b++)
        *b = (uint8_t)(atomic_fetch_add(&state, 0x9e3779b97f4a7c15) * 0xd1b54a32d192ed03 >> 56);
}

bool gqueue_remove(struct gqueue *q, struct g *gp)
{
    struct gqueue rest = { 0 };
    bool found = false;
    for (struct g *g; (g = gqueue_pop(q)) != NULL;) {
        if (g == gp)
            found = true;
        else
            gqueue_push(&rest, g);
    }
    *q = rest;
    return found;
}

// ---- a core for each poller ----

static struct poller *pollers[4];
static _Atomic(bool) pollers_stop;
static pthread_t poller_threads[4];
static unsigned n_pollers;

static void *poll_main(void *arg)
{
    struct poller *pl = arg;
    unsigned slot = MAX_CORES - 2;
    while (pollers[MAX_CORES - 2 - slot] != pl)
        slot--;
    setg(&actors[slot].g0);
    while (!atomic_load(&pollers_stop)) {
        if (!atomic_exchange(&pl->pending, 0)) {
            usleep(20);
            continue;
        }
        if (pl->poll(pl))
            atomic_store(&pl->pending, 1);
    }
    return NULL;
}

void netpoll_register(struct poller *pl)
{
    pthread_mutex_lock(&actors_mutex);
    make_actor(MAX_CORES - 2 - n_pollers);
    pthread_mutex_unlock(&actors_mutex);
    pollers[n_pollers] = pl;
    check(pthread_create(&poller_threads[n_pollers], NULL, poll_main, pl) == 0);
    n_pollers++;
}

void netpoll_mark(struct poller *pl) { atomic_store(&pl->pending, 1); }
void netpoll_mark_wake(struct poller *pl) { atomic_store(&pl->pending, 1); }

// ---- a device whose far side is a mirror ----

static struct {
    struct netdev dev;
    struct poller poller;
    struct spinlock lock;
    struct pbuf *head, *tail;
} eth = { .lock = SPINLOCK_INIT(LOCK_NETDEV_TX) };

static void turn_round(struct pbuf *p)
{
    struct eth_hdr *e = (struct eth_hdr *)p->data;
    uint32_t t;
    memcpy(e->dst, eth.dev.mac, 6);
    memset(e->src, 2, 6);
    if (e->type_be == BE16(ETH_TYPE_ARP)) {
        struct arp_hdr *a = (struct arp_hdr *)(e + 1);
        memset(a->sender_mac, 2, 6);
        t = a->target_be;
        a->target_be = a->sender_be;
        a->sender_be = t;
        a->op_be = BE16(2);
    } else {
        struct ip4_hdr *ip = (struct ip4_hdr *)(e + 1);
        t = ip->dst_be;
        ip->dst_be = ip->src_be;
        ip->src_be = t;
    }
}

static bool eth_transmit(struct netdev *dev, struct pbuf *p, bool more)
{
    struct pbuf *c = pbuf_alloc();
    (void)more;
    check(dev == &eth.dev && pbuf_copy_out(p, 0, c->data, p->total));
    c->len = c->total = p->total;
    c->flags = PBUF_CSUM_OK;
    pbuf_free(p);
    turn_round(c);
    if (c->len < 42) { // nothing of ours
        pbuf_free(c);
        return true;
    }
    spin_lock(&eth.lock);
    if (eth.tail)
        eth.tail->next = c;
    else
        eth.head = c;
    eth.tail = c;
    spin_unlock(&eth.lock);
    netpoll_mark(&eth.poller);
    return true;
}

static bool eth_poll(struct poller *pl)
{
    (void)pl;
    spin_lock(&eth.lock);
    struct pbuf *p = eth.head;
    eth.head = eth.tail = NULL;
    spin_unlock(&eth.lock);
    while (p) {
        struct pbuf *next = p->next;
        p->next = NULL;
        eth.dev.input(&eth.dev, p);
        p = next;
    }
    eth.dev.input_done(&eth.dev);
    return false;
}

static bool eth_link_up(struct netdev *dev) { return dev != NULL; }

static void eth_create(void)
{
    eth.dev = (struct netdev){ .name = "eth0", .mac = { 2, 0, 0, 0, 0, 1 }, .mtu = 1500,
                               .features = NETDEV_TX_CSUM | NETDEV_RX_CSUM, .queues = 1,
                               .transmit = eth_transmit, .link_up = eth_link_up };
    eth.poller = (struct poller){ .poll = eth_poll, .name = "eth0" };
    netpoll_register(&eth.poller);
    netdev_register(&eth.dev);
}

// ---- who uses it ----

static struct listener *listener;
static _Atomic(unsigned) serving, finished, broken;

static void echo(void *arg)
{
    struct conn *c = arg;
    char buf[4000];
    ssize_t n;
    net_set_read_deadline(c, time_mono() + 30 * TIME_S);
    while ((n = net_read(c, buf, sizeof(buf))) > 0)
        if (net_write(c, buf, (size_t)n) != n)
            break;
    net_close(c);
    atomic_fetch_sub(&serving, 1);
}

static void accept_all(void *arg)
{
    struct conn *c;
    (void)arg;
    while ((c = net_accept(listener)) != NULL) {
        while (atomic_load(&serving) >= SERVERS_MAX)
            usleep(100);
        atomic_fetch_add(&serving, 1);
        while (go(echo, c) != 0)
            usleep(100);
    }
    check(errno == EBADF);
}

struct transfer {
    struct conn *c;
    uint32_t bytes, id;
    _Atomic(bool) done;
};

static void upload(void *arg)
{
    struct transfer *t = arg;
    uint8_t buf[5000];
    for (uint32_t at = 0; at < t->bytes;) {
        uint32_t n = MIN((uint32_t)sizeof(buf), t->bytes - at);
        for (uint32_t i = 0; i < n; i++)
            buf[i] = (uint8_t)((at + i) * 31 + t->id);
        if (net_write(t->c, buf, n) != n)
            break;
        at += n;
    }
    net_close_write(t->c);
    atomic_store(&t->done, true);
}

static void round_trip(struct conn *c, uint32_t id, uint32_t *rng)
{
    struct transfer t = { .c = c, .bytes = rand_below(rng, 60000), .id = id };
    uint8_t buf[3000];
    uint32_t at = 0;
    ssize_t n;
    // Some give up in the middle, with data still on its way.
    uint32_t until = rand_below(rng, 5) ? UINT32_MAX : rand_below(rng, t.bytes + 1);
    check(go(upload, &t) == 0);
    while (at < until && (n = net_read(c, buf, 1 + rand_below(rng, sizeof(buf)))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            check(buf[i] == (uint8_t)((at + (uint32_t)i) * 31 + id));
        at += (uint32_t)n;
    }
    check(at >= until || at == t.bytes);
    if (at < t.bytes) {
        net_set_write_deadline(c, 1); // the writer must be out before the handle goes
        atomic_fetch_add(&broken, 1);
    }
    while (!atomic_load(&t.done))
        usleep(50);
    net_close(c);
}

static void client(void *arg)
{
    uint32_t rng = (uint32_t)(uintptr_t)arg * 7919 + 1;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct conn *c = net_dial("tcp", rand_below(&rng, 2) ? "10.0.0.2:80" : "127.0.0.1:80");
        check(c != NULL);
        round_trip(c, (uint32_t)(uintptr_t)arg * 100 + i, &rng);
    }
    atomic_fetch_add(&finished, 1);
}

int main(void)
{
    threads_begin();
    net_init();
    eth_create();
    listener = net_listen("tcp", ":80");
    check(listener && go(accept_all, NULL) == 0);
    for (uintptr_t i = 0; i < CLIENTS; i++)
        check(go(client, (void *)i) == 0);
    while (atomic_load(&finished) < CLIENTS || atomic_load(&serving))
        usleep(1000);
    net_close_listener(listener);
    while (actors_running() > n_pollers)
        usleep(200);
    for (int i = 0; i < 20000 && tcp_table_count(); i++)
        usleep(1000);
    check(tcp_table_count() == 0 && tcp_mem_held() == 0);
    atomic_store(&pollers_stop, true);
    for (unsigned i = 0; i < n_pollers; i++)
        pthread_join(poller_threads[i], NULL);
    pthread_mutex_lock(&actors_mutex);
    for (unsigned i = 0; i < n_pollers; i++)
        actors[MAX_CORES - 2 - i].used = false;
    pthread_mutex_unlock(&actors_mutex);
    threads_end();
    printf("tcp threads: %d connections, %u broken off\n", CLIENTS * ROUNDS, atomic_load(&broken));
    return 0;
}
