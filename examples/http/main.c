// SPDX-License-Identifier: BSD-2-Clause
// An HTTP/1.1 server: a goroutine a connection, keep-alive, pipelining. "/" is a page,
// "/debug/sched" what the scheduler counts. Arguments: the address to listen on (":80"), seconds a
// client may take for a request (10).

#include <errno.h>
#include <heddle.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

#define SECOND 1000000000ll

enum {
    IN_BYTES = HTTP_HEAD_MAX,
    OUT_BYTES = 4096,      // answers to pipelined requests are gathered up to here
    BODY_MAX = 1 << 20,    // a request's body is read and thrown away; a longer one is refused
    IDLE_SECONDS = 60,     // a connection between two requests
};

static int64_t request_ns = 10 * SECOND;

struct client {
    struct conn *conn;
    size_t in_len;   // bytes in in[]
    size_t out_len;  // bytes in out[], not sent yet
    unsigned served; // requests answered
    bool broken;     // the connection can no longer be written
    char in[IN_BYTES], out[OUT_BYTES];
};

static const char page[] = "Hello, world!\n";

static const char *reason(int status)
{
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}

static void flush(struct client *c)
{
    if (c->out_len > 0 && !c->broken && net_write(c->conn, c->out, c->out_len) < 0)
        c->broken = true;
    c->out_len = 0;
}

static void put(struct client *c, const char *data, size_t n)
{
    if (n > OUT_BYTES - c->out_len)
        flush(c);
    if (n > OUT_BYTES) {
        if (!c->broken && net_write(c->conn, data, n) < 0)
            c->broken = true;
        return;
    }
    memcpy(c->out + c->out_len, data, n);
    c->out_len += n;
}

static void answer(struct client *c, int status, const char *body, size_t n, bool keep_alive,
                   bool head_only)
{
    char head[192];
    int len;
    if (status == 200 && keep_alive)
        len = snprintf(head, sizeof(head),
                       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %lu\r\n\r\n",
                       (unsigned long)n);
    else
        len = snprintf(head, sizeof(head),
                       "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\n"
                       "Content-Length: %lu\r\n%s%s\r\n",
                       status, reason(status), (unsigned long)n,
                       status == 405 ? "Allow: GET, HEAD\r\n" : "",
                       keep_alive ? "" : "Connection: close\r\n");
    put(c, head, (size_t)len);
    if (!head_only)
        put(c, body, n);
}

// An error, after which the connection closes.
static void refuse(struct client *c, int status)
{
    char body[64];
    int n = snprintf(body, sizeof(body), "%d %s\n", status, reason(status));
    answer(c, status, body, (size_t)n, false, false);
}

static void add(char *text, size_t size, size_t *len, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text + *len, size - *len, fmt, ap);
    va_end(ap);
    *len += n > 0 && (size_t)n < size - *len ? (size_t)n : 0;
}

static void answer_sched(struct client *c, const struct http_request *r, bool head_only)
{
    enum { ROWS = 64, TEXT_BYTES = 9000 };
    struct go_pstats *p = malloc(ROWS * sizeof(*p));
    char *text = malloc(TEXT_BYTES);
    if (!p || !text) {
        free(p);
        free(text);
        refuse(c, 500);
        return;
    }
    size_t n = go_pstats(p, ROWS), len = 0;
    add(text, TEXT_BYTES, &len, "uptime_ms %lld goroutines %lu cores %d procs %lu\n",
        (long long)(time_mono() / 1000000), (unsigned long)go_count(), go_numcpu(),
        (unsigned long)n);
    add(text, TEXT_BYTES, &len, "%3s %4s %8s %12s %12s %10s %10s %10s %10s %10s\n", "P", "core",
        "runnable", "switches", "spawned", "stolen", "preempted", "woken", "polled", "irqs");
    for (size_t i = 0; i < n && i < ROWS; i++)
        add(text, TEXT_BYTES, &len,
            "%3u %4d %8u %12llu %12llu %10llu %10llu %10llu %10llu %10llu\n",
            p[i].id, p[i].core, p[i].runnable, (unsigned long long)p[i].switches,
            (unsigned long long)p[i].spawned, (unsigned long long)p[i].stolen,
            (unsigned long long)p[i].preempted, (unsigned long long)p[i].woken,
            (unsigned long long)p[i].polled, (unsigned long long)p[i].interrupts);
    answer(c, 200, text, len, r->keep_alive, head_only);
    free(p);
    free(text);
}

static bool is(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(s, word, n) == 0;
}

static void respond(struct client *c, const struct http_request *r)
{
    bool head_only = is(r->method, r->method_len, "HEAD");
    const char *query = memchr(r->target, '?', r->target_len);
    size_t path_len = query ? (size_t)(query - r->target) : r->target_len;
    if (!head_only && !is(r->method, r->method_len, "GET"))
        answer(c, 405, "405 Method Not Allowed\n", 23, r->keep_alive, false);
    else if (is(r->target, path_len, "/"))
        answer(c, 200, page, sizeof(page) - 1, r->keep_alive, head_only);
    else if (is(r->target, path_len, "/debug/sched"))
        answer_sched(c, r, head_only);
    else
        answer(c, 404, "404 Not Found\n", 14, r->keep_alive, head_only);
}

