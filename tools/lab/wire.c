// SPDX-License-Identifier: BSD-2-Clause
// netlab wire: a wire between two ends that loses, delays, reorders, doubles and corrupts frames
// and carries so many bits a second.
//
// Each direction decides about its frames in the order they come, from random numbers of its own,
// so that the same seed does the same to the n-th frame. What is to go out waits in a heap, ordered
// by time and then by arrival; what the other side does not take yet stays there.
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lab/lab.h"

enum { FRAMES_MAX = 65536 }; // on the wire, both ways

struct faults {
    double loss, burst, dup, corrupt, reorder;
    int64_t delay_ns, jitter_ns;
    uint64_t rate_bps, queue_bytes;
};

struct flying {
    int64_t due_ns;
    uint64_t number;
    struct frame *f;
};

struct direction {
    struct end *from, *to;
    struct faults faults;
    struct chance chance;
    bool in_burst;          // the last frame was lost, and the loss goes on
    int64_t free_ns;        // when the wire has sent what it has
    int64_t last_ns;        // when the latest frame is due that keeps its order
    uint64_t number;
    struct flying *heap;
    unsigned n;
    uint64_t lost, doubled, corrupted, reordered, overflowed;
};

static struct frame *spare[FRAMES_MAX];
static unsigned spares, frames;
static struct pcap pcap;

static struct frame *frame_get(void)
{
    if (spares)
        return spare[--spares];
    return frames < FRAMES_MAX && ++frames ? malloc(sizeof(struct frame)) : NULL;
}

static void frame_put(struct frame *f) { spare[spares++] = f; }

// ---- the heap ----

static bool before(const struct flying *a, const struct flying *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->number < b->number;
}

static void push(struct direction *d, struct flying x)
{
    unsigned i = d->n++;
    for (; i && before(&x, &d->heap[(i - 1) / 2]); i = (i - 1) / 2)
        d->heap[i] = d->heap[(i - 1) / 2];
    d->heap[i] = x;
}

static void pop(struct direction *d)
{
    struct flying x = d->heap[--d->n];
    unsigned i = 0, child;
    while ((child = 2 * i + 1) < d->n) {
        if (child + 1 < d->n && before(&d->heap[child + 1], &d->heap[child]))
            child++;
        if (!before(&d->heap[child], &x))
            break;
        d->heap[i] = d->heap[child];
        i = child;
    }
    d->heap[i] = x;
}

// ---- what happens to a frame ----

// With --burst n, losses come n together on average, and are as many as --loss says all the same.
static bool is_lost(struct direction *d)
{
    const struct faults *w = &d->faults;
    double p = w->loss;
    if (w->burst > 1 && p < 1)
        p = d->in_burst ? 1 - 1 / w->burst : w->loss / ((1 - w->loss) * w->burst);
    d->in_burst = chance_strikes(&d->chance, p);
    return d->in_burst;
}

// When a frame of len bytes has left the sender; -1 if there is no room for it.
static int64_t serialised(struct direction *d, uint32_t len, int64_t now_ns)
{
    const struct faults *w = &d->faults;
    if (!w->rate_bps)
        return now_ns;
    int64_t wait_ns = d->free_ns > now_ns ? d->free_ns - now_ns : 0;
    if ((double)wait_ns * (double)w->rate_bps / 8e9 + len > (double)w->queue_bytes)
        return -1;
    d->free_ns = now_ns + wait_ns + (int64_t)(len * 8e9 / (double)w->rate_bps);
    return d->free_ns;
}

static void schedule(struct direction *d, const struct frame *src, int64_t due_ns)
{
    struct frame *f = frame_get();
    if (!f) {
        d->overflowed++;
        return;
    }
    f->len = src->len;
    memcpy(f->data, src->data, src->len);
    push(d, (struct flying){due_ns, d->number++, f});
}

static void take(struct direction *d, struct frame *f, int64_t now_ns)
{
    const struct faults *w = &d->faults;
    // Always as many numbers, lest one fault's chance change what another does.
    bool lost = is_lost(d), doubled = chance_strikes(&d->chance, w->dup);
    bool corrupted = chance_strikes(&d->chance, w->corrupt);
    bool reordered = chance_strikes(&d->chance, w->reorder);
    uint64_t bit = chance_below(&d->chance, f->len * 8ull);
    int64_t jitter_ns = (int64_t)chance_below(&d->chance, (uint64_t)w->jitter_ns + 1);
    uint64_t late = chance_next(&d->chance);
    int64_t due_ns = serialised(d, f->len, now_ns);
    if (due_ns < 0) {
        d->overflowed++;
        return;
    }
    if (lost) {
        d->lost++;
        return;
    }
    if (corrupted && f->len) {
        f->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        d->corrupted++;
    }
    due_ns += w->delay_ns + jitter_ns;
    if (reordered) { // up to four times the way later, or a millisecond
        uint64_t most = 4 * (uint64_t)w->delay_ns + 1000000;
        due_ns += (int64_t)((unsigned __int128)late * most >> 64);
        d->reordered++;
    } else {
        due_ns = due_ns > d->last_ns ? due_ns : d->last_ns;
        d->last_ns = due_ns;
    }
    schedule(d, f, due_ns);
    if (doubled) {
        schedule(d, f, due_ns);
        d->doubled++;
    }
}

