// SPDX-License-Identifier: BSD-2-Clause
// netlab load: opens many connections to one address at a given rate, holds them while requests go
// over connections chosen at random, and closes them; one thread, one loop.
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lab/load.h"

enum { TICK_NS = 50000000, RESOLVE_NS = 200000000, RESOLVE_MAX = 150 };

struct plan {
    uint64_t connect_rate, request_rate, parallel;
    int64_t hold_ns, patience_ns;
    struct chance chance;
    bool close;
};

// Takes in what is there and waits for more, until_ns at the latest.
static void turn(struct load *l, int64_t until_ns)
{
    static struct frame in[BATCH];
    static int64_t tick_ns;
    unsigned n;
    while ((n = end_receive(&l->end, in, BATCH)) != 0) {
        for (unsigned i = 0; i < n; i++)
            load_input(l, in[i].data, in[i].len);
        if (n < BATCH)
            break;
    }
    int64_t now_ns = lab_now_ns();
    if (now_ns >= tick_ns) {
        load_tick(l);
        tick_ns = now_ns + TICK_NS;
    }
    int64_t wait_ns = (until_ns < tick_ns ? until_ns : tick_ns) - now_ns;
    struct pollfd p = {.fd = l->end.fd, .events = POLLIN};
    struct timespec t = {0, wait_ns > 0 ? wait_ns : 0};
    ppoll(&p, 1, &t, NULL);
}

static void find_target(struct load *l)
{
    for (int tries = 0; !l->resolved && !lab_stop; tries++) {
        if (tries == RESOLVE_MAX)
            refuse("--target: nobody has that address");
        load_resolve(l);
        for (int64_t end_ns = lab_now_ns() + RESOLVE_NS; !l->resolved && lab_now_ns() < end_ns;)
            turn(l, end_ns);
    }
}

static double seconds(int64_t since_ns) { return (double)(lab_now_ns() - since_ns) / 1e9; }

// Does what `step` does for numbers 0 to n-1, at `rate` a second and no more than `parallel` at a
// time being in `state`; then waits for the last of them.
static void sweep(struct load *l, const struct plan *p, enum flow_state state,
                  void (*step)(struct load *, uint32_t))
{
    int64_t began_ns = lab_now_ns(), moved_ns = began_ns;
    uint64_t done = 0, before = 0;
    while (!lab_stop && (done < l->n || l->in_state[state])) {
        int64_t now_ns = lab_now_ns();
        uint64_t due = p->connect_rate ?
            (uint64_t)((double)(now_ns - began_ns) / 1e9 * (double)p->connect_rate) + 1 : l->n;
        for (; done < due && done < l->n && l->in_state[state] < p->parallel; done++)
            step(l, (uint32_t)done);
        if (l->in_state[state] + done * 2 != before)
            moved_ns = now_ns;
        before = l->in_state[state] + done * 2;
        if (now_ns - moved_ns > p->patience_ns)
            break;
        turn(l, now_ns + 1000000);
    }
}

static void close_one(struct load *l, uint32_t i)
{
    if (l->flows[i].state == FLOW_IDLE)
        flow_close(l, i);
    else if (l->flows[i].state == FLOW_BUSY)
        flow_reset(l, i);
}

static void connect_all(struct load *l, const struct plan *p)
{
    int64_t began_ns = lab_now_ns();
    sweep(l, p, FLOW_SYN, flow_connect);
    double s = seconds(began_ns);
    printf("connected: %llu of %u in %.2f s, %.0f a second, ", (unsigned long long)l->connect.n,
           l->n, s, (double)l->connect.n / s);
    hist_print(&l->connect);
    printf("\n");
}

static void hold(struct load *l, struct plan *p)
{
    int64_t began_ns = lab_now_ns(), end_ns = began_ns + p->hold_ns;
    uint64_t asked = 0, busy = 0;
    while (!lab_stop && lab_now_ns() < end_ns) {
        int64_t now_ns = lab_now_ns();
        uint64_t due = (uint64_t)((double)(now_ns - began_ns) / 1e9 * (double)p->request_rate);
        for (; asked < due && l->in_state[FLOW_IDLE]; asked++) {
            uint32_t i = (uint32_t)chance_below(&p->chance, l->n);
            if (l->flows[i].state == FLOW_IDLE)
                flow_request(l, i);
            else
                busy++; // as if it had not been chosen
        }
        turn(l, p->request_rate ? now_ns + 500000 : end_ns);
    }
    for (int64_t late_ns = lab_now_ns() + p->patience_ns;
         !lab_stop && l->in_state[FLOW_BUSY] && lab_now_ns() < late_ns;)
        turn(l, late_ns);
    printf("held: %u open after %.2f s, %llu answers, %llu not asked, ",
           l->in_state[FLOW_IDLE] + l->in_state[FLOW_BUSY], seconds(began_ns),
           (unsigned long long)l->answers, (unsigned long long)busy);
    hist_print(&l->answer);
    printf("\n");
}

