// SPDX-License-Identifier: BSD-2-Clause
// Channels: typed by the size of their elements, FIFO, with Go's meaning.
//
// A channel of capacity 0 hands each element from sender to receiver directly: a send ends when a
// receiver has taken it. Waiting senders and receivers are served in the order in which they came.
// What the sender did before the send has happened before what the receiver does after it. Elements
// are copied by value; an element size of 0 is allowed and carries only the event.
#ifndef HEDDLE_CHAN_H
#define HEDDLE_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

struct chan;

// A channel of elem_size bytes an element that buffers up to capacity elements. NULL with errno
// EINVAL when elem_size is 4 GiB or more, ENOMEM when there is no memory for the buffer.
struct chan *chan_make(size_t elem_size, size_t capacity);

// Sends *elem. Blocks while the buffer is full (capacity 0: until a receiver takes it). A NULL
// channel blocks for ever. Panics "send on closed channel", also when the channel is closed while
// the send waits.
void chan_send(struct chan *c, const void *elem);

// Receives into *elem; elem may be NULL to drop the element. Blocks while there is none. True:
// received. False: the channel is closed and drained, *elem is zeroed. A NULL channel blocks for
// ever.
bool chan_recv(struct chan *c, void *elem);

// As chan_send, without blocking: true when sent, false when it would have blocked. Panics as
// chan_send.
bool chan_try_send(struct chan *c, const void *elem);

// As chan_recv, without blocking: 1 received, 0 closed and drained, -1 with errno EAGAIN: would
// block.
int chan_try_recv(struct chan *c, void *elem);

// As the blocking calls, waiting at most until time_mono() reaches when (nanoseconds; INT64_MAX:
// for ever). chan_send_deadline: true when sent, false with errno ETIMEDOUT. chan_recv_deadline: 1
// received, 0 closed and drained, -1 with errno ETIMEDOUT. What can be done at once is done even if
// the time has passed.
bool chan_send_deadline(struct chan *c, const void *elem, int64_t when);
int chan_recv_deadline(struct chan *c, void *elem, int64_t when);

// Closes: no more sends; receivers drain the buffer and then get false. Everyone waiting is woken;
// waiting senders panic. Panics "close of nil channel" or "close of closed channel". Never blocks.
void chan_close(struct chan *c);

// Elements buffered now, and the capacity; both 0 for NULL. Never block.
size_t chan_len(const struct chan *c);
size_t chan_cap(const struct chan *c);

// Gives the memory back, with whatever elements are buffered. Nobody may be waiting on the channel
// (panics "free of channel in use") or use it afterwards (a second free panics). NULL is allowed.
// A chan_select uses all its channels until it returns, also those whose case did not run. Never
// blocks. The channel of time_after may be freed before its time has come.
void chan_free(struct chan *c);

struct chan_case {
    struct chan *c; // NULL: this case never runs
    enum { CHAN_SEND, CHAN_RECV } op;
    void *elem; // what to send, or where to receive to (NULL: drop)
    bool ok;    // set when the case ran: a receive's false means closed and drained
};

// Runs one of the n cases and returns its index. Of several that can run, each is as likely as any
// other. When none can: blocks, or returns -1 with errno EAGAIN if !block. The same channel may
// stand in several cases. Panics when the chosen case sends on a closed channel. With n == 0 (or
// only NULL channels) and block it waits for ever. -1 with EINVAL when n is negative or above
// 65535; -1 with ENOMEM can happen only when n is above 32.
int chan_select(struct chan_case *cases, int n, bool block);

// As chan_select(cases, n, true), waiting at most until time_mono() reaches when: then -1 with
// ETIMEDOUT.
int chan_select_deadline(struct chan_case *cases, int n, int64_t when);

#pragma GCC visibility pop

#endif
