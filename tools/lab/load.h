// SPDX-License-Identifier: BSD-2-Clause
// The load generator's two halves: load.c says when what is done, flow.c does it to a connection.
#ifndef TOOLS_LAB_LOAD_H
#define TOOLS_LAB_LOAD_H

#include "tools/lab/lab.h"

enum { PORT_FIRST = 1024, PORTS = 60000 }; // of each host we play

enum flow_state {
    FLOW_NEW,
    FLOW_SYN,   // waits for SYN and ACK
    FLOW_IDLE,  // established, nothing is expected
    FLOW_BUSY,  // a request is under way
    FLOW_FIN,   // our end is under way
    FLOW_DONE,  // closed from both sides
    FLOW_DEAD,  // refused, reset or given up
};

// A connection: number i is host i / PORTS, port PORT_FIRST + i % PORTS.
struct flow {
    uint32_t snd_una, snd_nxt, rcv_nxt;
    uint32_t left;     // bytes of the answer still to come; UNKNOWN until its head has been read
    uint32_t began_us; // when what is under way began
    uint32_t sent_us;  // when it was last sent
    uint32_t next;     // of those that something is under way for
    uint8_t state;     // enum flow_state
    uint8_t tries;
    bool watched;      // in that list
    bool ended;        // the peer has closed
};
_Static_assert(sizeof(struct flow) == 32, "a million connections fit 32 MB");

struct load {
    struct end end;
    uint32_t target, from; // addresses, host order
    uint16_t port;
    uint8_t mac[6], target_mac[6];
    bool resolved;
    uint8_t request[1024];
    uint32_t request_len;
    bool echo;             // the answer is as long as the request; else it is HTTP
    struct flow *flows;
    uint32_t n;
    uint32_t first, last;  // the list of those under way
    int64_t start_ns;
    // Counters.
    uint32_t in_state[FLOW_DEAD + 1];
    uint64_t answers, repeated, resets, timeouts, closed_by_peer, odd, unsent;
    uint64_t frames_in, frames_out, probes;
    struct hist connect, answer;
};

// flow.c

// Asks who has the target's address.
void load_resolve(struct load *l);
void flow_connect(struct load *l, uint32_t i);
void flow_request(struct load *l, uint32_t i);
void flow_close(struct load *l, uint32_t i);
void flow_reset(struct load *l, uint32_t i);
// A frame from the wire.
void load_input(struct load *l, const uint8_t *f, uint32_t len);
// Repeats what has not been answered for long.
void load_tick(struct load *l);

#endif