static void close_all(struct load *l, const struct plan *p)
{
    int64_t began_ns = lab_now_ns();
    sweep(l, p, FLOW_FIN, close_one);
    printf("closed: %u in %.2f s, %u dead\n", l->in_state[FLOW_DONE], seconds(began_ns),
           l->in_state[FLOW_DEAD]);
}

static void target_option(struct load *l, const char *o, const char *v)
{
    char host[64];
    const char *colon = strchr(v, ':');
    if (!colon || colon - v >= (int)sizeof(host))
        refuse("%s %s: must be ADDRESS:PORT", o, v);
    memcpy(host, v, (size_t)(colon - v));
    host[colon - v] = 0;
    l->target = word_address(o, host);
    l->port = (uint16_t)word_number(o, colon + 1, 1, 65535);
}

static void http_request(struct load *l, const char *o, const char *path)
{
    int n = snprintf((char *)l->request, sizeof(l->request),
                     "GET %s HTTP/1.1\r\nHost: lab\r\n\r\n", path);
    if (*path != '/' || n >= (int)sizeof(l->request))
        refuse("%s %s: not a path", o, path);
    l->request_len = (uint32_t)n;
}

static void options(struct load *l, struct plan *p, int argc, char **argv)
{
    uint64_t seed = 1;
    for (int i = 0; i < argc; i += 2) {
        const char *o = argv[i], *v = argv[i + 1];
        if (i + 1 == argc)
            refuse("%s: needs a value", o);
        if (strcmp(o, "--end") == 0) {
            end_open(&l->end, "end", v);
        } else if (strcmp(o, "--target") == 0) {
            target_option(l, o, v);
        } else if (strcmp(o, "--from") == 0) {
            l->from = word_address(o, v);
        } else if (strcmp(o, "--connections") == 0) {
            l->n = (uint32_t)word_number(o, v, 1, 100000000);
        } else if (strcmp(o, "--connect-rate") == 0) {
            p->connect_rate = word_number(o, v, 0, 10000000);
        } else if (strcmp(o, "--parallel") == 0) {
            p->parallel = word_number(o, v, 1, 1000000);
        } else if (strcmp(o, "--hold") == 0) {
            p->hold_ns = word_time(o, v);
        } else if (strcmp(o, "--patience") == 0) {
            p->patience_ns = word_time(o, v);
        } else if (strcmp(o, "--requests") == 0) {
            p->request_rate = word_number(o, v, 0, 10000000);
        } else if (strcmp(o, "--path") == 0) {
            http_request(l, o, v);
        } else if (strcmp(o, "--echo") == 0) {
            l->echo = true;
            l->request_len = (uint32_t)word_number(o, v, 1, sizeof(l->request));
            memset(l->request, 'x', l->request_len);
        } else if (strcmp(o, "--close") == 0) {
            p->close = word_number(o, v, 0, 1);
        } else if (strcmp(o, "--seed") == 0) {
            seed = word_number(o, v, 0, UINT32_MAX);
        } else {
            refuse("%s: no such option", o);
        }
    }
    if (l->end.fd < 0 || !l->target || !l->from)
        refuse("load: needs --end, --target and --from");
    chance_seed(&p->chance, seed, 0);
}

int load_main(int argc, char **argv)
{
    static struct load l = {.end.fd = -1, .n = 1000, .mac = {2, 'l', 'a', 'b', 0, 1}};
    struct plan p = {.parallel = 256, .hold_ns = 1000000000, .patience_ns = 20000000000,
                     .close = true};
    http_request(&l, "--path", "/");
    options(&l, &p, argc, argv);
    l.first = l.last = UINT32_MAX;
    l.start_ns = lab_now_ns();
    l.flows = calloc(l.n, sizeof(*l.flows));
    if (!l.flows)
        refuse("--connections %u: no memory for so many", l.n);
    l.in_state[FLOW_NEW] = l.n;
    find_target(&l);
    connect_all(&l, &p);
    if (!lab_stop)
        hold(&l, &p);
    if (!lab_stop && p.close)
        close_all(&l, &p);
    printf("frames: %llu in, %llu out, %llu repeated, %llu odd, %llu unsent; %llu resets, "
           "%llu timeouts, %llu closed by the peer, %llu probes answered\n",
           (unsigned long long)l.frames_in, (unsigned long long)l.frames_out,
           (unsigned long long)l.repeated, (unsigned long long)l.odd, (unsigned long long)l.unsent,
           (unsigned long long)l.resets, (unsigned long long)l.timeouts,
           (unsigned long long)l.closed_by_peer, (unsigned long long)l.probes);
    return l.in_state[FLOW_DEAD] != 0 || l.connect.n != l.n;
}