// Sends what is due. True: the other side takes no more at the moment.
static bool deliver(struct direction *d, int64_t now_ns)
{
    while (d->n && d->heap[0].due_ns <= now_ns) {
        struct frame *f = d->heap[0].f;
        if (!end_send(d->to, f->data, f->len))
            return true;
        pcap_frame(&pcap, f->data, f->len);
        pop(d);
        frame_put(f);
    }
    return false;
}

// ---- the loop ----

static void sleep_until_due(struct direction dir[2], const bool blocked[2])
{
    struct pollfd fds[2];
    int64_t now_ns = lab_now_ns(), wait_ns = 1000000000;
    for (int i = 0; i < 2; i++) {
        fds[i] = (struct pollfd){.fd = dir[i].from->fd, .events = POLLIN};
        if (dir[i].n && !blocked[i] && dir[i].heap[0].due_ns - now_ns < wait_ns)
            wait_ns = dir[i].heap[0].due_ns - now_ns;
    }
    for (int i = 0; i < 2; i++)
        if (blocked[i])
            fds[1 - i].events |= POLLOUT; // the one direction's target is the other's source
    wait_ns = wait_ns > 0 ? wait_ns : 0;
    struct timespec t = {wait_ns / 1000000000, wait_ns % 1000000000};
    ppoll(fds, 2, &t, NULL);
}

static void run(struct direction dir[2], int64_t end_ns)
{
    static struct frame in[BATCH];
    while (!lab_stop && lab_now_ns() < end_ns) {
        bool blocked[2];
        for (int i = 0; i < 2; i++) {
            unsigned n = end_receive(dir[i].from, in, BATCH);
            int64_t now_ns = lab_now_ns();
            for (unsigned k = 0; k < n; k++)
                take(&dir[i], &in[k], now_ns);
            blocked[i] = deliver(&dir[i], now_ns);
        }
        sleep_until_due(dir, blocked);
    }
}

static void report(const struct direction *d)
{
    printf("%s-%s: %llu frames, %llu lost, %llu doubled, %llu reordered, %llu corrupted, "
           "%llu overflowed, %llu absent\n", d->from->name, d->to->name,
           (unsigned long long)d->from->received, (unsigned long long)d->lost,
           (unsigned long long)d->doubled, (unsigned long long)d->reordered,
           (unsigned long long)d->corrupted, (unsigned long long)d->overflowed,
           (unsigned long long)d->to->absent);
}

// One of the faults, for the directions that are meant. False: no such option.
static bool fault_option(struct faults *w, const char *o, const char *v)
{
    if (strcmp(o, "--loss") == 0)
        w->loss = word_chance(o, v);
    else if (strcmp(o, "--burst") == 0)
        w->burst = (double)word_number(o, v, 1, 1000);
    else if (strcmp(o, "--dup") == 0)
        w->dup = word_chance(o, v);
    else if (strcmp(o, "--corrupt") == 0)
        w->corrupt = word_chance(o, v);
    else if (strcmp(o, "--reorder") == 0)
        w->reorder = word_chance(o, v);
    else if (strcmp(o, "--delay") == 0)
        w->delay_ns = word_time(o, v);
    else if (strcmp(o, "--jitter") == 0)
        w->jitter_ns = word_time(o, v);
    else if (strcmp(o, "--rate") == 0)
        w->rate_bps = word_rate(o, v);
    else if (strcmp(o, "--queue") == 0)
        w->queue_bytes = word_number(o, v, FRAME_MAX, 1000000000);
    else
        return false;
    return true;
}

int wire_main(int argc, char **argv)
{
    static struct end ends[2];
    struct direction dir[2] = {{.from = &ends[0], .to = &ends[1]},
                               {.from = &ends[1], .to = &ends[0]}};
    int64_t for_ns = INT64_MAX / 2;
    uint64_t seed = 1;
    unsigned meant = 3; // directions that the next faults are for
    ends[0].fd = ends[1].fd = -1;
    dir[0].faults.queue_bytes = dir[1].faults.queue_bytes = 256000;
    for (int i = 0; i < argc; i++) {
        const char *o = argv[i], *v = argv[i + 1];
        if (strcmp(o, "--ab") == 0 || strcmp(o, "--ba") == 0 || strcmp(o, "--both") == 0) {
            meant = o[2] == 'a' ? 1 : o[3] == 'a' ? 2 : 3;
            continue;
        }
        if (++i == argc)
            refuse("%s: needs a value", o);
        bool known = false;
        for (int k = 0; k < 2; k++)
            if (meant & 1u << k)
                known |= fault_option(&dir[k].faults, o, v);
        if (known)
            continue;
        if (strcmp(o, "--a") == 0 || strcmp(o, "--b") == 0)
            end_open(&ends[o[2] - 'a'], o + 2, v);
        else if (strcmp(o, "--seed") == 0)
            seed = word_number(o, v, 0, UINT32_MAX);
        else if (strcmp(o, "--for") == 0)
            for_ns = word_time(o, v);
        else if (strcmp(o, "--pcap") == 0)
            pcap_open(&pcap, v);
        else
            refuse("%s: no such option", o);
    }
    if (ends[0].fd < 0 || ends[1].fd < 0)
        refuse("wire: needs --a and --b");
    for (unsigned k = 0; k < 2; k++) {
        chance_seed(&dir[k].chance, seed, k);
        dir[k].heap = calloc(FRAMES_MAX, sizeof(*dir[k].heap));
    }
    printf("wire: ready\n");
    run(dir, lab_now_ns() + for_ns);
    report(&dir[0]);
    report(&dir[1]);
    pcap_close(&pcap);
    return 0;
}
