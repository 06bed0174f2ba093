// SPDX-License-Identifier: BSD-2-Clause
// The parser works on a complete head only: it first finds the empty line, then reads from the
// start. Nothing is copied or changed.

#include "http.h"

#include <string.h>
#include <strings.h>

struct span {
    const char *at, *end;
};

static bool is_token_char(unsigned char c)
{
    return c > ' ' && c < 127 && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

// Length of the head with its empty line, 0 while there is none. A line may end in a bare newline
// (RFC 9112, 2.2).
static size_t head_length(const char *buf, size_t n, size_t scanned)
{
    size_t i = scanned > 3 ? scanned - 3 : 0;
    const char *nl;
    while ((nl = memchr(buf + i, '\n', n - i)) != NULL) {
        size_t next = (size_t)(nl - buf) + 1;
        if (next < n && buf[next] == '\n')
            return next + 1;
        if (next + 1 < n && buf[next] == '\r' && buf[next + 1] == '\n')
            return next + 2;
        i = next;
    }
    return 0;
}

// Takes one line off *s, without its end; false if it holds a stray control character.
static bool next_line(struct span *s, struct span *line)
{
    const char *nl = memchr(s->at, '\n', (size_t)(s->end - s->at));
    line->at = s->at;
    line->end = nl > s->at && nl[-1] == '\r' ? nl - 1 : nl;
    s->at = nl + 1;
    for (const char *p = line->at; p < line->end; p++)
        if ((unsigned char)*p < ' ' && *p != '\t')
            return false;
    return true;
}

static bool take_token(struct span *s, const char **at, size_t *len)
{
    const char *p = s->at;
    while (p < s->end && is_token_char((unsigned char)*p))
        p++;
    *at = s->at;
    *len = (size_t)(p - s->at);
    s->at = p;
    return *len > 0;
}

static int parse_request_line(struct span line, struct http_request *r)
{
    if (!take_token(&line, &r->method, &r->method_len) || line.at == line.end || *line.at++ != ' ')
        return 400;
    r->target = line.at;
    while (line.at < line.end && *line.at != ' ')
        line.at++;
    r->target_len = (size_t)(line.at - r->target);
    if (r->target_len == 0 || line.end - line.at != 9 || memcmp(line.at, " HTTP/", 6) != 0 ||
        line.at[7] != '.')
        return 400;
    if (line.at[6] < '0' || line.at[6] > '9' || line.at[8] < '0' || line.at[8] > '9')
        return 400;
    if (line.at[6] != '1')
        return 505;
    r->minor = line.at[8] - '0';
    r->keep_alive = r->minor >= 1;
    return 1;
}

static bool equals(struct span s, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(s.end - s.at) == n && strncasecmp(s.at, word, n) == 0;
}

// Whether the comma-separated list holds the word.
static bool list_has(struct span list, const char *word)
{
    while (list.at < list.end) {
        struct span item = { list.at, list.at };
        while (item.end < list.end && *item.end != ',')
            item.end++;
        list.at = item.end + (item.end < list.end);
        while (item.at < item.end && is_space(*item.at))
            item.at++;
        while (item.end > item.at && is_space(item.end[-1]))
            item.end--;
        if (equals(item, word))
            return true;
    }
    return false;
}

static bool parse_length(struct span v, uint64_t *out)
{
    uint64_t n = 0;
    if (v.at == v.end || v.end - v.at > 18)
        return false;
    for (; v.at < v.end; v.at++) {
        if (*v.at < '0' || *v.at > '9')
            return false;
        n = n * 10 + (uint64_t)(*v.at - '0');
    }
    *out = n;
    return true;
}

struct seen {
    bool length, host;
};

static int parse_field(struct span line, struct http_request *r, struct seen *seen)
{
    struct span name = line;
    if (!take_token(&line, &name.at, &(size_t){ 0 }) || line.at == line.end || *line.at != ':')
        return 400;
    name.end = line.at++;
    struct span value = line;
    while (value.at < value.end && is_space(*value.at))
        value.at++;
    while (value.end > value.at && is_space(value.end[-1]))
        value.end--;
    if (equals(name, "connection")) {
        if (list_has(value, "close"))
            r->keep_alive = false;
        else if (r->minor == 0 && list_has(value, "keep-alive"))
            r->keep_alive = true;
    } else if (equals(name, "content-length")) {
        uint64_t n;
        if (!parse_length(value, &n) || (seen->length && n != r->content_length))
            return 400;
        r->content_length = n;
        seen->length = true;
    } else if (equals(name, "transfer-encoding")) {
        return 501;
    } else if (equals(name, "expect")) {
        r->expect_continue = list_has(value, "100-continue");
    } else if (equals(name, "host")) {
        if (seen->host)
            return 400;
        seen->host = true;
    }
    return 1;
}

int http_parse(const char *buf, size_t n, size_t scanned, struct http_request *r)
{
    size_t head = head_length(buf, n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX, scanned);
    if (head == 0)
        return n >= HTTP_HEAD_MAX ? 431 : 0;
    *r = (struct http_request){ .head_len = head };
    struct span rest = { buf, buf + head }, line;
    struct seen seen = { false, false };
    if (!next_line(&rest, &line))
        return 400;
    int status = parse_request_line(line, r);
    while (status == 1 && next_line(&rest, &line)) {
        if (line.at == line.end)
            // A Host field is due from HTTP/1.1 on (RFC 9112, 3.2).
            return r->minor >= 1 && !seen.host ? 400 : 1;
        status = parse_field(line, r, &seen);
    }
    return status == 1 ? 400 : status;
}
