// SPDX-License-Identifier: BSD-2-Clause
// A process's arguments as the boot command line, its words joined with blanks; mem=SIZE among the
// kernel's options is how much memory the machine has.

#include <arch_layout.h>
#include <string.h>

#include "arch/host/host.h"
#include "arch/host/linux.h"
#include "kernel/bootinfo.h"
#include "kernel/page.h"

enum { LINE_BYTES = 8192 };
#define MEM_DEFAULT (512ull << 20)
#define MEM_LEAST (8ull << 20)

#if HOST_SAN
__attribute__((visibility("default"))) // called by arch/host/san/glue.c
#endif
_Noreturn void host_main(uintptr_t *stack);

static char line[LINE_BYTES] = "crlf=0";
static struct bootinfo host_bootinfo;

static _Noreturn void refuse(const char *why)
{
    linux_sys(SYS_WRITE, 2, why, strlen(why));
    for (;;)
        linux_sys(SYS_EXIT_GROUP, 125);
}

// A number with K, M or G behind it; 0 if it is none.
static uint64_t size_of(const char *s)
{
    uint64_t n = 0;
    for (; *s >= '0' && *s <= '9' && n < 1ull << 40; s++)
        n = n * 10 + (uint64_t)(*s - '0');
    unsigned shift = *s == 'K' ? 10 : *s == 'M' ? 20 : *s == 'G' ? 30 : 0;
    return n < 1ull << 40 ? n << shift : 0;
}

static uint64_t mem_option(void)
{
    uint64_t bytes = MEM_DEFAULT;
    for (const char *at = line; *at && strncmp(at, " -- ", 4) != 0; at++)
        if (strncmp(at, " mem=", 5) == 0)
            bytes = size_of(at + 5);
    return bytes;
}

void host_main(uintptr_t *stack)
{
    size_t used = strlen(line);
    char **argv = (char **)(stack + 1);
    for (uintptr_t i = 1; i < stack[0]; i++) {
        size_t len = strlen(argv[i]);
        if (used + len + 2 > sizeof line)
            refuse("heddle: the command line is too long\n");
        line[used++] = ' ';
        memcpy(line + used, argv[i], len + 1);
        used += len;
    }
    uint64_t bytes = mem_option() & ~(uint64_t)(PAGE_SIZE - 1);
    if (bytes < MEM_LEAST || bytes > HOST_RAM_MAX)
        refuse("heddle: mem= must be a size such as 512M, from 8M to 256G\n");
    if (!host_map_ram(bytes))
        refuse("heddle: there is no room for that much memory\n");
    host_bootinfo = (struct bootinfo){
        .loader = "linux",
        .cmdline = line,
        .ranges = { { HOST_RAM_PA, HOST_RAM_PA + bytes, MEM_USABLE } },
        .n_ranges = 1,
    };
    kernel_main(&host_bootinfo);
}
