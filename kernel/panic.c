// SPDX-License-Identifier: BSD-2-Clause
// The last report: message, where, registers, backtrace, then every goroutine. The first core to
// get here stops the others with an interrupt that cannot be turned off, and from then on nobody
// takes a lock: what the others held stays held. A second fault while reporting ends the report.

#include "kernel/panic.h"

#include <stdarg.h>

#include "arch/arch.h"
#include "kernel/clock.h"
#include "kernel/console.h"
#include "kernel/panic_int.h"
#include "kernel/print.h"
#include "kernel/symtab.h"
#include "sched/sched.h"
#include "sched/trace.h"

enum { MAX_FRAMES = 40, MAX_GOROUTINES = 1000, STOP_WAIT_US = 100000 };

static _Atomic(uint32_t) panic_core;   // number + 1 of the core that reports
static _Atomic(uint32_t) stopped_count;
static struct stopped { uintptr_t pc, fp; bool valid; } stopped[MAX_CORES];
static unsigned depth; // guard: the reporting core

bool panicking(void)
{
    return atomic_load_explicit(&panic_core, memory_order_relaxed) != 0;
}

void panic_stop_here(const struct trap_frame *tf)
{
    struct stopped *s = &stopped[getg()->m->id];
    s->pc = arch_trap_pc(tf);
    s->fp = arch_trap_fp(tf);
    s->valid = true;
    atomic_fetch_add_explicit(&stopped_count, 1, memory_order_release);
    arch_halt();
}

static void stop_others(unsigned me)
{
    for (unsigned i = 0; i < sched.n_m; i++)
        if (i != me)
            arch_send_ipi(i, IPI_STOP);
    int64_t until = clock_mono_ns() + STOP_WAIT_US * 1000ll;
    while (sched.n_m > 1 && clock_mono_ns() < until &&
           atomic_load_explicit(&stopped_count, memory_order_acquire) < sched.n_m - 1)
        arch_relax();
}

// Makes this core the one that reports; others that come here stay.
static void enter(void)
{
    arch_irq_save();
    unsigned me = getg()->m->id;
    uint32_t nobody = 0;
    if (!atomic_compare_exchange_strong_explicit(&panic_core, &nobody, me + 1, memory_order_relaxed,
                                                 memory_order_relaxed) &&
        nobody != me + 1)
        arch_halt();
    if (++depth == 1) {
        stop_others(me);
        console_take_over();
    }
    if (depth > 2)
        arch_poweroff(2);
}

static void print_pc(uintptr_t pc, bool is_return)
{
    const char *file, *func;
    size_t off;
    // A return address may be the first byte after a function that never returns.
    if (symtab_lookup(pc - is_return, &file, &func, &off))
        kprintf("\t%s:%s+0x%lx\n", file, func, (unsigned long)(off + is_return));
    else
        kprintf("\t%p\n", (void *)pc);
}

static void backtrace(uintptr_t pc, uintptr_t fp)
{
    if (pc)
        print_pc(pc, false);
    for (int i = 0; i < MAX_FRAMES; i++) {
        if (fp == 0 || fp % 8 != 0 || !arch_is_mapped(fp) || !arch_is_mapped(fp + 8))
            return;
        const uintptr_t *frame = (const uintptr_t *)fp;
        if (frame[1] == 0)
            return;
        print_pc(frame[1], true);
        if (frame[0] <= fp || frame[0] - fp > (1u << 20))
            return;
        fp = frame[0];
    }
    kprintf("\t...\n");
}

static const char *state_name(uint32_t status)
{
    static const char *const names[] = { "idle", "runnable", "running", "syscall",
                                         "waiting", "dead", "preempted" };
    return status < ARRAY_LEN(names) ? names[status] : "?";
}

