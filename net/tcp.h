// SPDX-License-Identifier: BSD-2-Clause
// TCP's own structures: the connection (struct tcb), a parsed segment, per-core state, and what the
// tcp_*.c files offer one another.
//
// Who may touch what. A tcb is guarded by its lock, a few constant fields excepted. It lives while
// c->refs (counted under the lock) is not 0: one reference for being in the table (any state but
// TCP_CLOSED), one for the application's handle or the accept queue, one for each arming of its
// timer, one while on a core's list of acknowledgements, one for each call blocked in it. Lookup
// takes no reference and no lock: within a receive batch memory of a tcb that was found stays valid
// (see tcp_table.c), and whoever has locked it looks at the state first.
//
// Order of locks: LOCK_NET_TABLE (listeners by port), LOCK_LISTENER, LOCK_CONN, LOCK_NET_HASH
// (stripe of the connection table, shard of TIME_WAIT). A waiter is taken off its queue under the
// lock, and readied after it has been released.
#ifndef NET_TCP_H
#define NET_TCP_H

#include <heddle/time.h>

#include "kernel/spinlock.h"
#include "net/ip.h"
#include "net/socket.h"
#include "sched/park.h"

enum tcp_flags { TH_FIN = 1, TH_SYN = 2, TH_RST = 4, TH_PSH = 8, TH_ACK = 16, TH_URG = 32 };

struct WIRE tcp_hdr {
    uint16_t sport_be, dport_be;
    uint32_t seq_be, ack_be;
    uint8_t off; // length in words in the upper half
    uint8_t flags;
    uint16_t wnd_be, csum, urg_be;
};

enum {
    TCP_HDR_LEN = 20,
    TCP_TS_LEN = 12,        // timestamps option, padded
    TCP_MSS_DEFAULT = 536,  // of a peer that names none
    TCP_MSS_MIN = 64,       // smaller offers are taken for this
    TCP_SACK_MAX = 4,       // blocks in a header without timestamps
    TCP_SACK_RECENT = 3,
    TCP_OOO_MAX = 384,      // buffers waiting for a gap to be filled
    TCP_SNDQ_MAX = 640,     // buffers in a send queue
    TCP_RCV_SCALE = 3,
    TCP_RCVBUF = 256 << 10,
    TCP_BUF_SHORT = 16 << 10, // either buffer's limit when memory is short
    TCP_SNDBUF_MIN = 64 << 10,
    TCP_SNDBUF_MAX = 256 << 10,
    TCP_INIT_SEGS = 10,
    TCP_COPY_SMALL = 512,   // payloads up to this are copied behind the last buffer if they fit
    TCP_BACKLOG = 4096,     // connections waiting to be accepted
    TCP_SYN_QUEUE = 1024,   // half-open connections of a listener, cookies beyond
    TCP_TW_MAX = 16384,
    TCP_SYN_RETRIES = 6,
    TCP_SYNACK_RETRIES = 5,
    TCP_KEEP_PROBES = 9,
    // Payload a buffer of ours has room for.
    TCP_SEG_ROOM = PBUF_SIZE - (int)sizeof(struct pbuf) - PBUF_HEADROOM,
};

#define TCP_NEVER INT64_MAX
#define TCP_RTO_INIT (1 * TIME_S)
#define TCP_RTO_MIN (200 * TIME_MS)
#define TCP_RTO_MAX (60 * TIME_S)
#define TCP_DELACK (40 * TIME_MS)
#define TCP_MSL2 (60 * TIME_S)
#define TCP_CHALLENGE_GAP (500 * TIME_MS)

enum tcp_state {
    TCP_CLOSED, // not in the table; whatever is left belongs to the application
    TCP_SYN_SENT,
    TCP_SYN_RCVD,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_LAST_ACK,
    // LISTEN and TIME_WAIT are objects of their own: struct listener, struct tcp_tw.
};

// Loss recovery: where the sender stands.
enum tcp_ca { CA_OPEN, CA_RECOVERY, CA_LOSS };

