// SPDX-License-Identifier: BSD-2-Clause
// Captures in pcap's format with nanoseconds, for tcpdump and Wireshark.
#include <errno.h>
#include <string.h>
#include <time.h>

#include "tools/lab/lab.h"

enum { LINK_ETHERNET = 1 };

void pcap_open(struct pcap *p, const char *path)
{
    const uint32_t head[6] = {0xa1b23c4d, 4 << 16 | 2, 0, 0, FRAME_MAX, LINK_ETHERNET};
    p->f = fopen(path, "wb");
    if (!p->f || fwrite(head, sizeof(head), 1, p->f) != 1)
        refuse("--pcap %s: %s", path, strerror(errno));
}

void pcap_frame(struct pcap *p, const void *data, uint32_t len)
{
    struct timespec t;
    if (!p->f)
        return;
    clock_gettime(CLOCK_REALTIME, &t);
    const uint32_t head[4] = {(uint32_t)t.tv_sec, (uint32_t)t.tv_nsec, len, len};
    fwrite(head, sizeof(head), 1, p->f);
    fwrite(data, len, 1, p->f);
}

void pcap_close(struct pcap *p)
{
    if (p->f && fclose(p->f))
        refuse("the capture is not complete: %s", strerror(errno));
}
