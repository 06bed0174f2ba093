// SPDX-License-Identifier: BSD-2-Clause
// A connection without a socket: as much of TCP as a client needs that sends one request at a time.
// No options but the segment size, no window to speak of: answers are acknowledged as they come,
// in order or not at all, and what is lost is asked for again by repeating the last word. Where
// something is under way for a connection it is on one list, looked at every quarter of a second;
// repeats double their distance.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lab/load.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
enum { ETH = 14, IP = 20, TCP = 20, ARP = 28, MSS = 1460, WINDOW = 65535 };
enum { TRIES_MAX = 8, LOOK_US = 250000, NONE = -1 };
#define UNKNOWN UINT32_MAX

static uint32_t now_us(const struct load *l)
{
    return (uint32_t)((lab_now_ns() - l->start_ns) / 1000);
}

static void put16(uint8_t *b, uint32_t v)
{
    b[0] = (uint8_t)(v >> 8);
    b[1] = (uint8_t)v;
}

static void put32(uint8_t *b, uint32_t v)
{
    put16(b, v >> 16);
    put16(b + 2, v);
}

static uint32_t get16(const uint8_t *b) { return (uint32_t)b[0] << 8 | b[1]; }
static uint32_t get32(const uint8_t *b) { return get16(b) << 16 | get16(b + 2); }

static uint32_t sum(uint32_t s, const uint8_t *b, uint32_t n)
{
    for (; n > 1; n -= 2, b += 2)
        s += get16(b);
    return n ? s + (uint32_t)(b[0] << 8) : s;
}

static uint32_t fold(uint32_t s)
{
    s = (s & 0xffff) + (s >> 16);
    return (s & 0xffff) + (s >> 16);
}

// A full target is waited for a little; a frame lost then is repeated like any other.
static void out(struct load *l, const uint8_t *f, uint32_t len)
{
    for (int tries = 0; !end_send(&l->end, f, len); tries++) {
        struct pollfd p = {.fd = l->end.fd, .events = POLLOUT};
        if (tries == 3) {
            l->unsent++;
            return;
        }
        poll(&p, 1, 1);
    }
    l->frames_out++;
}

// ---- ARP ----

static void arp(struct load *l, uint32_t op, const uint8_t to[6], uint32_t sender, uint32_t target)
{
    uint8_t f[60] = {0};
    memcpy(f, to, 6);
    memcpy(f + 6, l->mac, 6);
    put16(f + 12, 0x0806);
    memcpy(f + ETH, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, (uint8_t)op}, 8);
    memcpy(f + ETH + 8, l->mac, 6);
    put32(f + ETH + 14, sender);
    if (op == 2)
        memcpy(f + ETH + 18, to, 6);
    put32(f + ETH + 24, target);
    out(l, f, sizeof(f));
}

void load_resolve(struct load *l)
{
    static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255};
    arp(l, 1, everybody, l->from, l->target);
}

static void arp_input(struct load *l, const uint8_t *a)
{
    uint32_t sender = get32(a + 14), asked = get32(a + 24);
    if (sender == l->target) {
        memcpy(l->target_mac, a + 8, 6);
        l->resolved = true;
    }
    if (get16(a + 6) == 1 && asked - l->from <= (l->n - 1) / PORTS)
        arp(l, 2, a + 8, asked, sender);
}

// ---- segments ----

static void segment(struct load *l, uint32_t i, uint8_t flags, uint32_t seq, const uint8_t *data,
                    uint32_t n)
{
    uint8_t f[ETH + IP + TCP + 4 + sizeof(l->request)] = {0};
    uint8_t *ip = f + ETH, *tcp = ip + IP;
    const struct flow *w = &l->flows[i];
    uint32_t head = flags & SYN ? TCP + 4 : TCP, total = head + n;
    memcpy(f, l->target_mac, 6);
    memcpy(f + 6, l->mac, 6);
    put16(f + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, IP + total);
    ip[6] = 0x40; // not to be fragmented
    ip[8] = 64;
    ip[9] = 6;
    put32(ip + 12, l->from + i / PORTS);
    put32(ip + 16, l->target);
    put16(ip + 10, ~fold(sum(0, ip, IP)));
    put16(tcp, PORT_FIRST + i % PORTS);
    put16(tcp + 2, l->port);
    put32(tcp + 4, seq);
    put32(tcp + 8, flags & ACK ? w->rcv_nxt : 0);
    tcp[12] = (uint8_t)(head << 2);
    tcp[13] = flags;
    put16(tcp + 14, WINDOW);
    if (flags & SYN)
        put32(tcp + TCP, 2 << 24 | 4 << 16 | MSS);
    if (n)
        memcpy(tcp + head, data, n);
    put16(tcp + 16, ~fold(sum(sum(6 + total, ip + 12, 8), tcp, total)));
    uint32_t len = ETH + IP + total;
    out(l, f, len < 60 ? 60 : len);
}

