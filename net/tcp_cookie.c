// SPDX-License-Identifier: BSD-2-Clause
// SYN cookies: answering a SYN without remembering it, when a listener's queue of half-open
// connections is full (RFC 4987, 3.6).
//
// The first sequence number of the answer carries 5 bits of time (steps of 2^36 ns, a good minute),
// 3 bits that stand for the MSS, and 24 bits of a keyed hash over both, the endpoints and the
// peer's first number. An acknowledgement is good for at most two steps. If the SYN had
// timestamps, the low bits of ours carry the window scale and whether SACK may be used; without
// them neither is.
#include "net/tcp.h"

enum { TS_BITS = 6, TS_SCALE_MASK = 15, TS_NO_SCALE = 15, TS_SACK = 16 };
enum { STEP_SHIFT = 36, STEP_MASK = 31 };

static const uint16_t mss_table[8] = {TCP_MSS_MIN, 536, 1024, 1220, 1360, 1440, 1460, TCP_SEG_ROOM};
static uint64_t key[2];

void tcp_cookie_init(void)
{
    key[0] = net_random();
    key[1] = net_random();
}

static uint32_t mac(const struct tcp_seg *s, uint32_t peer_iss, uint32_t step, uint32_t mss_index)
{
    uint32_t in[6] = {s->src_be, s->dst_be, (uint32_t)s->sport << 16 | s->dport,
                      peer_iss, step, mss_index};
    return (uint32_t)siphash(key, in, sizeof(in)) & 0xffffff;
}

uint32_t tcp_cookie_make(const struct tcp_seg *s)
{
    uint32_t step = (uint32_t)(s->now_ns >> STEP_SHIFT), i = 7;
    uint16_t mss = s->mss ? s->mss : TCP_MSS_DEFAULT;
    while (i > 0 && mss_table[i] > mss)
        i--;
    return (step & STEP_MASK) << 27 | i << 24 | mac(s, s->seq, step, i);
}

uint32_t tcp_cookie_ts(const struct tcp_seg *s, uint32_t ts)
{
    uint32_t bits = (uint32_t)(s->scale < 0 ? TS_NO_SCALE : s->scale);
    if (s->has_sack_ok)
        bits |= TS_SACK;
    uint32_t v = (ts & ~((1u << TS_BITS) - 1)) | bits;
    return seq_gt(v, ts) ? v - (1u << TS_BITS) : v; // never ahead of later ones
}

bool tcp_cookie_check(struct tcp_seg *s)
{
    uint32_t cookie = s->ack - 1, i = cookie >> 24 & 7;
    uint32_t step = (uint32_t)(s->now_ns >> STEP_SHIFT);
    if ((cookie >> 27) != (step & STEP_MASK))
        step--;
    if ((cookie >> 27) != (step & STEP_MASK) ||
        (cookie & 0xffffff) != mac(s, s->seq - 1, step, i))
        return false;
    s->mss = mss_table[i];
    s->scale = -1;
    s->has_sack_ok = false;
    if (s->has_ts) {
        uint32_t scale = s->ts_ecr & TS_SCALE_MASK;
        s->scale = scale == TS_NO_SCALE ? -1 : (int8_t)scale;
        s->has_sack_ok = s->ts_ecr & TS_SACK;
    }
    return true;
}
