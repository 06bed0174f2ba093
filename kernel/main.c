// SPDX-License-Identifier: BSD-2-Clause
// From a boot loader's hands to the main goroutine, one step a line.

#include "arch/arch.h"
#include "kernel/app.h"
#include "kernel/bootinfo.h"
#include "kernel/canary.h"
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/console.h"
#include "kernel/heap.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/print.h"
#include "kernel/screen.h"
#include "sched/sched.h"
#include "sched/trace.h"

static struct g boot_g0 = { .name = "g0", .m = &ms[0] };

static void add_memory(const struct bootinfo *bi, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < bi->n_ranges; i++) {
        const struct mem_range *r = &bi->ranges[i];
        if (r->kind != MEM_USABLE)
            continue;
        uint64_t start = MAX(r->start, from), end = MIN(r->end, to);
        if (start < end)
            page_add_range(start, end);
    }
}

static void init_boot_core(void)
{
    ms[0].g0 = &boot_g0;
    ms[0].hw_deadline_ns = INT64_MAX;
    ms[0].tick_ns = INT64_MAX;
    atomic_store_explicit(&boot_g0.status, G_RUNNING, memory_order_relaxed);
    arch_cpu_init_boot(&ms[0]);
}

// What the options say is to fail of all that follows.
static void order_failures(void)
{
    heap_fail_after(cmdline_number("failmalloc", 0, 0, INT64_MAX));
    page_fail_after(cmdline_number("failpage", 0, 0, INT32_MAX));
}

static void main_goroutine(void *unused)
{
    order_failures();
    trace_start_dumper();
    net_init();
    drivers_init();
    libc_start(unused);
}

void kernel_main(const struct bootinfo *boot)
{
    static struct bootinfo bi;
    uint64_t mapped_start, mapped_end;
    init_boot_core();                   // the current G, traps
    canary_init();
    bi = *boot;
    console_init();                     // the first output
    cmdline_init(bi.cmdline);
    console_configure();
    screen_init(&bi.framebuffer);
    bootinfo_normalise(&bi);
    arch_boot_mapped(&mapped_start, &mapped_end);
    add_memory(&bi, mapped_start, mapped_end);
    arch_mmu_init(&bi);                 // page tables with permissions
    screen_map();
    add_memory(&bi, 0, mapped_start);
    add_memory(&bi, mapped_end, UINT64_MAX);
    arch_machine_init(&bi);             // cores, interrupt controllers
    arch_clock_init();
    unsigned cores = arch_core_count();
    page_set_cores(cores);
    heap_init();
    klog("heddle: %lu MiB, %u core%s, booted by %s", (unsigned long)(page_total() >> 8), cores,
         cores == 1 ? "" : "s", bi.loader);
    sched_init(cores);
    sched_start(main_goroutine, NULL);  // other cores, main goroutine; never returns
}
