// SPDX-License-Identifier: BSD-2-Clause
// Which handler a device vector has. Handlers are published before their device is told of the
// vector.

#include "kernel/irq.h"

#include <errno.h>

#include "kernel/irq_vectors.h"
#include "kernel/print.h"
#include "kernel/spinlock.h"
#include "kernel/trace.h"
#include "lib/util.h"
#include "sched/g.h"

struct vector {
    _Atomic(irq_handler_fn *) handler; // NULL: free. pairs: IRQ-HANDLER
    void *arg;
    const char *name;
    _Atomic(uint32_t) count;
};

static struct vector vectors[IRQ_VECTORS];
static struct spinlock lock = SPINLOCK_INIT(LOCK_IRQ); // guards allocation

int irq_alloc(irq_handler_fn *handler, void *arg, const char *name)
{
    int vector = -1;
    spin_lock(&lock);
    for (int i = 0; i < IRQ_VECTORS && vector < 0; i++) {
        struct vector *v = &vectors[i];
        if (atomic_load_explicit(&v->handler, memory_order_relaxed))
            continue;
        v->arg = arg;
        v->name = name;
        // pairs: IRQ-HANDLER
        atomic_store_explicit(&v->handler, handler, memory_order_release);
        vector = IRQ_FIRST_VECTOR + i;
    }
    spin_unlock(&lock);
    if (vector < 0)
        errno = ENOSPC;
    return vector;
}

void irq_free(int vector)
{
    atomic_store_explicit(&vectors[vector - IRQ_FIRST_VECTOR].handler, NULL, memory_order_release);
}

void irq_dispatch(int vector)
{
    if (vector < IRQ_FIRST_VECTOR || vector >= IRQ_FIRST_VECTOR + IRQ_VECTORS)
        return;
    struct vector *v = &vectors[vector - IRQ_FIRST_VECTOR];
    // pairs: IRQ-HANDLER
    irq_handler_fn *handler = atomic_load_explicit(&v->handler, memory_order_acquire);
    atomic_fetch_add_explicit(&v->count, 1, memory_order_relaxed);
    trace_event(TRACE_IRQ_DEVICE, 0, (unsigned)vector);
    if (handler)
        handler(v->arg);
}