enum tcb_flags {
    TF_TS = 1 << 0,         // both sides use timestamps
    TF_SACK = 1 << 1,
    TF_SCALE = 1 << 2,
    TF_USER = 1 << 3,       // a handle exists, or the accept queue has it
    TF_NAGLE = 1 << 4,
    TF_ACK_DUE = 1 << 5,    // an acknowledgement goes out at the end of the batch at the latest
    TF_ON_ACKS = 1 << 6,    // on some core's list
    TF_FIN_SEEN = 1 << 7,   // rcv_fin is where the peer's stream ends
    TF_EOF = 1 << 8,        // and everything before it has arrived
    TF_SHUT = 1 << 9,       // the application will write no more
    TF_FIN_QUEUED = 1 << 10, // our FIN has its place in the send queue
    TF_WR_BUSY = 1 << 11,   // a net_write is under way; others wait
    TF_PERSIST = 1 << 12,   // rexmt_ns is a probe's time, not a retransmission's
    TF_FAST_RETX = 1 << 13, // one retransmission is due whatever the congestion window says
    TF_UNDO = 1 << 14,      // undo_* are valid
};

// pbuf.seg_flags of a send queue
enum {
    SEG_FIN = 1,
    SEG_PSH = 2,
    SEG_SACKED = 4, // counted in tcb.sacked
    SEG_LOST = 8,   // counted in tcb.lost unless SEG_RETX
    SEG_RETX = 16,  // lost and sent again
    SEG_EVER = 32,  // sent more than once: no round trip is measured
};

struct listener;

struct tcb {
    struct conn conn; // first: the handle

    // Constant from before the connection is in the table.
    uint32_t laddr_be, raddr_be;
    uint16_t lport, rport;
    uint32_t hash;
    // Written under the stripe's lock, read without. pairs: TCP-HASH
    _Atomic(struct tcb *) hash_next;

    struct spinlock lock; // LOCK_CONN; guards all that follows
    uint8_t state;        // enum tcp_state
    uint8_t ca;           // enum tcp_ca
    uint16_t flags;       // enum tcb_flags
    uint32_t refs;
    uint16_t err;         // errno of the end, 0 for an orderly one
    uint16_t mss;         // payload of a full segment to the peer, options taken off
    uint16_t peer_mss;    // what the peer offered, or the path allows if less
    uint16_t rcv_mss;     // payload of the peer's full segments, as far as seen
    uint8_t snd_scale, rcv_scale;
    uint8_t backoff;      // times the retransmission timer was doubled
    uint8_t dupacks;

    // Receive.
    uint32_t rcv_nxt, rcv_adv; // next expected; right edge promised
    uint32_t rcv_acked;        // last acknowledgement sent
    uint32_t rcv_bytes;        // waiting for the application
    uint32_t rcv_fin;
    uint32_t ts_recent, ts_recent_s, ts_off;
    uint32_t sack_recent[TCP_SACK_RECENT]; // in blocks to be reported first
    uint16_t ooo_n, rcvq_n; // buffers
    uint16_t held;      // buffers counted for this connection in tcp_core.held
    uint16_t rcv_last;  // payload of the last segment in order
    uint16_t tx_queue;  // pbuf.queue of all that is in flight
    uint8_t quick_acks; // acknowledgements not to be delayed
    uint8_t timer_late; // armings of the timer that were replaced but run all the same

    // Send. una <= nxt <= end
    uint32_t snd_una, snd_nxt, snd_end;
    uint32_t snd_wnd, snd_wl1, snd_wl2, snd_wnd_max;
    uint32_t cwnd, ssthresh, recover;
    uint32_t sacked, lost; // bytes, see SEG_*
    uint16_t sacked_n;     // segments
    uint16_t sndq_n;       // buffers
    uint32_t retx_ts;      // our timestamp at the first retransmission after a timeout

    struct pbuf *sndq_head, *sndq_tail, *snd_next; // snd_next: first never sent
    struct pbuf *rcvq_head, *rcvq_tail;
    struct pbuf *ooo; // by seq, no overlap

    // Round trips, in units of 1024 ns. srtt 0: not measured yet.
    uint32_t srtt, rttvar, min_rtt;
    uint32_t undo_cwnd, undo_ssthresh;

    uint32_t keep_ms;      // interval of keep-alive probes, 0: off
    uint32_t probed_ms;    // when the last of them was sent
    uint32_t challenge_ms; // when the last unasked-for ACK was sent

    // CUBIC.
    uint32_t w_max, w_est, cubic_k_ms, cubic_origin;
    int64_t cubic_epoch_ns; // 0: no epoch

