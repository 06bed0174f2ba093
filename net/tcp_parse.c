// SPDX-License-Identifier: BSD-2-Clause
// From bytes to struct tcp_seg: header, options, checksum. Nothing here believes a length before it
// has been compared with what is there.
#include <string.h>

#include "net/checksum.h"
#include "net/tcp.h"

enum { OPT_END, OPT_NOP, OPT_MSS, OPT_SCALE, OPT_SACK_OK, OPT_SACK, OPT_TS = 8, MAX_SCALE = 14 };

static uint32_t get32(const uint8_t *o)
{
    uint32_t v;
    memcpy(&v, o, 4);
    return be32(v);
}

static void take_sack(const uint8_t *o, unsigned len, struct tcp_seg *s)
{
    if (len < 10 || (len - 2) % 8)
        return;
    unsigned n = MIN((len - 2) / 8, (unsigned)TCP_SACK_MAX);
    for (unsigned i = 0; i < n; i++) {
        s->sack[i].start = get32(o + 2 + 8 * i);
        s->sack[i].end = get32(o + 6 + 8 * i);
    }
    s->n_sack = (uint8_t)n;
}

static void take_options(const uint8_t *o, unsigned n, struct tcp_seg *s)
{
    while (n > 0 && *o != OPT_END) {
        if (*o == OPT_NOP) {
            o++;
            n--;
            continue;
        }
        if (n < 2 || o[1] < 2 || o[1] > n)
            return;
        unsigned len = o[1];
        if (*o == OPT_MSS && len == 4 && (s->flags & TH_SYN)) {
            s->mss = (uint16_t)(o[2] << 8 | o[3]);
        } else if (*o == OPT_SCALE && len == 3 && (s->flags & TH_SYN)) {
            s->scale = (int8_t)MIN(o[2], MAX_SCALE);
        } else if (*o == OPT_SACK_OK && len == 2 && (s->flags & TH_SYN)) {
            s->has_sack_ok = true;
        } else if (*o == OPT_SACK && !(s->flags & TH_SYN)) {
            take_sack(o, len, s);
        } else if (*o == OPT_TS && len == 10) {
            s->has_ts = true;
            s->ts_val = get32(o + 2);
            s->ts_ecr = get32(o + 6);
        }
        o += len;
        n -= len;
    }
}

bool tcp_parse(struct pbuf *p, uint32_t src_be, uint32_t dst_be, struct tcp_seg *s)
{
    uint32_t total = p->total;
    if (unlikely(p->len < TCP_HDR_LEN) && !pbuf_pull(p, TCP_HDR_LEN))
        return false;
    const struct tcp_hdr *h = (const struct tcp_hdr *)p->data;
    unsigned hdr_len = (h->off >> 4) * 4u;
    if (unlikely(hdr_len < TCP_HDR_LEN || hdr_len > total))
        return false;
    if (unlikely(p->len < hdr_len)) {
        if (!pbuf_pull(p, hdr_len))
            return false;
        h = (const struct tcp_hdr *)p->data;
    }
    if (!(p->flags & PBUF_CSUM_OK)) {
        uint32_t sum = csum_pseudo(src_be, dst_be, IP_PROTO_TCP, total);
        if (csum_fold(csum_pbuf(sum, p, 0, total)) != 0xffff)
            return false;
    }
    s->src_be = src_be;
    s->dst_be = dst_be;
    s->sport = be16(h->sport_be);
    s->dport = be16(h->dport_be);
    s->seq = be32(h->seq_be);
    s->ack = be32(h->ack_be);
    s->wnd = be16(h->wnd_be);
    s->flags = h->flags;
    s->hdr_len = (uint8_t)hdr_len;
    s->len = total - hdr_len;
    s->has_ts = s->has_sack_ok = false;
    s->scale = -1;
    s->n_sack = 0;
    s->mss = 0;
    s->deliver = NULL;
    const uint8_t *o = (const uint8_t *)(h + 1);
    if (likely(hdr_len == TCP_HDR_LEN + TCP_TS_LEN && get32(o) == 0x0101080a)) {
        s->has_ts = true;
        s->ts_val = get32(o + 4);
        s->ts_ecr = get32(o + 8);
    } else if (hdr_len > TCP_HDR_LEN) {
        take_options(o, hdr_len - TCP_HDR_LEN, s);
    }
    s->hash = tcp_hash(dst_be, s->dport, src_be, s->sport);
    pbuf_drop_front(p, hdr_len);
    return true;
}
