// SPDX-License-Identifier: BSD-2-Clause
// ICMP: answers echo requests, passes errors about our own packets up to the transports, and
// reports what we cannot deliver, at a bounded rate. No locks.
#include <string.h>

#include "kernel/clock.h"
#include "net/checksum.h"
#include "net/netif.h"

enum {
    ERROR_BURST = 64,
    ERROR_BYTES = 548, // of an error with what it quotes: 576 less IP and some slack for options
};
#define ERROR_INTERVAL_NS 10000000 // 100 errors a second in the long run

// A bucket that leaks: the time up to which errors have been spent. CAS is enough, nothing hangs
// on it.
static _Atomic(int64_t) spent_ns;

static bool error_allowed(void)
{
    int64_t now = clock_mono_ns(), t = atomic_load_explicit(&spent_ns, memory_order_relaxed), next;
    do {
        next = MAX(t, now) + ERROR_INTERVAL_NS;
        if (next > now + (int64_t)ERROR_BURST * ERROR_INTERVAL_NS)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&spent_ns, &t, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

// RFC 1122 3.2.2: no error about an error, a group, a later fragment or nobody in particular.
static bool deserves_error(struct pbuf *p, uint32_t *hlen)
{
    if (!pbuf_pull(p, IP4_HDR_LEN))
        return false;
    const struct ip4_hdr *h = (const struct ip4_hdr *)p->data;
    *hlen = 4 * (h->ver_ihl & 15u);
    if (p->flags & PBUF_BROADCAST || ipv4_is_broadcast(h->dst_be) || ip4_multicast(h->dst_be))
        return false;
    if (h->src_be == 0 || ip4_multicast(h->src_be) || ipv4_is_broadcast(h->src_be))
        return false;
    if (h->frag_be & BE16(IP4_OFF_MASK))
        return false;
    if (h->proto == IP_PROTO_ICMP) {
        uint8_t type;
        if (!pbuf_copy_out(p, *hlen, &type, 1) || (type != ICMP_ECHO && type != ICMP_ECHO_REPLY))
            return false;
    }
    return true;
}

void icmp_send_error(struct pbuf *p, uint8_t type, uint8_t code, uint16_t mtu)
{
    uint32_t hlen;
    if (!deserves_error(p, &hlen) || !error_allowed())
        return;
    const struct ip4_hdr *h = (const struct ip4_hdr *)p->data;
    struct pbuf *e = pbuf_alloc();
    if (!e)
        return;
    struct icmp_hdr *ic = (struct icmp_hdr *)e->data;
    uint32_t quoted = MIN(p->total, (uint32_t)(ERROR_BYTES - sizeof(*ic)));
    memset(ic, 0, sizeof(*ic));
    ic->type = type;
    ic->code = code;
    ic->seq_be = be16(mtu);
    pbuf_copy_out(p, 0, ic + 1, quoted);
    e->len = e->total = (uint32_t)sizeof(*ic) + quoted;
    ic->csum = csum_finish(csum_add(0, e->data, e->total));
    ipv4_output(e, h->dst_be, h->src_be, IP_PROTO_ICMP, IP_TTL_DEFAULT, true);
}

// p is turned into its answer.
static void answer_echo(struct pbuf *p, uint32_t src_be, uint32_t dst_be)
{
    struct icmp_hdr *ic = (struct icmp_hdr *)p->data;
    ic->type = ICMP_ECHO_REPLY;
    ic->csum = 0;
    ic->csum = csum_finish(csum_pbuf(0, p, 0, p->total));
    p->flags = 0;
    ipv4_output(p, dst_be, src_be, IP_PROTO_ICMP, IP_TTL_DEFAULT, true);
}

// An error quotes the packet it is about: one of ours, or it is no business of ours.
static void pass_error(struct pbuf *p, const struct icmp_hdr *ic)
{
    const struct ip4_hdr *h = (const struct ip4_hdr *)(ic + 1);
    uint32_t off = sizeof(*ic);
    if (!pbuf_pull(p, off + IP4_HDR_LEN))
        return;
    uint32_t hlen = 4 * (h->ver_ihl & 15u);
    if (h->ver_ihl >> 4 != 4 || hlen < IP4_HDR_LEN || !pbuf_pull(p, off + hlen + 8))
        return;
    if ((h->frag_be & BE16(IP4_OFF_MASK)) || !ipv4_is_local(h->src_be))
        return;
    const uint8_t *quoted = (const uint8_t *)h + hlen;
    if (h->proto == IP_PROTO_TCP)
        tcp_icmp_error(h->src_be, h->dst_be, quoted, ic->type, ic->code, be16(ic->seq_be));
    else if (h->proto == IP_PROTO_UDP)
        udp_icmp_error(h->src_be, h->dst_be, quoted, ic->type, ic->code);
}

void icmp_input(struct netif *nif, struct pbuf *p, uint32_t src_be, uint32_t dst_be)
{
    (void)nif;
    const struct icmp_hdr *ic = (const struct icmp_hdr *)p->data;
    if (!pbuf_pull(p, sizeof(*ic)))
        goto drop;
    if (!(p->flags & PBUF_CSUM_OK) && csum_fold(csum_pbuf(0, p, 0, p->total)) != 0xffff)
        goto drop;
    switch (ic->type) {
    case ICMP_ECHO:
        if (ipv4_is_local(dst_be) && src_be) {
            answer_echo(p, src_be, dst_be);
            return;
        }
        break;
    case ICMP_UNREACHABLE:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETER:
        pass_error(p, ic);
        break;
    default:
        break;
    }
drop:
    pbuf_free(p);
}