    // Times. The one timer is armed for timer_ns, never later than the earliest of the others.
    int64_t rto_ns; // interval, without back-off
    int64_t rexmt_ns, delack_ns, misc_ns;
    int64_t last_rcv_ns;
    int64_t rack_ns;  // when the latest segment known to have arrived was sent
    int64_t stall_ns; // since when nothing gets through, 0 if it does
    int64_t rd_deadline_ns, wr_deadline_ns; // 0: none
    int64_t timer_ns;
    struct timer timer;

    struct gqueue readers, writers;
    struct g *wr_space; // the writer under way, waiting for room
    struct tcb *link;   // a core's acks; tcp_table's limbo
    union {
        struct listener *listener; // until established
        struct tcb *accept_next;   // from then until accepted. guard: the listener's lock
    };
    struct route_cache route;
};

_Static_assert(sizeof(struct tcb) < 512, "an idle connection costs less than 512 bytes");

struct listener {
    struct spinlock lock;  // LOCK_LISTENER
    uint32_t addr_be;      // constant; 0: any
    uint16_t port;         // constant
    bool closed;           // guard: lock
    _Atomic(uint32_t) refs; // release on drop, acquire by the last. pairs: LISTENER-REFS
    _Atomic(uint32_t) syn_n;    // half-open connections
    _Atomic(uint32_t) accept_n; // length of the accept queue; written under lock
    _Atomic(int64_t) cookies_ns; // when a cookie was last sent, 0: never
    struct tcb *head, *tail;    // accept queue. guard: lock
    struct gqueue waiters;      // guard: lock
    int64_t deadline_ns;        // guard: lock
    struct listener *next;      // guard: the port table's lock
};

// A segment, parsed.
struct tcp_seg {
    uint32_t src_be, dst_be;
    uint16_t sport, dport;
    uint32_t hash;
    uint32_t seq, ack;
    uint32_t len; // payload
    uint32_t wnd; // as in the header
    uint8_t flags, hdr_len;
    // Options.
    bool has_ts, has_sack_ok;
    int8_t scale;  // -1: none
    uint8_t n_sack;
    uint16_t mss;  // 0: none
    uint32_t ts_val, ts_ecr;
    struct {
        uint32_t start, end;
    } sack[TCP_SACK_MAX];
    int64_t now_ns;
    struct listener *deliver; // set when the connection has become established, to be accepted
};

enum tcp_stat {
    TCP_SEGS_IN,
    TCP_SEGS_OUT,
    TCP_BAD_SEGS,    // checksum, header
    TCP_FAST_PATH,
    TCP_RETRANS,
    TCP_TIMEOUTS,
    TCP_FAST_RECOVERIES,
    TCP_UNDONE,      // timeouts that turned out to be needless
    TCP_RSTS_OUT,
    TCP_CHALLENGES,
    TCP_PAWS_DROPS,
    TCP_OOO_DROPS,
    TCP_MEM_DROPS,   // memory was full
    TCP_COOKIES_SENT,
    TCP_COOKIES_GOOD,
    TCP_COOKIES_BAD,
    TCP_ACCEPT_OVERFLOWS,
    TCP_TW_RECYCLED,
    TCP_KEEP_DEAD,   // connections given up for want of answers
    TCP_STATS
};

// What each core has for itself.
struct tcp_core {
    // Odd while the core is inside a receive batch. pairs: TCP-EPOCH
    _Alignas(CACHE_LINE) _Atomic(uint32_t) epoch;
    int64_t now_ns;    // at the beginning of the batch
    struct tcb *acks;  // linked by link, a reference each
    // Buffers that connections have come to hold here, less those they have given up here; the
    // sum over all cores counts. Written by the core alone, relaxed.
    _Atomic(int64_t) held;
    bool counts; // tcp_mem.c knows that this core counts
    _Atomic(uint64_t) stats[TCP_STATS]; // written by the core alone, relaxed
};

extern struct tcp_core tcp_cores[MAX_CORES];

// How many buffers all connections together hold, against what they may (tcp_mem.c).
enum tcp_pressure {
    TCP_MEM_FREE,
    TCP_MEM_SHORT, // small windows, small send buffers
    TCP_MEM_FULL,  // nothing is kept that can come again
};
// enum tcp_pressure; legal to be a receive batch late. Relaxed.
extern _Atomic(uint32_t) tcp_pressure;

static inline bool tcp_pressed(enum tcp_pressure by)
{
    return unlikely(atomic_load_explicit(&tcp_pressure, memory_order_relaxed) >= by);
}

