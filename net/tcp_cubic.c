// SPDX-License-Identifier: BSD-2-Clause
// Congestion control: slow start and CUBIC (RFC 9438) in integers.
//
// W(t) = origin + 0.4 (t - K)^3 in segments and seconds; K = cbrt((origin - cwnd) / 0.4). Here
// windows are bytes and times milliseconds, so the cube carries a factor of 10^9. The window only
// grows while the connection makes use of it.
//
// Context of everything here: the connection's lock is held.
#include "net/tcp.h"

enum {
    MAX_DISTANCE_MS = 100000, // from the inflection; keeps the cube within 64 bits
    MAX_CWND = 1 << 28,
};

void cubic_init(struct tcb *c)
{
    uint32_t mss = c->mss;
    c->cwnd = MIN((uint32_t)TCP_INIT_SEGS * mss, MAX(2 * mss, 14600u));
    c->ssthresh = UINT32_MAX;
    c->w_max = 0;
    c->cubic_epoch_ns = 0;
}

static uint32_t cube_root(uint64_t x)
{
    uint64_t r = 0;
    for (int bit = 20; bit >= 0; bit--) {
        uint64_t t = r | UINT64_C(1) << bit;
        if (t * t * t <= x)
            r = t;
    }
    return (uint32_t)r;
}

static void begin_epoch(struct tcb *c, int64_t now_ns)
{
    c->cubic_epoch_ns = now_ns;
    c->w_est = c->cwnd;
    if (c->cwnd < c->w_max) {
        uint64_t gap = c->w_max - c->cwnd;
        c->cubic_k_ms = cube_root(gap * 2500000000u / c->mss);
        c->cubic_origin = c->w_max;
    } else {
        c->cubic_k_ms = 0;
        c->cubic_origin = c->cwnd;
    }
}

// Where the curve is one round trip from now.
static uint32_t target(const struct tcb *c, int64_t now_ns)
{
    int64_t t_ms = (now_ns - c->cubic_epoch_ns + ((int64_t)c->min_rtt << 10)) / TIME_MS;
    int64_t d = t_ms - c->cubic_k_ms;
    if (d > MAX_DISTANCE_MS)
        d = MAX_DISTANCE_MS;
    if (d < -MAX_DISTANCE_MS)
        d = -MAX_DISTANCE_MS;
    int64_t w = c->cubic_origin + d * d * d / 1000000000 * 2 * c->mss / 5;
    // Between two whole segments of the cube.
    w += d * d * d % 1000000000 * 2 / 5 * c->mss / 1000000000;
    int64_t lo = c->cwnd, hi = (int64_t)c->cwnd * 3 / 2;
    return (uint32_t)(w < lo ? lo : w > hi ? hi : w);
}

void cubic_acked(struct tcb *c, uint32_t acked, uint32_t pipe_before, int64_t now_ns)
{
    // Unused room says nothing about what the path carries.
    if (c->cwnd < c->ssthresh) {
        if (pipe_before + c->mss <= c->cwnd / 2)
            return;
        c->cwnd += acked;
        if (c->cwnd > c->ssthresh)
            c->cwnd = c->ssthresh;
    } else {
        if (pipe_before + 2u * c->mss < c->cwnd)
            return;
        if (!c->cubic_epoch_ns)
            begin_epoch(c, now_ns);
        uint64_t step = (uint64_t)acked * c->mss / c->cwnd;
        c->w_est += (uint32_t)(step * 529 / 1000); // 3 (1 - beta) / (1 + beta)
        uint32_t w = target(c, now_ns);
        if (w < c->w_est)
            c->cwnd = MAX(c->cwnd, c->w_est);
        else
            c->cwnd += (uint32_t)((uint64_t)(w - c->cwnd) * acked / c->cwnd);
    }
    c->cwnd = MIN(c->cwnd, (uint32_t)MAX_CWND);
}

void cubic_loss(struct tcb *c)
{
    uint32_t w = MIN(c->cwnd, MAX(c->snd_nxt - c->snd_una, 2u * c->mss));
    c->cubic_epoch_ns = 0;
    c->w_max = w < c->w_max ? w * 17 / 20 : w; // let others have room
    c->ssthresh = MAX((uint32_t)((uint64_t)w * 7 / 10), 2u * c->mss);
}

void cubic_idle(struct tcb *c)
{
    uint32_t init = MIN((uint32_t)TCP_INIT_SEGS * c->mss, MAX(2u * c->mss, 14600u));
    c->cwnd = MIN(c->cwnd, init);
    c->cubic_epoch_ns = 0;
}