static void print_goroutine(const struct g *gp)
{
    uint32_t status = atomic_load_explicit(&gp->status, memory_order_relaxed);
    kprintf("\ngoroutine %lu [%s", (unsigned long)gp->id,
            status == G_WAITING ? wait_reason_name(gp->wait_reason) : state_name(status));
    if (status == G_WAITING && gp->wait_since_ns > 0) {
        long ms = (long)((clock_mono_ns() - gp->wait_since_ns) / 1000000);
        kprintf(", %ld.%03ld s", ms / 1000, ms % 1000);
    }
    if (gp->m)
        kprintf(", core %u", gp->m->id);
    kprintf("]:%s%s\n", gp->name ? " " : "", gp->name ? gp->name : "");

    uintptr_t pc = 0, fp = 0;
    if (gp->m && gp->m->curg == gp) {
        const struct stopped *s = &stopped[gp->m->id];
        if (s->valid) {
            pc = s->pc;
            fp = s->fp;
        }
    } else {
        arch_saved_frame(gp, &pc, &fp);
    }
    backtrace(pc, fp);
}

void panic_print_goroutines(const struct g *except)
{
    unsigned n = 0;
    for (struct g *gp = g_all(); gp; gp = gp->all_next) {
        uint32_t status = atomic_load_explicit(&gp->status, memory_order_relaxed);
        if (gp == except || status == G_DEAD || status == G_IDLE)
            continue;
        if (++n > MAX_GOROUTINES) {
            kprintf("\n... and more goroutines than the %d shown\n", MAX_GOROUTINES);
            return;
        }
        print_goroutine(gp);
    }
}

static void print_where(void)
{
    struct g *gp = getg();
    struct m *m = gp->m;
    const char *on = gp == m->g0 ? " (on g0)" : "";
    struct g *cur = gp == m->g0 ? m->curg : gp;
    kprintf("core %u M %u P %d G %ld%s, %u cores, %ld ms after boot\n", m->id, m->id,
            m->p ? (int)m->p->id : -1, cur ? (long)cur->id : -1, on, sched.n_m,
            (long)(clock_mono_ns() / 1000000));
}

static _Noreturn void report(const struct trap_frame *tf, uintptr_t fp)
{
    if (depth > 1) {
        kprintf("\nfault while reporting; giving up\n");
        arch_poweroff(2);
    }
    print_where();
    if (tf)
        arch_print_trap_frame(tf);
    struct g *gp = getg();
    bool on_g0 = gp == gp->m->g0;
    if (on_g0)
        kprintf("\ng0 of core %u:\n", gp->m->id);
    else
        kprintf("\ngoroutine %lu [running, core %u]:%s%s\n", (unsigned long)gp->id, gp->m->id,
                gp->name ? " " : "", gp->name ? gp->name : "");
    backtrace(tf ? arch_trap_pc(tf) : 0, tf ? arch_trap_fp(tf) : fp);
    panic_print_goroutines(on_g0 ? NULL : gp);
    trace_print_last();
    if (atomic_load_explicit(&trace_on, memory_order_relaxed))
        trace_dump();
    arch_poweroff(2);
}

static void print_message(const char *prefix, const char *fmt, va_list ap)
{
    char text[400];
    kvsnprintf(text, sizeof(text), fmt, ap);
    kprintf("%s%s\n", prefix, text);
}

void throw(const char *fmt, ...)
{
    enter();
    va_list ap;
    va_start(ap, fmt);
    print_message("fatal error: ", fmt, ap);
    va_end(ap);
    report(NULL, (uintptr_t)__builtin_frame_address(0));
}

void fatal_panic(const char *fmt, ...)
{
    enter();
    va_list ap;
    va_start(ap, fmt);
    print_message("panic: ", fmt, ap);
    va_end(ap);
    report(NULL, (uintptr_t)__builtin_frame_address(0));
}

void fatal_trap(const struct trap_frame *tf, const char *what)
{
    enter();
    struct g *gp = getg();
    kprintf("fatal error: %s", what);
    if (gp != gp->m->g0 && gp->name)
        kprintf(" in goroutine %s", gp->name);
    kprintf("\n");
    report(tf, 0);
}