// Context: preemption is off.
static inline struct tcp_core *tcp_this_core(void) { return &tcp_cores[getg()->m->id]; }

// Inside a receive batch doorbells are rung at its end.
static inline bool tcp_in_batch(void)
{
    return atomic_load_explicit(&tcp_this_core()->epoch, memory_order_relaxed) & 1;
}

static inline void tcp_count(enum tcp_stat s)
{
    _Atomic(uint64_t) *p = &tcp_this_core()->stats[s];
    uint64_t n = atomic_load_explicit(p, memory_order_relaxed);
    atomic_store_explicit(p, n + 1, memory_order_relaxed);
}

// Sequence numbers, modulo 2^32.
static inline bool seq_lt(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }
static inline bool seq_leq(uint32_t a, uint32_t b) { return (int32_t)(a - b) <= 0; }
static inline bool seq_gt(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }
static inline bool seq_geq(uint32_t a, uint32_t b) { return (int32_t)(a - b) >= 0; }

// Sequence space of a segment in the send queue.
static inline uint32_t seg_space(const struct pbuf *p)
{
    return p->seg_len + (p->seg_flags & SEG_FIN ? 1 : 0);
}

static inline uint32_t seg_end(const struct pbuf *p) { return p->seq + seg_space(p); }

// The payload of a buffer in the send queue stands at a fixed place, for the network moves p->data.
static inline uint8_t *seg_payload(struct pbuf *p) { return pbuf_start(p) + PBUF_HEADROOM; }

// Bytes that are believed to be on their way.
static inline uint32_t tcp_pipe(const struct tcb *c)
{
    uint32_t flight = c->snd_nxt - c->snd_una, gone = c->sacked + c->lost;
    return flight > gone ? flight - gone : 0;
}

static inline bool tcp_synchronized(const struct tcb *c) { return c->state >= TCP_ESTABLISHED; }

// Timestamps count in steps of 2^20 ns.
static inline uint32_t tcp_ts_now(const struct tcb *c, int64_t now_ns)
{
    return (uint32_t)(now_ns >> 20) + c->ts_off;
}

// tcp.c: life of a connection

// A new connection with one reference, not in the table; NULL without memory.
struct tcb *tcb_new(uint32_t laddr_be, uint16_t lport, uint32_t raddr_be, uint16_t rport,
                    uint32_t hash);
// Counts the buffers c holds now. Context: c->lock held, about to be released.
void tcb_account(struct tcb *c);
// Releases the lock and frees c if no reference is left. Context: c->lock held, by one who found c
// alive or has a reference.
void tcb_unlock(struct tcb *c);
// The same after dropping a reference.
void tcb_put_unlock(struct tcb *c);
// Ends the protocol's part: out of the table, queues of the sender freed, everybody woken (moved
// to wake), the table's reference dropped. err 0: orderly.
void tcb_done(struct tcb *c, int err, struct gqueue *wake);
// Sends a reset and ends.
void tcb_abort(struct tcb *c, int err, int64_t now_ns, struct gqueue *wake);
// Both sides have agreed on first numbers: windows, MSS and congestion window are set up.
void tcb_established(struct tcb *c, int64_t now_ns);
// Our FIN's place behind what is queued. False: no memory, the timer tries again.
bool tcb_queue_fin(struct tcb *c, int64_t now_ns);
// What the application will not read any more. Context: c->lock held.
void tcb_drop_received(struct tcb *c);
void tcb_move_waiters(struct tcb *c, struct gqueue *wake);
// Sets c->mss from what the peer takes and the path carries.
void tcb_set_mss(struct tcb *c, uint32_t path_mtu);
// First sequence number and timestamp offset for a pair of endpoints (RFC 6528).
void tcp_first_numbers(uint32_t laddr_be, uint16_t lport, uint32_t raddr_be, uint16_t rport,
                       int64_t now_ns, uint32_t *iss, uint32_t *ts_off);
uint64_t tcp_stat_sum(enum tcp_stat s);
size_t tcp_tcb_count(void); // live ones, for tests

extern const struct conn_ops tcp_conn_ops; // sock_tcp.c
// Options we offer: TF_TS, TF_SACK, TF_SCALE.
extern uint16_t tcp_offer;
// Readies those that were collected under a lock. Context: no locks.
static inline void tcp_wake(struct gqueue *wake)
{
    struct g *gp;
    while (unlikely((gp = gqueue_pop(wake)) != NULL))
        goready_tail(gp);
}

