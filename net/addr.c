// SPDX-License-Identifier: BSD-2-Clause
// Addresses as text: "host:port", as Go's net package has them. Pure functions.
#include <errno.h>
#include <string.h>

#include "kernel/print.h"
#include "net/socket.h"
#include "net/wire.h"

bool net_ip4_parse(const char *s, size_t n, uint32_t *addr_be)
{
    uint32_t addr = 0;
    size_t i = 0;
    for (int part = 0; part < 4; part++) {
        uint32_t v = 0;
        size_t start = i;
        if (part && (i == n || s[i++] != '.'))
            return false;
        start = i;
        while (i < n && i - start < 3 && s[i] >= '0' && s[i] <= '9')
            v = v * 10 + (uint32_t)(s[i++] - '0');
        // A leading zero would mean octal to some and decimal to others.
        if (i == start || v > 255 || (i - start > 1 && s[start] == '0'))
            return false;
        addr = addr << 8 | v;
    }
    if (i != n)
        return false;
    *addr_be = be32(addr);
    return true;
}

static bool parse_port(const char *s, uint16_t *port)
{
    uint32_t v = 0;
    const char *start = s;
    for (; *s >= '0' && *s <= '9' && s - start < 5; s++)
        v = v * 10 + (uint32_t)(*s - '0');
    if (*s || v > 65535)
        return false;
    *port = (uint16_t)v;
    return true;
}

int net_addr_split(const char *s, size_t *n, uint16_t *port)
{
    const char *colon = strchr(s, ':');
    if (!colon || !parse_port(colon + 1, port))
        return -EINVAL;
    *n = (size_t)(colon - s);
    return 0;
}

int net_addr_parse(const char *s, struct net_addr *out)
{
    size_t n;
    struct net_addr a = {0, 0};
    if (!s)
        return -EINVAL;
    if (*s == 0) {
        *out = a;
        return 0;
    }
    if (*s == '[') {
        const char *end = strchr(s, ']');
        return end && end[1] == ':' && parse_port(end + 2, &a.port) ? -EAFNOSUPPORT : -EINVAL;
    }
    if (net_addr_split(s, &n, &a.port))
        return -EINVAL;
    if (n == 9 && memcmp(s, "localhost", 9) == 0)
        a.addr_be = IP4_BE(127, 0, 0, 1);
    else if (n && !net_ip4_parse(s, n, &a.addr_be))
        return strspn(s, "0123456789.") == n ? -EINVAL : -EADDRNOTAVAIL;
    *out = a;
    return 0;
}

int net_ip4_format(uint32_t addr_be, char *buf, size_t n)
{
    uint32_t v = be32(addr_be);
    return ksnprintf(buf, n, "%u.%u.%u.%u", v >> 24, v >> 16 & 255, v >> 8 & 255, v & 255);
}

int net_addr_format(const struct net_addr *a, char *buf, size_t n)
{
    char ip[16];
    net_ip4_format(a->addr_be, ip, sizeof(ip));
    return ksnprintf(buf, n, "%s:%u", ip, a->port);
}
