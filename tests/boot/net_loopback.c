// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2,4 timeout=90 expect="loopback: .* whole"
//
// Sockets over loopback on several cores: goroutines that send datagrams to each other, and
// connections that carry data both ways at once, every byte compared; then everything is closed
// while others wait on it.
#include <errno.h>
#include <heddle.h>
#include <stdlib.h>
#include <string.h>

#include "tests/boot/check.h"

enum { PAIRS = 8, DATAGRAMS = 400, CONNECTIONS = 40, BYTES = 200000 };

static struct waitgroup all;
static _Atomic(unsigned) datagrams, connections, woken;

static uint8_t byte_at(uint32_t seed, uint32_t i)
{
    return (uint8_t)((seed + i) * 2654435761u >> 24);
}

static void udp_echo(void *arg)
{
    static char bufs[PAIRS][4096];
    static _Atomic(unsigned) next;
    char *buf = bufs[next++], from[NET_ADDR_MAX];
    ssize_t n;
    while ((n = net_recv_from(arg, buf, sizeof(bufs[0]), from, sizeof(from))) >= 0)
        check(net_send_to(arg, buf, (size_t)n, from) == n);
    check(errno == EBADF);
    woken++;
    waitgroup_done(&all);
}

// A datagram may get lost where the others' data fills the queue: it is sent again, and answers to
// earlier ones are passed over.
static void ask_once(struct conn *c, const uint8_t *out, uint32_t n)
{
    uint8_t in[3000];
    ssize_t r;
    check(net_write(c, out, n) == (ssize_t)n);
    net_set_read_deadline(c, time_mono() + 200 * TIME_MS);
    while ((r = net_read(c, in, sizeof(in))) >= 0) {
        if (memcmp(in, out, 4) != 0)
            continue;
        check(r == (ssize_t)n && memcmp(in, out, n) == 0);
        return;
    }
    check(errno == ETIMEDOUT);
    ask_once(c, out, n);
}

static void udp_ask(void *arg)
{
    uint8_t out[3000];
    struct conn *c = net_dial("udp", "127.0.0.1:7");
    check(c);
    for (uint32_t k = 0; k < DATAGRAMS; k++) {
        uint32_t seed = (uint32_t)(uintptr_t)arg * DATAGRAMS + k;
        uint32_t n = 4 + k * 37 % (sizeof(out) - 4);
        memcpy(out, &seed, 4);
        for (uint32_t i = 4; i < n; i++)
            out[i] = byte_at(seed, i);
        ask_once(c, out, n);
        datagrams++;
    }
    check(net_close(c) == 0);
    waitgroup_done(&all);
}

static void tcp_echo(void *arg)
{
    char buf[2000];
    ssize_t n;
    while ((n = net_read(arg, buf, sizeof(buf))) > 0)
        check(net_write(arg, buf, (size_t)n) == n);
    check(n == 0);
    check(net_close(arg) == 0);
    waitgroup_done(&all);
}

static void tcp_accept_all(void *arg)
{
    struct conn *c;
    while ((c = net_accept(arg))) {
        waitgroup_add(&all, 1);
        check(go(tcp_echo, c) == 0);
    }
    check(errno == EBADF);
    woken++;
    waitgroup_done(&all);
}

struct stream {
    struct conn *c;
    uint32_t seed;
};

static void tcp_writer(void *arg)
{
    struct stream *s = arg;
    uint8_t buf[1777];
    for (uint32_t off = 0; off < BYTES;) {
        uint32_t n = 1 + (off * 31 + s->seed * 17) % sizeof(buf);
        n = n < BYTES - off ? n : BYTES - off;
        for (uint32_t i = 0; i < n; i++)
            buf[i] = byte_at(s->seed, off + i);
        check(net_write(s->c, buf, n) == (ssize_t)n);
        off += n;
    }
    check(net_close_write(s->c) == 0);
    waitgroup_done(&all);
}

static void tcp_ask(void *arg)
{
    struct stream s = {net_dial("tcp", "localhost:80"), (uint32_t)(uintptr_t)arg};
    uint8_t buf[3333];
    uint32_t off = 0;
    ssize_t n;
    check(s.c);
    // The writer is done before the echo has all of it, so s outlives it.
    waitgroup_add(&all, 1);
    check(go(tcp_writer, &s) == 0);
    while ((n = net_read(s.c, buf, sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            check(buf[i] == byte_at(s.seed, off + (uint32_t)i));
        off += (uint32_t)n;
    }
    check(n == 0 && off == BYTES);
    check(net_close(s.c) == 0);
    connections++;
    waitgroup_done(&all);
}

int main(void)
{
    struct packet_conn *pc = net_listen_packet("udp", "127.0.0.1:7");
    struct listener *l = net_listen("tcp", ":80");
    check(pc && l);
    waitgroup_add(&all, PAIRS + CONNECTIONS);
    for (uintptr_t i = 0; i < PAIRS; i++) {
        waitgroup_add(&all, 1);
        go(udp_echo, pc);
        go(udp_ask, (void *)i);
    }
    waitgroup_add(&all, 1);
    go(tcp_accept_all, l);
    for (uintptr_t i = 0; i < CONNECTIONS; i++)
        go(tcp_ask, (void *)i);
    while (datagrams < PAIRS * DATAGRAMS || connections < CONNECTIONS)
        time_sleep(TIME_MS);
    check(net_close_packet(pc) == 0 && net_close_listener(l) == 0);
    waitgroup_wait(&all);
    check(woken == PAIRS + 1);
    printf("loopback: %u datagrams and %u connections whole\n", (unsigned)datagrams,
           (unsigned)connections);
    return 0;
}