static void change(struct load *l, struct flow *w, enum flow_state to)
{
    l->in_state[w->state]--;
    l->in_state[to]++;
    w->state = (uint8_t)to;
}

static void watch(struct load *l, uint32_t i)
{
    struct flow *w = &l->flows[i];
    if (w->watched)
        return;
    w->watched = true;
    w->next = (uint32_t)NONE;
    if (l->last == (uint32_t)NONE)
        l->first = i;
    else
        l->flows[l->last].next = i;
    l->last = i;
}

// Says what is under way, the first time or again.
static void say(struct load *l, uint32_t i)
{
    struct flow *w = &l->flows[i];
    w->sent_us = now_us(l);
    if (w->state == FLOW_SYN)
        segment(l, i, SYN, w->snd_una, NULL, 0);
    else if (w->state == FLOW_FIN)
        segment(l, i, w->snd_una == w->snd_nxt ? ACK : FIN | ACK, w->snd_nxt - 1 +
                (w->snd_una == w->snd_nxt), NULL, 0);
    else if (w->snd_una != w->snd_nxt)
        segment(l, i, PSH | ACK, w->snd_una, l->request, l->request_len);
    else
        segment(l, i, ACK, w->snd_nxt, NULL, 0); // the answer stopped: where we are
}

static void begin(struct load *l, uint32_t i, enum flow_state state, uint32_t space)
{
    struct flow *w = &l->flows[i];
    change(l, w, state);
    w->snd_nxt = w->snd_una + space;
    w->tries = 0;
    w->began_us = now_us(l);
    say(l, i);
    watch(l, i);
}

void flow_connect(struct load *l, uint32_t i)
{
    l->flows[i].snd_una = i * 2654435761u + (uint32_t)l->start_ns;
    begin(l, i, FLOW_SYN, 1);
}

void flow_request(struct load *l, uint32_t i)
{
    l->flows[i].left = l->echo ? l->request_len : UNKNOWN;
    begin(l, i, FLOW_BUSY, l->request_len);
}

void flow_close(struct load *l, uint32_t i) { begin(l, i, FLOW_FIN, 1); }

void flow_reset(struct load *l, uint32_t i)
{
    segment(l, i, RST | ACK, l->flows[i].snd_nxt, NULL, 0);
    change(l, &l->flows[i], FLOW_DEAD);
}

// How long the answer is that begins so; UNKNOWN: its head does not say.
static uint32_t answer_length(const uint8_t *data, uint32_t n)
{
    char head[MSS + 1];
    memcpy(head, data, n);
    head[n] = 0;
    char *end = strstr(head, "\r\n\r\n");
    if (!end)
        return UNKNOWN;
    *end = 0;
    char *length = strcasestr(head, "\r\nContent-Length:");
    return (uint32_t)(end + 4 - head) + (length ? (uint32_t)strtoul(length + 17, NULL, 10) : 0);
}

static void take_data(struct load *l, struct flow *w, const uint8_t *data, uint32_t n)
{
    if (w->state != FLOW_BUSY) {
        l->odd++;
        return;
    }
    if (w->left == UNKNOWN)
        w->left = answer_length(data, n);
    if (w->left == UNKNOWN || n > w->left) {
        l->odd++;
        w->left = n;
    }
    w->left -= n;
    if (w->left || w->snd_una != w->snd_nxt)
        return;
    hist_add(&l->answer, (uint64_t)(now_us(l) - w->began_us) * 1000);
    l->answers++;
    change(l, w, FLOW_IDLE);
}

static void established(struct load *l, uint32_t i, uint32_t seq)
{
    struct flow *w = &l->flows[i];
    w->snd_una = w->snd_nxt;
    w->rcv_nxt = seq + 1;
    hist_add(&l->connect, (uint64_t)(now_us(l) - w->began_us) * 1000);
    change(l, w, FLOW_IDLE);
    segment(l, i, ACK, w->snd_nxt, NULL, 0);
}

