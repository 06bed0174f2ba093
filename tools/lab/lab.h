// SPDX-License-Identifier: BSD-2-Clause
// The packet laboratory's own header: ends of a wire, words of the command line, time, chance.
#ifndef TOOLS_LAB_LAB_H
#define TOOLS_LAB_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FRAME_MAX 2048u // bytes of a frame; what is longer is cut
#define BATCH 64u       // frames taken from an end at a time

struct frame {
    uint32_t len;
    uint8_t data[FRAME_MAX];
};

// ---- end.c: one end of a wire: a pair of datagram sockets as QEMU has them, or a tap device ----

struct end {
    const char *name;
    int fd;
    bool tap, connected;
    char remote[108];
    uint64_t received, sent, absent; // frames; absent: nobody was there to take it
};

// Opens what spec names, "unix:LOCAL,REMOTE" or "tap:NAME" or "tap:NAME,ADDRESS/BITS"; ends the
// program with a message if that cannot be.
void end_open(struct end *e, const char *name, const char *spec);
// Takes up to n frames, none if there are none.
unsigned end_receive(struct end *e, struct frame *f, unsigned n);
// False: the other side takes no more at the moment. Whom nobody hears is lost, and that is true.
bool end_send(struct end *e, const void *data, uint32_t len);

// ---- words.c: the command line ----

// Options are "--name value". Each returns what the text means, or ends the program with a message
// that names the option.
double word_chance(const char *option, const char *text);    // "1%", "0.01"
int64_t word_time(const char *option, const char *text);     // "10ms", in ns
uint64_t word_rate(const char *option, const char *text);    // "100mbit", in bits a second
uint64_t word_number(const char *option, const char *text, uint64_t least, uint64_t most); // "64k"
uint32_t word_address(const char *option, const char *text); // host order
_Noreturn void refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// ---- chance.c ----

struct chance {
    uint64_t s[2];
};

// Streams of one seed are independent of one another.
void chance_seed(struct chance *c, uint64_t seed, uint64_t stream);
uint64_t chance_next(struct chance *c);
uint64_t chance_below(struct chance *c, uint64_t n); // 0 to n-1; 0 if n is 0
bool chance_strikes(struct chance *c, double probability);

// ---- hist.c: how often which time was measured ----

struct hist {
    uint64_t n, sum_ns, max_ns;
    uint64_t bucket[64 * 16]; // 16 to an octave: read values are right to 1/16
};

void hist_add(struct hist *h, uint64_t ns);
// The time that the given part (0.99) of all did not exceed.
uint64_t hist_at(const struct hist *h, double part);
// "p50 0.12 p90 0.31 p99 1.2 p99.9 4.0 max 7.3 ms"
void hist_print(const struct hist *h);

// ---- pcap.c ----

struct pcap {
    FILE *f;
};

void pcap_open(struct pcap *p, const char *path);
void pcap_frame(struct pcap *p, const void *data, uint32_t len);
void pcap_close(struct pcap *p);

// ---- main.c ----

extern volatile bool lab_stop; // a signal asked for the end
int64_t lab_now_ns(void);

// ---- the commands ----

int wire_main(int argc, char **argv);
int load_main(int argc, char **argv);

#endif
