// SPDX-License-Identifier: BSD-2-Clause
// One allocation fails, the n-th, for every n there is in a whole exchange: a call that cannot do
// without says ENOMEM or ENOBUFS, what was asked of others is made up for by asking again, and
// nothing is left in memory afterwards. Each n is a world of its own.
// test: srcs=net/*.c,tests/host/sim/*.c timeout=300
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
#include <sys/wait.h>
#include <unistd.h>

#include "tests/host/net_tcp_sock.h"

enum { BYTES = 20000, STEPS = 4000 };

struct plan {
    void (*fn)(void);
    int64_t n; // the allocation that fails
};

// True for a result; false for an honest refusal for want of memory. Anything else is a mistake.
static bool had(bool ok)
{
    if (!ok)
        CHECK(errno == ENOMEM || errno == ENOBUFS);
    return ok;
}

// All of BYTES, by pieces: a write that cannot have more buffers gives what it has done.
static bool send_all(struct conn *c)
{
    static uint8_t buf[BYTES];
    for (uint32_t i = 0; i < BYTES; i++)
        buf[i] = pattern(1, i);
    for (uint32_t at = 0; at < BYTES;) {
        ssize_t r = net_write(c, buf + at, BYTES - at);
        if (!had(r > 0))
            return false;
        at += (uint32_t)r;
    }
    return true;
}

// Whatever arrives is the beginning of what was sent.
static uint32_t receive(struct conn *c)
{
    uint8_t buf[3000];
    uint32_t at = 0;
    ssize_t r;
    while ((r = net_read(c, buf, sizeof(buf))) > 0)
        for (ssize_t i = 0; i < r; i++, at++)
            CHECK_EQ(buf[i], pattern(1, at));
    CHECK_EQ(r, 0);
    return at;
}

static struct listener *server_on;
static struct done serving;
static uint32_t received;

static void server(void *unused)
{
    struct conn *c = net_accept(server_on);
    if (c) {
        received = receive(c);
        net_close(c);
    } else {
        CHECK(errno == ENOMEM || errno == ENOBUFS || errno == EBADF);
    }
    serving.left--;
}

// A connection through addr; true if all of it went well.
static bool exchange(const char *addr)
{
    server_on = net_listen("tcp", ":80");
    if (!had(server_on))
        return false;
    serving.left = 1;
    if (!had(go(server, NULL) == 0)) {
        net_close_listener(server_on);
        return false;
    }
    bool ok = false;
    struct conn *c = net_dial("tcp", addr);
    if (had(c)) {
        ok = send_all(c);
        net_close(c);
        if (ok)
            done_wait(&serving);
        CHECK(!ok || received == BYTES);
    }
    time_sleep(TIME_MS); // no call of the server's may begin after this one
    net_close_listener(server_on);
    done_wait(&serving);
    return ok;
}

static void tcp(void) { exchange("10.0.0.2:80"); }
static void tcp_loopback(void) { exchange("127.0.0.1:80"); }

static void crossed(void)
{
    struct listener *l = net_listen("tcp", ":90");
    if (!had(l))
        return;
    struct conn *c[8];
    unsigned n = 0;
    while (n < 8 && had(c[n] = net_dial("tcp", "127.0.0.1:90")))
        n++;
    while (n > 0)
        net_close(c[--n]);
    net_close_listener(l);
}

// A datagram too large for one frame, so that it is put together again by the receiver.
static void udp(void)
{
    static char out[5000], in[5000];
    char from[NET_ADDR_MAX];
    struct packet_conn *a = net_listen_packet("udp", ":7");
    struct packet_conn *b = had(a) ? net_listen_packet("udp", ":0") : NULL;
    for (int i = 0; had(b) && i < STEPS; i++) {
        net_set_packet_deadline(a, time_mono() + TIME_S);
        if (!had(net_send_to(b, out, sizeof(out), "10.0.0.2:7") == sizeof(out)))
            continue;
        if (net_recv_from(a, in, sizeof(in), from, sizeof(from)) == sizeof(in))
            break;
        CHECK(errno == ETIMEDOUT);
    }
    net_close_packet(b);
    net_close_packet(a);
}

static void world_of(void *arg)
{
    struct plan *p = arg;
    net_start(0);
    sim_opt.heap_fail_nth = p->n;
    p->fn();
    bool reached = sim_opt.heap_fail_nth == 0;
    sim_opt.heap_fail_nth = 0;
    // Memory is back, and with it everything: the same again, without a failure.
    p->fn();
    net_check_empty();
    p->n = reached ? p->n : -1;
}

static void one_plan(void *arg)
{
    struct plan p = *(struct plan *)arg;
    struct sim_options opt = {.seed = sim_opt.seed, .cores = 1 + (unsigned)(p.n % 3),
                              .limit_ns = 48ll * 3600 * TIME_S, .cmdline = "ip=10.0.0.1/24"};
    sim_run(&opt, world_of, &p);
    _exit(p.n < 0 ? 77 : 0);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*fn)(void); } scenes[] = {
        { "tcp", tcp }, { "tcp_loopback", tcp_loopback }, { "crossed", crossed }, { "udp", udp },
    };
    int failed = 0;
    for (unsigned i = 0; i < ARRAY_LEN(scenes); i++) {
        struct plan p = { scenes[i].fn, 1 };
        for (; p.n < STEPS; p.n++) {
            fflush(NULL);
            pid_t child = fork();
            int status;
            if (child == 0) {
                alarm(60);
                one_plan(&p);
            }
            waitpid(child, &status, 0);
            if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                break;
            if (status != 0) {
                printf("%s: allocation %lld: status %x\n", scenes[i].name, (long long)p.n, status);
                failed = 1;
            }
        }
        printf("%s: each of %lld allocations failed once\n", scenes[i].name, (long long)p.n - 1);
        failed |= p.n < 5;
    }
    return failed;
}
