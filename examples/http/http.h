// SPDX-License-Identifier: BSD-2-Clause
// Reading HTTP/1.x requests (RFC 9112), strictly: what the grammar does not allow is refused.
#ifndef EXAMPLES_HTTP_HTTP_H
#define EXAMPLES_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEAD_MAX = 8192 }; // bytes of request line and header fields together

struct http_request {
    const char *method, *target; // point into the buffer, not terminated
    size_t method_len, target_len;
    int minor;                // HTTP/1.minor
    bool keep_alive;          // what the client wishes, with its version's default
    bool expect_continue;
    uint64_t content_length;  // bytes of body that follow the head
    size_t head_len;          // bytes of the head, its empty line included
};

// Looks at the n bytes at buf. 0: the head is not complete yet. 1: *r describes it. Otherwise the
// status to answer with before closing: 400, 431 (head larger than HTTP_HEAD_MAX), 501 (a transfer
// coding), 505. scanned: how many bytes an earlier call has seen already, so that slow clients do
// not cost quadratic time.
int http_parse(const char *buf, size_t n, size_t scanned, struct http_request *r);

#endif
