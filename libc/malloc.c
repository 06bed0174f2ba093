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

static void *or_enomem(void *p)
{
    if (!p)
        errno = ENOMEM;
    return p;
}

WEAK_EXPORT void *malloc(size_t n)
{
    return or_enomem(heap_alloc(n));
}

WEAK_EXPORT void free(void *p)
{
    heap_free(p);
}

WEAK_EXPORT void *calloc(size_t n, size_t size)
{
    size_t bytes;
    return or_enomem(__builtin_mul_overflow(n, size, &bytes) ? NULL : heap_zalloc(bytes));
}

// realloc(p, 0) gives an object of no bytes back, as malloc(0) does.
WEAK_EXPORT void *realloc(void *p, size_t n)
{
    return or_enomem(p ? heap_realloc(p, n) : heap_alloc(n));
}

WEAK_EXPORT void *aligned_alloc(size_t align, size_t n)
{
    if (align == 0 || (align & (align - 1)) != 0) {
        errno = EINVAL;
        return NULL;
    }
    return or_enomem(heap_aligned_alloc(align, n));
}

WEAK_EXPORT void *memalign(size_t align, size_t n)
{
    return aligned_alloc(align, n);
}

WEAK_EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
    if (align < sizeof(void *) || (align & (align - 1)) != 0)
        return EINVAL;
    void *p = heap_aligned_alloc(align, n);
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