// Drops n bytes of a request's body, some of which may be in the buffer already. False: the
// connection ended.
static bool skip_body(struct client *c, uint64_t n)
{
    for (;;) {
        size_t now = n < c->in_len ? (size_t)n : c->in_len;
        c->in_len -= now;
        memmove(c->in, c->in + now, c->in_len);
        n -= now;
        if (n == 0)
            return true;
        ssize_t got = net_read(c->conn, c->in, IN_BYTES);
        if (got <= 0)
            return false;
        c->in_len = (size_t)got;
    }
}

// Answers every complete request in the buffer. False: the connection is to be closed.
static bool serve_buffered(struct client *c, size_t scanned)
{
    for (;;) {
        struct http_request r;
        // Empty lines before a request are tolerated (RFC 9112, 2.2).
        size_t blank = 0;
        while (blank < c->in_len && (c->in[blank] == '\r' || c->in[blank] == '\n'))
            blank++;
        if (blank > 0) {
            c->in_len -= blank;
            scanned = 0;
            memmove(c->in, c->in + blank, c->in_len);
        }
        int status = c->in_len ? http_parse(c->in, c->in_len, scanned, &r) : 0;
        if (status == 0)
            return true;
        if (status == 1 && r.content_length > BODY_MAX)
            status = 413;
        if (status != 1) {
            refuse(c, status);
            return false;
        }
        if (r.expect_continue && r.content_length > 0) {
            put(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
            flush(c);
        }
        respond(c, &r);
        c->served++;
        bool keep_alive = r.keep_alive;
        c->in_len -= r.head_len;
        memmove(c->in, c->in + r.head_len, c->in_len);
        scanned = 0;
        if (c->broken || (r.content_length > 0 && !skip_body(c, r.content_length)) || !keep_alive)
            return false;
    }
}

static void serve_client(struct client *c)
{
    int64_t deadline = 0; // of the request that is under way
    for (;;) {
        int64_t now = time_mono();
        if (c->in_len == 0)
            deadline = 0;
        else if (deadline == 0)
            deadline = now + request_ns;
        net_set_deadline(c->conn, deadline ? deadline : now + IDLE_SECONDS * SECOND);
        ssize_t got = net_read(c->conn, c->in + c->in_len, IN_BYTES - c->in_len);
        if (got <= 0) {
            if (got < 0 && errno == ETIMEDOUT && c->in_len > 0) {
                net_set_deadline(c->conn, time_mono() + SECOND);
                refuse(c, 408);
            }
            return;
        }
        size_t scanned = c->in_len;
        unsigned served = c->served;
        c->in_len += (size_t)got;
        bool go_on = serve_buffered(c, scanned);
        if (c->out_len > 0)
            net_set_deadline(c->conn, time_mono() + request_ns);
        flush(c);
        if (!go_on || c->broken)
            return;
        if (c->served != served)
            deadline = 0; // what is in the buffer begins another request
    }
}

// Closes without losing the answer: data of the client's still on its way would make the close a
// reset, so its end of stream is waited for, not for long.
static void linger(struct client *c)
{
    flush(c);
    if (c->broken || net_close_write(c->conn) != 0)
        return;
    net_set_deadline(c->conn, time_mono() + SECOND);
    for (int i = 0; i < 64 && net_read(c->conn, c->in, IN_BYTES) > 0; i++)
        ;
}

static void serve(void *arg)
{
    struct client *c = malloc(sizeof(*c));
    if (!c) {
        net_close(arg);
        return;
    }
    c->conn = arg;
    c->in_len = c->out_len = 0;
    c->served = 0;
    c->broken = false;
    serve_client(c);
    linger(c);
    net_close(c->conn);
    free(c);
}

int main(int argc, char **argv)
{
    const char *addr = argc > 1 ? argv[1] : ":80";
    if (argc > 2)
        request_ns = atoi(argv[2]) * SECOND;
    struct listener *l = request_ns > 0 ? net_listen("tcp", addr) : NULL;
    if (!l) {
        fprintf(stderr, "http: cannot listen on %s: %s\n", addr,
                request_ns > 0 ? strerror(errno) : "the time for a request must be positive");
        return 1;
    }
    printf("http: listening on %s\n", addr);
    for (;;) {
        struct conn *c = net_accept(l);
        if (!c) {
            // Out of memory for the moment: those who are served go on.
            fprintf(stderr, "http: accept: %s\n", strerror(errno));
            time_sleep(10000000);
            continue;
        }
        if (go(serve, c) != 0)
            net_close(c);
    }
}