// tcp_table.c

void tcp_table_init(void);
uint32_t tcp_hash(uint32_t laddr_be, uint16_t lport, uint32_t raddr_be, uint16_t rport);
// A connection that was in the table at some moment of the call, or NULL. Context: within a batch.
struct tcb *tcp_lookup(const struct tcp_seg *s);
// False if the pair of endpoints is taken. Context: c->lock held or c not yet known to anybody.
bool tcp_table_insert(struct tcb *c);
void tcp_table_remove(struct tcb *c);
// Frees c once no core can still be looking at it. Context: no locks, preemption off or on.
void tcp_limbo_put(struct tcb *c);
void tcp_batch_begin(struct tcp_core *core);
void tcp_batch_end(struct tcp_core *core);
size_t tcp_table_count(void);

// tcp_listen.c

// A segment of no connection: a SYN for a listening port, an ACK that may carry a cookie, or one
// to be refused. Takes p. iss_after: where the last connection of this pair ended, if `reuse`.
void tcp_listen_input(struct tcp_seg *s, struct pbuf *p, bool reuse, uint32_t iss_after);
// c has become established; hands it to its listener. Context: no locks; the caller has a reference
// of its own, and the accept queue's reference has been taken.
void tcp_listen_deliver(struct listener *l, struct tcb *c, int64_t now_ns);
// Room in the accept queue. Context: any.
bool tcp_listen_has_room(struct listener *l);
// A half-open connection has ended or become established.
void tcp_listen_syn_done(struct listener *l);
void tcp_listener_put(struct listener *l);
bool tcp_port_listening(uint16_t port, uint32_t addr_be);
void tcp_listen_init(void);

// tcp_cookie.c

void tcp_cookie_init(void);
// The first number to answer the SYN s with, and the timestamp: ts with the options in its low
// bits.
uint32_t tcp_cookie_make(const struct tcp_seg *s);
uint32_t tcp_cookie_ts(const struct tcp_seg *s, uint32_t ts);
// Checks the cookie an ACK returns; if it is good, the SYN's options are put into s.
bool tcp_cookie_check(struct tcp_seg *s);

// tcp_input.c

// For segments of no connection (RFC 9293, 3.10.7.1).
void tcp_send_rst_for(const struct tcp_seg *s);
// A segment for c. Takes p. Context: c->lock held by one who found c alive; released.
void tcp_conn_input(struct tcb *c, struct pbuf *p, struct tcp_seg *s);

// tcp_parse.c

// Checks header and checksum, fills s and takes the header off p. False: to be dropped.
bool tcp_parse(struct pbuf *p, uint32_t src_be, uint32_t dst_be, struct tcp_seg *s);

// tcp_syn.c

// A segment for a connection in SYN_SENT, any.
void tcp_input_syn_sent(struct tcb *c, struct tcp_seg *s, struct gqueue *wake);
// One for SYN_RCVD, in the window or a SYN. True: established, go on with it if it was no SYN.
bool tcp_input_syn_rcvd(struct tcb *c, struct tcp_seg *s, struct gqueue *wake);
// Takes what the options of the peer's SYN say.
void tcp_take_syn_options(struct tcb *c, const struct tcp_seg *s);

// tcp_recv.c

// Takes the payload of a segment within the window; p's ownership passes. True: rcv_nxt moved.
bool tcp_receive(struct tcb *c, struct pbuf *p, const struct tcp_seg *s, struct gqueue *wake);
// In-order payload, nothing out of order waiting. p's data is the payload.
void tcp_receive_in_order(struct tcb *c, struct pbuf *p, uint32_t len, struct gqueue *wake);
// Frees what waits for a gap to be filled. Context: c->lock held.
void tcp_ooo_give_up(struct tcb *c);
// Decides between now, at the end of the batch and later.
void tcp_ack_policy(struct tcb *c, const struct tcp_seg *s);
void tcp_ack_at_end(struct tcb *c);
// SACK blocks to report, at most max; writes them and returns how many.
unsigned tcp_sack_blocks(struct tcb *c, uint8_t *out, unsigned max);
// The window field to send; moves rcv_adv.
uint32_t tcp_window_to_offer(struct tcb *c);
// After the application has taken data: is it worth telling?
bool tcp_window_update_due(const struct tcb *c);
void tcp_free_queue(struct pbuf *p);

