// SPDX-License-Identifier: BSD-2-Clause
// malloc and its family on the kernel's heap. An application may bring its own malloc: newlib's
// internal calls go through the same public names, so that memory is given back to whoever it came
// from.

#include <errno.h>
#include <malloc.h>
#include <reent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/heap.h"
#include "kernel/page.h"
#include "libc/libc.h"

int posix_memalign(void **out, size_t align, size_t n);

// The debug build names whoever called us; the others take the short way.
#define CALLER __builtin_return_address(0)

static void *or_enomem(void *p)
{
    if (!p)
        errno = ENOMEM;
    return p;
}

WEAK_EXPORT void *malloc(size_t n)
{
    return or_enomem(DEBUG ? heap_alloc_at(16, n, CALLER) : heap_alloc(n));
}

WEAK_EXPORT void free(void *p)
{
    if (DEBUG)
        heap_free_at(p, CALLER);
    else
        heap_free(p);
}

WEAK_EXPORT void *calloc(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return or_enomem(NULL);
    if (!DEBUG)
        return or_enomem(heap_zalloc(bytes));
    void *p = or_enomem(heap_alloc_at(16, bytes, CALLER));
    return p ? memset(p, 0, bytes) : NULL;
}

// realloc(p, 0) gives an object of no bytes back, as malloc(0) does.
WEAK_EXPORT void *realloc(void *p, size_t n)
{
    return or_enomem(p || DEBUG ? heap_realloc_at(p, n, CALLER) : heap_alloc(n));
}

WEAK_EXPORT void *aligned_alloc(size_t align, size_t n)
{
    if (align == 0 || (align & (align - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    return or_enomem(heap_alloc_at(align, n, CALLER));
}

WEAK_EXPORT void *memalign(size_t align, size_t n)
{
    return aligned_alloc(align, n);
}

WEAK_EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
    if (align < sizeof(void *) || (align & (align - 1)) != 0)
        return EINVAL;
    void *p = heap_alloc_at(align, n, CALLER);
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

WEAK_EXPORT void *valloc(size_t n)
{
    return aligned_alloc(PAGE_SIZE, n);
}

WEAK_EXPORT void *pvalloc(size_t n)
{
    if (n > SIZE_MAX - PAGE_SIZE)
        return or_enomem(NULL);
    return aligned_alloc(PAGE_SIZE, ROUND_UP(n, PAGE_SIZE));
}

WEAK_EXPORT size_t malloc_usable_size(void *p)
{
    return p ? heap_usable_size(p) : 0;
}

WEAK_EXPORT struct mallinfo mallinfo(void)
{
    struct heap_stats s;
    heap_stats(&s);
    return (struct mallinfo){
        .arena = s.held_bytes,
        .uordblks = s.live_bytes,
        .fordblks = s.held_bytes - MIN(s.held_bytes, s.live_bytes),
    };
}

EXPORT void *_malloc_r(struct _reent *r, size_t n)
{
    return malloc(n);
}

EXPORT void _free_r(struct _reent *r, void *p)
{
    free(p);
}

EXPORT void *_calloc_r(struct _reent *r, size_t n, size_t size)
{
    return calloc(n, size);
}

EXPORT void *_realloc_r(struct _reent *r, void *p, size_t n)
{
    return realloc(p, n);
}

EXPORT void *_memalign_r(struct _reent *r, size_t align, size_t n)
{
    return memalign(align, n);
}

EXPORT size_t _malloc_usable_size_r(struct _reent *r, void *p)
{
    return malloc_usable_size(p);
}
