// SPDX-License-Identifier: BSD-2-Clause
// One end of a wire. A datagram is a frame, as QEMU's `-netdev dgram` has it over unix sockets:
// each side binds a path of its own and sends to the other's. We connect to the other's path, when
// it is there, so that poll knows whether it takes more; and connect anew when QEMU has been
// started again.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/lab/lab.h"

enum { SEND_BUFFER = 4 << 20 };

static struct sockaddr_un path_address(const char *path, size_t n)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (n == 0 || n >= sizeof(a.sun_path))
        refuse("%.*s: a socket's path has 1 to %zu characters", (int)n, path,
               sizeof(a.sun_path) - 1);
    memcpy(a.sun_path, path, n);
    return a;
}

static void open_unix(struct end *e, const char *spec)
{
    const char *comma = strchr(spec, ',');
    if (!comma)
        refuse("unix:%s: must be unix:LOCAL,REMOTE", spec);
    struct sockaddr_un here = path_address(spec, (size_t)(comma - spec));
    struct sockaddr_un there = path_address(comma + 1, strlen(comma + 1));
    memcpy(e->remote, there.sun_path, sizeof(e->remote));
    e->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    unlink(here.sun_path);
    int size = SEND_BUFFER;
    setsockopt(e->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    if (e->fd < 0 || bind(e->fd, (struct sockaddr *)&here, sizeof(here)))
        refuse("%s: %s", here.sun_path, strerror(errno));
}

// Gives the interface its address and turns it on.
static void configure(struct ifreq *r, const char *address)
{
    char text[32];
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const char *slash = strchr(address, '/');
    if (!slash || slash - address >= (int)sizeof(text))
        refuse("tap: %s: must be ADDRESS/BITS", address);
    memcpy(text, address, (size_t)(slash - address));
    text[slash - address] = 0;
    uint32_t bits = (uint32_t)word_number("tap", slash + 1, 1, 32);
    struct sockaddr_in *a = (struct sockaddr_in *)&r->ifr_addr;
    *a = (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(word_address("tap", text))};
    bool ok = ioctl(s, SIOCSIFADDR, r) == 0;
    a->sin_addr.s_addr = htonl(0xffffffffu << (32 - bits));
    ok = ok && ioctl(s, SIOCSIFNETMASK, r) == 0;
    r->ifr_flags = IFF_UP | IFF_RUNNING;
    if (!ok || ioctl(s, SIOCSIFFLAGS, r))
        refuse("tap %s: %s", r->ifr_name, strerror(errno));
    close(s);
}

static void open_tap(struct end *e, const char *spec)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    size_t n = strcspn(spec, ",");
    if (n == 0 || n >= sizeof(r.ifr_name))
        refuse("tap:%s: must be tap:NAME or tap:NAME,ADDRESS/BITS", spec);
    memcpy(r.ifr_name, spec, n);
    e->tap = true;
    e->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (e->fd < 0 || ioctl(e->fd, TUNSETIFF, &r))
        refuse("tap %s: %s", r.ifr_name, strerror(errno));
    if (spec[n])
        configure(&r, spec + n + 1);
}

void end_open(struct end *e, const char *name, const char *spec)
{
    *e = (struct end){.name = name, .fd = -1};
    if (strncmp(spec, "unix:", 5) == 0)
        open_unix(e, spec + 5);
    else if (strncmp(spec, "tap:", 4) == 0)
        open_tap(e, spec + 4);
    else
        refuse("--%s %s: must begin with unix: or tap:", name, spec);
}

static unsigned receive_tap(struct end *e, struct frame *f, unsigned n)
{
    unsigned got = 0;
    ssize_t len;
    while (got < n && (len = read(e->fd, f[got].data, FRAME_MAX)) > 0)
        f[got++].len = (uint32_t)len;
    return got;
}

unsigned end_receive(struct end *e, struct frame *f, unsigned n)
{
    struct mmsghdr m[BATCH];
    struct iovec v[BATCH];
    n = n < BATCH ? n : BATCH;
    int got;
    if (e->tap) {
        got = (int)receive_tap(e, f, n);
    } else {
        for (unsigned i = 0; i < n; i++) {
            v[i] = (struct iovec){f[i].data, FRAME_MAX};
            m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &v[i], .msg_iovlen = 1}};
        }
        got = recvmmsg(e->fd, m, n, MSG_DONTWAIT, NULL);
        for (int i = 0; i < got; i++)
            f[i].len = m[i].msg_len;
    }
    got = got > 0 ? got : 0;
    e->received += (unsigned)got;
    return (unsigned)got;
}

static bool connect_to(struct end *e)
{
    struct sockaddr_un there = path_address(e->remote, strlen(e->remote));
    e->connected = connect(e->fd, (struct sockaddr *)&there, sizeof(there)) == 0;
    return e->connected;
}

bool end_send(struct end *e, const void *data, uint32_t len)
{
    for (int tries = 0; tries < 2; tries++) {
        if (!e->tap && !e->connected && !connect_to(e))
            break;
        ssize_t n = e->tap ? write(e->fd, data, len) : send(e->fd, data, len, MSG_DONTWAIT);
        if (n >= 0) {
            e->sent++;
            return true;
        }
        if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
            return false;
        if (e->tap)
            break; // the interface is down
        e->connected = false;
    }
    e->absent++;
    return true;
}
