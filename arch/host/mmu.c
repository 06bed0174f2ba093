// SPDX-License-Identifier: BSD-2-Clause
// Memory and mappings of the process.
//
// "Physical" memory is one anonymous mapping, which Linux fills as it is touched. The range of all
// stacks is reserved without permissions; a page of it is mapped by being given permissions. The
// physical page that backs it in the kernel's books stays empty: its contents go back to Linux, and
// Linux finds another for the stack. So a page costs what it costs on the bare machine, it lies at
// two places in turn, and arch_unmap_page gives it back.
//
// `table` has an entry for each page of the range: 0, or the physical page's number and whether it
// is ready to be used. It is changed by compare-and-swap from 0, and back by an exchange. Whoever
// loses the first waits for the winner's READY.
//
// Linux lets a process have some 65,000 mappings, and each stack with a guard takes two. When they
// are used up, all of 1 GiB of addresses around the page is given permissions: one mapping
// instead of thousands, at the price that stacks there have no guard pages any more.

#include <arch_layout.h>

#include "arch/arch.h"
#include "arch/host/host.h"
#include "kernel/bootinfo.h"
#include "kernel/page.h"
#include "kernel/panic.h"
#include "kernel/print.h"

#define WINDOW ((uintptr_t)1 << 30)
#define ENTRY_READY (1u << 31)
_Static_assert((HOST_RAM_MAX >> PAGE_SHIFT) + (HOST_RAM_PA >> PAGE_SHIFT) < ENTRY_READY,
               "a page's number fits below ENTRY_READY");
_Static_assert(KSTACK_BASE < STACK_BASE, "the kernel's stacks lie below the goroutines'");

uintptr_t direct_map_base = HOST_RAM_BASE - HOST_RAM_PA;

static uint64_t ram_bytes;
static _Atomic(uint32_t) *table; // pairs: HOST-MAP

static bool reserve(uintptr_t at, uint64_t bytes, int permissions)
{
    long got = linux_sys(SYS_MMAP, at, bytes, permissions,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    return (uintptr_t)got == at;
}

bool host_map_ram(uint64_t bytes)
{
    ram_bytes = MIN(bytes, (uint64_t)HOST_RAM_MAX);
    return reserve(HOST_RAM_BASE, ram_bytes, PROT_READ | PROT_WRITE);
}

uint64_t virt_to_phys(const void *va)
{
    uintptr_t v = (uintptr_t)va;
    if (v - HOST_RAM_BASE < ram_bytes)
        return v - direct_map_base;
    return v; // the image
}

// All memory is mapped from the start; the first 4 GiB of it will do.
void arch_boot_mapped(uint64_t *start, uint64_t *end)
{
    *start = 0;
    *end = (uint64_t)1 << 32;
}

void arch_mmu_init(const struct bootinfo *bi)
{
    uint64_t pages = (HOST_STACKS_END - KSTACK_BASE) >> PAGE_SHIFT;
    if (!reserve(KSTACK_BASE, HOST_STACKS_END - KSTACK_BASE, PROT_NONE))
        throw("arch_mmu_init: the addresses for stacks cannot be reserved");
    long at = linux_sys(SYS_MMAP, 0, pages * sizeof *table, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at < 0 && at > -4096)
        throw("arch_mmu_init: no addresses for the table of stacks");
    table = (void *)at;
}

static _Atomic(uint32_t) *entry_of(uintptr_t va)
{
    if (va < KSTACK_BASE || va >= HOST_STACKS_END)
        return NULL;
    return &table[(va - KSTACK_BASE) >> PAGE_SHIFT];
}

static bool give_permissions(uintptr_t va)
{
    if (linux_sys(SYS_MPROTECT, va, PAGE_SIZE, PROT_READ | PROT_WRITE) == 0)
        return true;
    uintptr_t lo = MAX(ROUND_DOWN(va, WINDOW), KSTACK_BASE);
    uintptr_t hi = MIN(ROUND_DOWN(va, WINDOW) + WINDOW, HOST_STACKS_END);
    return linux_sys(SYS_MPROTECT, lo, hi - lo, PROT_READ | PROT_WRITE) == 0;
}

bool arch_map_page(uintptr_t va, uint64_t pa, unsigned flags, void *(*alloc)(void), bool *won)
{
    *won = false;
    _Atomic(uint32_t) *e = entry_of(va);
    if (!e || flags != MAP_WRITE)
        return false;
    uint32_t mine = (uint32_t)(pa >> PAGE_SHIFT), absent = 0;
    // Acquire: the page has its permissions. pairs: HOST-MAP
    if (!atomic_compare_exchange_strong_explicit(e, &absent, mine, memory_order_acquire,
                                                 memory_order_acquire)) {
        while (!(absent & ENTRY_READY)) {
            if (absent == 0)
                return false; // the winner had no luck
            arch_relax();
            absent = atomic_load_explicit(e, memory_order_acquire);
        }
        return true;
    }
    if (!give_permissions(va)) {
        atomic_store_explicit(e, 0, memory_order_release);
        return false;
    }
    linux_sys(SYS_MADVISE, phys_to_virt(pa), PAGE_SIZE, MADV_DONTNEED);
    *won = true;
    // pairs: HOST-MAP
    atomic_store_explicit(e, mine | ENTRY_READY, memory_order_release);
    return true;
}

void host_map_whole(uintptr_t lo, uintptr_t hi)
{
    _Atomic(uint32_t) *e = entry_of(lo);
    if (atomic_load_explicit(e, memory_order_relaxed) != 0)
        return;
    if (linux_sys(SYS_MPROTECT, lo, hi - lo, PROT_READ | PROT_WRITE) == 0)
        atomic_store_explicit(e, ENTRY_READY, memory_order_relaxed);
}

uint64_t arch_unmap_page(uintptr_t va)
{
    _Atomic(uint32_t) *e = entry_of(va);
    if (!e)
        return 0;
    // The next one to map it finds 0 only when the page is gone.
    uint32_t was = atomic_load_explicit(e, memory_order_acquire);
    if (!(was & ENTRY_READY))
        return 0;
    linux_sys(SYS_MADVISE, va, PAGE_SIZE, MADV_DONTNEED);
    linux_sys(SYS_MPROTECT, va, PAGE_SIZE, PROT_NONE);
    was = atomic_exchange_explicit(e, 0, memory_order_acq_rel);
    return (uint64_t)(was & ~ENTRY_READY) << PAGE_SHIFT;
}

// Asks Linux: a call that reads eight bytes from there, and fails one way or the other.
bool arch_is_mapped(uintptr_t va)
{
    enum { NO_SUCH_WAY = 99 };
    return linux_sys(SYS_RT_SIGPROCMASK, NO_SUCH_WAY, va, 0, 8) != -LINUX_EFAULT;
}