// tcp_output.c

// Sends what windows allow and keeps the retransmission timer right.
void tcp_output(struct tcb *c, int64_t now_ns);
void tcp_send_ack(struct tcb *c, int64_t now_ns);
// An ACK nobody asked for, rate limited (RFC 5961).
void tcp_challenge(struct tcb *c, int64_t now_ns);
// Zero-window and keep-alive probes: an old sequence number, which must be answered.
void tcp_send_probe(struct tcb *c, int64_t now_ns);
// SYN, or SYN and ACK, by state. 0, or the -errno with which it did not get out.
int tcp_send_syn(struct tcb *c, int64_t now_ns);
void tcp_send_rst(struct tcb *c, int64_t now_ns);
// A segment without a connection. opts: n_opts bytes, a multiple of 4.
void tcp_send_bare(const struct tcp_seg *to, uint32_t seq, uint32_t ack, uint8_t flags,
                   uint16_t wnd, const uint8_t *opts, unsigned n_opts);
// Cuts segment p after n bytes. False: no memory.
bool tcp_split(struct tcb *c, struct pbuf *p, uint32_t n);
uint32_t tcp_snd_limit(const struct tcb *c);
uint8_t *tcp_put_ts(uint8_t *o, uint32_t val, uint32_t ecr);

// tcp_ack.c

// The acknowledgement and window of a segment. False: drop the segment.
bool tcp_ack(struct tcb *c, const struct tcp_seg *s, struct gqueue *wake);
// New data acknowledged: s->ack > snd_una. Fast path and slow path alike.
void tcp_ack_advance(struct tcb *c, const struct tcp_seg *s, struct gqueue *wake);
void tcp_rtt_sample(struct tcb *c, int64_t rtt_ns);

// tcp_loss.c

void tcp_sack_input(struct tcb *c, const struct tcp_seg *s);
// After the scoreboard has changed: finds losses and enters or leaves recovery.
void tcp_loss_update(struct tcb *c, bool dup, uint32_t acked, const struct tcp_seg *s);
void tcp_loss_timeout(struct tcb *c, int64_t now_ns);
// Forgets p, which has been acknowledged, in the counters.
void tcp_loss_forget(struct tcb *c, struct pbuf *p, int64_t now_ns);
void tcp_loss_delivered(struct tcb *c, const struct pbuf *p, int64_t now_ns);
// Segments in flight that are larger than c->mss count as lost (the path became narrower).
void tcp_loss_oversized(struct tcb *c);

// tcp_cubic.c

void cubic_init(struct tcb *c);
void cubic_acked(struct tcb *c, uint32_t acked, uint32_t pipe_before, int64_t now_ns);
// Sets ssthresh and the curve's parameters after a loss.
void cubic_loss(struct tcb *c);
void cubic_idle(struct tcb *c);

// tcp_mem.c

void tcp_mem_init(void);
// Context: preemption is off.
void tcp_mem_count(int change);
// Sums up what the cores hold. Context: the end of a receive batch.
void tcp_mem_look(void);
int64_t tcp_mem_held(void);

// tcp_timer.c

void tcp_timer_init(void);
// The timer must fire at when_ns at the latest. Context: c->lock held.
void tcp_timer_need(struct tcb *c, int64_t when_ns);
void tcp_timer_stop(struct tcb *c);
int64_t tcp_rto_backed(const struct tcb *c);

// tcp_tw.c

void tcp_tw_init(void);
// Leaves an entry for 2 MSL in c's place. Context: c->lock held.
void tcp_tw_add(struct tcb *c, int64_t now_ns);
// True: the segment belonged to an entry and has been dealt with. False: none, or a SYN that may
// reuse it; then *reuse says so and *iss_after is the last number used.
bool tcp_tw_input(const struct tcp_seg *s, bool *reuse, uint32_t *iss_after);
bool tcp_tw_has(uint32_t laddr_be, uint16_t lport, uint32_t raddr_be, uint16_t rport,
                uint32_t hash);
size_t tcp_tw_count(void);

// tcp_port.c

void tcp_port_init(void);
// Puts c into the table with a free local port (RFC 6056); 0 or -EADDRNOTAVAIL.
int tcp_port_choose(struct tcb *c);

#endif
