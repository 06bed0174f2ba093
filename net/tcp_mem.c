// SPDX-License-Identifier: BSD-2-Clause
// How much memory all connections together may fill: a quarter of the machine's, or tcp_memory=MB.
//
// What is counted are buffers, whole ones, however few bytes are in them. Each connection's count
// is compared with what it was when its lock is released, and the difference goes to a counter of
// that core, so that no core writes what another does. The sum is looked at once each receive
// batch. From half the limit on windows and send buffers are small; beyond the limit segments out
// of order, and those for connections nobody reads from, are dropped, and a send queue takes a
// few segments only. Every connection can always have something under way, so all of them move
// on.
#include "kernel/cmdline.h"
#include "kernel/page.h"
#include "net/tcp.h"

_Atomic(uint32_t) tcp_pressure;
static int64_t limit; // buffers
static _Atomic(uint64_t) cores; // a bit for each core that has ever counted

void tcp_mem_init(void)
{
    int64_t mb = (int64_t)(page_total() * PAGE_SIZE >> 20);
    mb = cmdline_number("tcp_memory", MAX(mb / 4, 1), 1, 1 << 20);
    limit = (mb << 20) / PBUF_SIZE;
}

void tcp_mem_count(int change)
{
    struct tcp_core *core = tcp_this_core();
    if (unlikely(!core->counts)) {
        core->counts = true;
        atomic_fetch_or_explicit(&cores, UINT64_C(1) << (core - tcp_cores), memory_order_relaxed);
    }
    int64_t n = atomic_load_explicit(&core->held, memory_order_relaxed) + change;
    atomic_store_explicit(&core->held, n, memory_order_relaxed);
}

int64_t tcp_mem_held(void)
{
    int64_t n = 0;
    for (uint64_t m = atomic_load_explicit(&cores, memory_order_relaxed); m; m &= m - 1)
        n += atomic_load_explicit(&tcp_cores[__builtin_ctzll(m)].held, memory_order_relaxed);
    return n;
}

void tcp_mem_look(void)
{
    int64_t n = tcp_mem_held();
    uint32_t now = n > limit ? TCP_MEM_FULL : n > limit / 2 ? TCP_MEM_SHORT : TCP_MEM_FREE;
    if (now != atomic_load_explicit(&tcp_pressure, memory_order_relaxed))
        atomic_store_explicit(&tcp_pressure, now, memory_order_relaxed);
}