// The peer has closed and all of its stream is here.
static void peer_closed(struct load *l, uint32_t i)
{
    struct flow *w = &l->flows[i];
    w->rcv_nxt++;
    w->ended = true;
    if (w->state == FLOW_FIN)
        return;
    l->closed_by_peer++;
    if (w->state == FLOW_BUSY)
        flow_reset(l, i); // in the middle of an answer
    else
        flow_close(l, i);
}

static void flow_input(struct load *l, uint32_t i, const uint8_t *tcp, uint32_t n)
{
    struct flow *w = &l->flows[i];
    uint32_t head = tcp[12] / 16 * 4u, seq = get32(tcp + 4), ack = get32(tcp + 8);
    uint8_t flags = tcp[13];
    if (head < TCP || head > n || w->state == FLOW_NEW || w->state == FLOW_DEAD)
        return;
    uint32_t len = n - head;
    if (flags & RST) {
        bool ours = w->state == FLOW_SYN ? ack == w->snd_nxt : seq == w->rcv_nxt;
        l->resets += ours && w->state != FLOW_DONE;
        if (ours && w->state != FLOW_DONE)
            change(l, w, FLOW_DEAD);
        return;
    }
    if (w->state == FLOW_SYN) {
        if ((flags & (SYN | ACK)) == (SYN | ACK) && ack == w->snd_nxt)
            established(l, i, seq);
        return;
    }
    if ((flags & ACK) && (int32_t)(ack - w->snd_una) > 0 && (int32_t)(ack - w->snd_nxt) <= 0)
        w->snd_una = ack;
    bool fin = flags & FIN, answer = len || fin || (flags & SYN);
    if (seq == w->rcv_nxt - 1 && !answer) {
        l->probes++;
        answer = true;
    }
    if (seq == w->rcv_nxt && len) {
        w->rcv_nxt += len;
        take_data(l, w, tcp + head, len);
        seq += len;
    }
    if (fin && seq == w->rcv_nxt && !w->ended)
        peer_closed(l, i);
    if (answer)
        segment(l, i, ACK, w->snd_una == w->snd_nxt ? w->snd_nxt : w->snd_una, NULL, 0);
    if (w->state == FLOW_FIN && w->ended && w->snd_una == w->snd_nxt)
        change(l, w, FLOW_DONE);
}

void load_input(struct load *l, const uint8_t *f, uint32_t len)
{
    l->frames_in++;
    if (len >= ETH + ARP && get16(f + 12) == 0x0806) {
        arp_input(l, f + ETH);
        return;
    }
    const uint8_t *ip = f + ETH;
    if (len < ETH + IP + TCP || get16(f + 12) != 0x0800 || ip[0] != 0x45 || ip[9] != 6)
        return;
    uint32_t total = get16(ip + 2), host = get32(ip + 16) - l->from;
    uint32_t port = get16(ip + IP + 2) - PORT_FIRST;
    if (total < IP + TCP || total > len - ETH || get32(ip + 12) != l->target || port >= PORTS)
        return;
    uint64_t i = (uint64_t)host * PORTS + port;
    uint32_t n = total - IP;
    if (i >= l->n || get16(ip + IP) != l->port)
        return;
    if (fold(sum(sum(6 + n, ip + 12, 8), ip + IP, n)) != 0xffff) {
        l->odd++; // damaged on the way
        return;
    }
    flow_input(l, (uint32_t)i, ip + IP, n);
}

void load_tick(struct load *l)
{
    uint32_t now = now_us(l), stop = l->last;
    while (l->first != (uint32_t)NONE) {
        uint32_t i = l->first;
        struct flow *w = &l->flows[i];
        bool waiting = w->state == FLOW_SYN || w->state == FLOW_BUSY || w->state == FLOW_FIN;
        l->first = w->next;
        if (l->first == (uint32_t)NONE)
            l->last = (uint32_t)NONE;
        w->watched = false;
        if (waiting && now - w->sent_us >= (uint32_t)LOOK_US << w->tries) {
            if (w->tries == TRIES_MAX) {
                l->timeouts++;
                change(l, w, FLOW_DEAD);
                waiting = false;
            } else {
                w->tries++;
                l->repeated++;
                say(l, i);
            }
        }
        if (waiting)
            watch(l, i);
        if (i == stop)
            break;
    }
}
