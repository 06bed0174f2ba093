// SPDX-License-Identifier: BSD-2-Clause
// DNS messages (RFC 1035): a question for IPv4 addresses, and what may be believed of an answer.
//
// An answer must repeat number and question. Aliases are followed within the message, whatever the
// order of its records; servers that were asked for recursion put the whole way into it. Names may
// point back into the message; each step goes to a place before the last, so that every name ends.
#include <errno.h>
#include <string.h>

#include "lib/util.h"
#include "net/dns.h"

enum { HEADER = 12, TYPE_A = 1, TYPE_CNAME = 5, CLASS_IN = 1, LABEL_MAX = 63, ALIASES_MAX = 8 };
enum { FLAG_RESPONSE = 0x8000, FLAG_TRUNCATED = 0x200, FLAG_RECURSE = 0x100 };
enum { RCODE_NO_NAME = 3 };

static uint16_t get16(const uint8_t *b) { return (uint16_t)(b[0] << 8 | b[1]); }

static uint8_t *put16(uint8_t *b, unsigned v)
{
    b[0] = (uint8_t)(v >> 8);
    b[1] = (uint8_t)v;
    return b + 2;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool dns_name(const char *s, size_t n, char out[DNS_NAME_MAX + 1])
{
    size_t label = 0;
    if (n && s[n - 1] == '.')
        n--;
    if (n == 0 || n > DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = lower(s[i]);
        bool dot = c == '.';
        if (!dot && c != '-' && c != '_' && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
            return false;
        if ((dot && label == 0) || (!dot && label == LABEL_MAX))
            return false;
        label = dot ? 0 : label + 1;
        out[i] = c;
    }
    out[n] = 0;
    return label > 0;
}

uint32_t dns_build(uint8_t msg[DNS_MESSAGE_MAX], uint16_t id, const char *name)
{
    uint8_t *o = put16(put16(msg, id), FLAG_RECURSE);
    o = put16(o, 1);
    memset(o, 0, 6);
    o += 6;
    while (*name) {
        const char *dot = strchr(name, '.');
        size_t n = dot ? (size_t)(dot - name) : strlen(name);
        *o++ = (uint8_t)n;
        memcpy(o, name, n);
        o += n;
        name += n + (dot != NULL);
    }
    *o++ = 0;
    o = put16(put16(o, TYPE_A), CLASS_IN);
    return (uint32_t)(o - msg);
}

// Reads the name at *at and moves *at behind it. False: malformed.
static bool read_name(const uint8_t *msg, uint32_t n, uint32_t *at, char out[DNS_NAME_MAX + 1])
{
    uint32_t i = *at, before = i, len = 0;
    bool jumped = false;
    for (;;) {
        if (i >= n || (msg[i] > LABEL_MAX && msg[i] < 0xc0))
            return false;
        uint32_t c = msg[i++];
        if (c == 0)
            break;
        if (c > LABEL_MAX) {
            if (i >= n)
                return false;
            uint32_t to = (c & 0x3f) << 8 | msg[i++];
            if (!jumped)
                *at = i;
            jumped = true;
            if (to >= before)
                return false;
            before = i = to;
            continue;
        }
        if (c > n - i || len + c + 1 > DNS_NAME_MAX + (len == 0))
            return false;
        if (len)
            out[len++] = '.';
        for (; c; c--)
            out[len++] = lower((char)msg[i++]);
    }
    out[len] = 0;
    if (!jumped)
        *at = i;
    return true;
}

// A record at *at; its data are *len bytes from *data on.
struct record {
    char owner[DNS_NAME_MAX + 1];
    uint16_t type;
    uint32_t data, len;
};

static bool read_record(const uint8_t *msg, uint32_t n, uint32_t *at, struct record *r)
{
    if (!read_name(msg, n, at, r->owner) || n - *at < 10)
        return false;
    const uint8_t *b = msg + *at;
    r->type = get16(b + 2) == CLASS_IN ? get16(b) : 0;
    r->len = get16(b + 8);
    r->data = *at + 10;
    if (r->len > n - r->data)
        return false;
    *at = r->data + r->len;
    return true;
}

// One pass over the answers about `name`, which becomes what it is an alias of, if it is.
static int look_for(const uint8_t *msg, uint32_t n, uint32_t at, char name[DNS_NAME_MAX + 1],
                    uint32_t addr_be[DNS_ADDRS_MAX])
{
    struct record r;
    char alias[DNS_NAME_MAX + 1] = "";
    int found = 0;
    // What is malformed or cut off ends the answers.
    for (unsigned k = get16(msg + 6); k && read_record(msg, n, &at, &r); k--) {
        if (strcmp(r.owner, name) != 0)
            continue;
        uint32_t to = r.data;
        if (r.type == TYPE_A && r.len == 4 && found < DNS_ADDRS_MAX) {
            memcpy(&addr_be[found], msg + r.data, 4);
            found += addr_be[found] != 0; // "nowhere" is no address, and would mean ourselves
        } else if (r.type == TYPE_CNAME && !read_name(msg, n, &to, alias)) {
            break;
        }
    }
    memcpy(name, alias, strlen(alias) + 1);
    return found;
}

int dns_parse(const uint8_t *msg, uint32_t n, uint16_t id, const char *name,
              uint32_t addr_be[DNS_ADDRS_MAX])
{
    char at_name[DNS_NAME_MAX + 1];
    uint32_t at = HEADER;
    if (n < HEADER || get16(msg) != id || get16(msg + 4) != 1)
        return -EBADMSG;
    unsigned flags = get16(msg + 2);
    if ((flags & 0xf800) != FLAG_RESPONSE)
        return -EBADMSG;
    if (!read_name(msg, n, &at, at_name) || strcmp(at_name, name) != 0 || n - at < 4 ||
        get16(msg + at) != TYPE_A || get16(msg + at + 2) != CLASS_IN)
        return -EBADMSG;
    at += 4;
    if ((flags & 15) == RCODE_NO_NAME)
        return -ENOENT;
    if (flags & 15)
        return -EIO;
    for (int i = 0; i < ALIASES_MAX && *at_name; i++) {
        int found = look_for(msg, n, at, at_name, addr_be);
        if (found)
            return found;
    }
    return flags & FLAG_TRUNCATED ? -EIO : -ENOENT;
}
