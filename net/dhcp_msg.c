// SPDX-License-Identifier: BSD-2-Clause
// Building and parsing DHCP messages (RFC 2131, 2132). Pure functions; every length is checked.
#include "net/dhcp.h"

#include <string.h>

#include "lib/util.h"
#include "net/wire.h"

enum {
    OPT_PAD = 0,
    OPT_MASK = 1,
    OPT_ROUTER = 3,
    OPT_DNS = 6,
    OPT_MTU = 26,
    OPT_WANTED = 50,
    OPT_LEASE = 51,
    OPT_OVERLOAD = 52,
    OPT_TYPE = 53,
    OPT_SERVER = 54,
    OPT_LIST = 55,
    OPT_MAX_SIZE = 57,
    OPT_RENEW = 58,
    OPT_REBIND = 59,
    OPT_CLIENT_ID = 61,
    OPT_END = 255,
};

enum { OP_REQUEST = 1, OP_REPLY = 2, LEASE_MIN_S = 30 };

struct WIRE bootp {
    uint8_t op, htype, hlen, hops;
    uint32_t xid_be;
    uint16_t secs_be, flags_be;
    uint32_t ciaddr_be, yiaddr_be, siaddr_be, giaddr_be;
    uint8_t chaddr[16];
    uint8_t sname[64];
    uint8_t file[128];
    uint32_t magic_be;
};

#define MAGIC_BE BE32(0x63825363)
#define FLAG_BROADCAST 0x8000 // answer by broadcast, since we have no address to be reached at

static uint8_t *option(uint8_t *at, uint8_t code, const void *value, uint8_t n)
{
    *at++ = code;
    *at++ = n;
    memcpy(at, value, n);
    return at + n;
}

uint32_t dhcp_build(uint8_t *msg, uint32_t xid, uint16_t secs, const uint8_t mac[6],
                    const struct dhcp_request *q)
{
    static const uint8_t list[] = {OPT_MASK,   OPT_ROUTER, OPT_DNS,    OPT_MTU,
                                   OPT_LEASE,  OPT_SERVER, OPT_RENEW,  OPT_REBIND};
    struct bootp *b = (struct bootp *)msg;
    memset(msg, 0, DHCP_MESSAGE_MIN);
    b->op = OP_REQUEST;
    b->htype = 1;
    b->hlen = 6;
    b->xid_be = be32(xid);
    b->secs_be = be16(secs);
    b->flags_be = q->ciaddr_be ? 0 : BE16(FLAG_BROADCAST);
    b->ciaddr_be = q->ciaddr_be;
    memcpy(b->chaddr, mac, 6);
    b->magic_be = MAGIC_BE;
    uint8_t *at = option(msg + sizeof(*b), OPT_TYPE, &q->type, 1);
    uint8_t id[7] = {1};
    memcpy(id + 1, mac, 6);
    at = option(at, OPT_CLIENT_ID, id, sizeof(id));
    if (q->wanted_be)
        at = option(at, OPT_WANTED, &q->wanted_be, 4);
    if (q->server_be)
        at = option(at, OPT_SERVER, &q->server_be, 4);
    if (q->type != DHCP_DECLINE) {
        uint16_t most_be = BE16(DHCP_MESSAGE_MAX);
        at = option(at, OPT_MAX_SIZE, &most_be, 2);
        at = option(at, OPT_LIST, list, sizeof(list));
    }
    *at++ = OPT_END;
    return MAX((uint32_t)(at - msg), (uint32_t)DHCP_MESSAGE_MIN);
}

static void take32(uint32_t *to, const uint8_t *v, uint8_t n)
{
    if (n >= 4)
        memcpy(to, v, 4);
}

static void take_option(struct dhcp_reply *r, uint8_t *overload, uint8_t code, const uint8_t *v,
                        uint8_t n)
{
    switch (code) {
    case OPT_MASK:
        take32(&r->mask_be, v, n);
        break;
    case OPT_ROUTER:
        take32(&r->router_be, v, n);
        break;
    case OPT_DNS:
        take32(&r->dns_be, v, n);
        break;
    case OPT_SERVER:
        take32(&r->server_be, v, n);
        break;
    case OPT_LEASE:
        take32(&r->lease_s, v, n);
        break;
    case OPT_RENEW:
        take32(&r->renew_s, v, n);
        break;
    case OPT_REBIND:
        take32(&r->rebind_s, v, n);
        break;
    case OPT_MTU:
        if (n >= 2)
            r->mtu = (uint16_t)(v[0] << 8 | v[1]);
        break;
    case OPT_TYPE:
        if (n >= 1)
            r->type = v[0];
        break;
    case OPT_OVERLOAD:
        if (n >= 1)
            *overload = v[0];
        break;
    default:
        break;
    }
}

static void take_options(struct dhcp_reply *r, uint8_t *overload, const uint8_t *at, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && at[i] != OPT_END) {
        if (at[i] == OPT_PAD) {
            i++;
            continue;
        }
        if (i + 2 > n || at[i + 1] > n - i - 2)
            return; // cut off
        take_option(r, overload, at[i], at + i + 2, at[i + 1]);
        i += 2u + at[i + 1];
    }
}

// A mask of ones followed by zeros, with room for at least one host.
static bool mask_ok(uint32_t mask_be)
{
    uint32_t inv = ~be32(mask_be);
    return mask_be && (inv & (inv + 1)) == 0;
}

// Fills in what the server left out, and refuses what cannot be used.
static bool complete(struct dhcp_reply *r)
{
    uint32_t a = be32(r->addr_be);
    if (a == 0 || a >> 28 >= 14 || a >> 24 == 127 || !r->server_be)
        return false;
    if (!r->mask_be)
        r->mask_be = a >> 31 == 0 ? BE32(0xff000000) : a >> 30 == 2 ? BE32(0xffff0000)
                                                                     : BE32(0xffffff00);
    if (!mask_ok(r->mask_be))
        return false;
    r->lease_s = be32(r->lease_s);
    r->renew_s = be32(r->renew_s);
    r->rebind_s = be32(r->rebind_s);
    if (!r->lease_s)
        r->lease_s = 3600;
    r->lease_s = MAX(r->lease_s, (uint32_t)LEASE_MIN_S);
    if (!r->rebind_s || r->rebind_s >= r->lease_s)
        r->rebind_s = r->lease_s / 8 * 7;
    if (!r->renew_s || r->renew_s >= r->rebind_s)
        r->renew_s = MIN(r->lease_s / 2, r->rebind_s);
    return true;
}

bool dhcp_parse(const uint8_t *msg, uint32_t n, uint32_t xid, const uint8_t mac[6],
                struct dhcp_reply *r)
{
    const struct bootp *b = (const struct bootp *)msg;
    uint8_t overload = 0, ignored = 0;
    if (n < sizeof(*b) || b->op != OP_REPLY || b->htype != 1 || b->hlen != 6)
        return false;
    if (b->xid_be != be32(xid) || memcmp(b->chaddr, mac, 6) != 0 || b->magic_be != MAGIC_BE)
        return false;
    memset(r, 0, sizeof(*r));
    r->addr_be = b->yiaddr_be;
    take_options(r, &overload, msg + sizeof(*b), n - (uint32_t)sizeof(*b));
    if (overload & 1)
        take_options(r, &ignored, b->file, sizeof(b->file));
    if (overload & 2)
        take_options(r, &ignored, b->sname, sizeof(b->sname));
    switch (r->type) {
    case DHCP_OFFER:
    case DHCP_ACK:
        return complete(r);
    case DHCP_NAK:
        return true;
    default:
        return false;
    }
}
