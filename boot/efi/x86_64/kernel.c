// SPDX-License-Identifier: BSD-2-Clause
// Finds out where the kernel has to go, and gets it there. Its place is fixed, and firmware may
// still use it: what has to be is that it is nobody's once boot services have ended. So the bytes
// wait in a block of their own, and handover.S moves them when nothing of the firmware is needed
// any more.

#include <elf.h>

#include "boot/efi/x86_64/handover.h"
#include "boot/efi_map.h"
#include "boot/x86_64/boot.h"
#include "lib/util.h"

#define LIMIT 0xffffffffull // what 32-bit mode reaches
#define MAP_SLACK 16u       // descriptors that may be added between asking and leaving
#define TRIES 8

extern const char efi_kernel[], efi_kernel_end[]; // the ELF file

struct memory_map {
    void *p;
    UINTN room, len, key, step;
};

// Reads the firmware's map into m, whose buffer was allocated with room to spare.
static EFI_STATUS read_map(struct memory_map *m)
{
    UINT32 version;
    m->len = m->room;
    return uefi_call_wrapper(BS->GetMemoryMap, 5, &m->len, m->p, &m->key, &m->step, &version);
}

static EFI_STATUS allocate_map(struct memory_map *m)
{
    m->p = NULL;
    m->room = 0;
    EFI_STATUS status = read_map(m);
    if (status != EFI_BUFFER_TOO_SMALL)
        return EFI_ERROR(status) ? status : EFI_LOAD_ERROR;
    m->room = m->len + MAP_SLACK * m->step;
    m->p = AllocatePool(m->room);
    return m->p ? EFI_SUCCESS : EFI_OUT_OF_RESOURCES;
}

// The kernel's loadable parts; [*first, *end) is what they cover. False if it is none we know.
static BOOLEAN read_elf(struct efi_handover *h, uint64_t *first, uint64_t *end, UINTN *bytes)
{
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)efi_kernel;
    UINTN size = (UINTN)(efi_kernel_end - efi_kernel);
    if (size < sizeof *e || e->e_machine != EM_X86_64 || e->e_phentsize != sizeof(Elf64_Phdr) ||
        e->e_phoff > size || e->e_phnum > (size - e->e_phoff) / sizeof(Elf64_Phdr))
        return FALSE;
    const Elf64_Phdr *p = (const Elf64_Phdr *)(efi_kernel + e->e_phoff);
    *first = LIMIT;
    *end = *bytes = h->n_segments = 0;
    for (unsigned i = 0; i < e->e_phnum; i++, p++) {
        if (p->p_type != PT_LOAD)
            continue;
        if (h->n_segments == HANDOVER_SEGMENTS || p->p_offset > size ||
            p->p_filesz > size - p->p_offset || p->p_filesz > p->p_memsz ||
            p->p_paddr > LIMIT || p->p_memsz > LIMIT - p->p_paddr)
            return FALSE;
        h->segment[h->n_segments++] = (struct efi_segment){
            .from = (uint32_t)p->p_offset, .to = (uint32_t)p->p_paddr,
            .bytes = (uint32_t)p->p_filesz, .zeros = (uint32_t)(p->p_memsz - p->p_filesz),
        };
        *first = MIN(*first, p->p_paddr);
        *end = MAX(*end, p->p_paddr + p->p_memsz);
        *bytes += p->p_filesz;
    }
    h->entry = (uint32_t)e->e_entry;
    return *end > *first;
}

// Whether [first, end) will be free. *taken is the first address that will not be.
static BOOLEAN place_is_free(const struct bootinfo *bi, uint64_t first, uint64_t end,
                             uint64_t *taken)
{
    uint64_t at = first;
    for (BOOLEAN moved = TRUE; moved && at < end;) {
        moved = FALSE;
        for (size_t i = 0; i < bi->n_ranges; i++) {
            const struct mem_range *r = &bi->ranges[i];
            if (r->kind != MEM_USABLE || r->start > at || r->end <= at)
                continue;
            at = r->end;
            moved = TRUE;
        }
    }
    *taken = at;
    return at >= end;
}

EFI_STATUS efi_kernel_prepare(const char *line, uint64_t rsdp_pa, struct efi_handover **out)
{
    static struct efi_handover plan; // not on the firmware's stack
    struct memory_map map;
    uint64_t first, end, taken;
    UINTN bytes, code = (UINTN)(efi_handover_end - efi_handover_code);
    if (!read_elf(&plan, &first, &end, &bytes))
        return efi_give_up(EFI_LOAD_ERROR, L"the kernel in this file is damaged");
    EFI_STATUS status = allocate_map(&map);
    if (!EFI_ERROR(status))
        status = read_map(&map);
    if (EFI_ERROR(status))
        return efi_give_up(status, L"the firmware does not tell its memory map");
    efi_map_read(&plan.info, map.p, map.len, map.step);
    FreePool(map.p);
    if (!place_is_free(&plan.info, first, end, &taken))
        return efi_give_up(EFI_OUT_OF_RESOURCES,
                           L"the program needs memory 0x%lx to 0x%lx, "
                           L"of which the firmware keeps 0x%lx", first, end, taken);

    EFI_PHYSICAL_ADDRESS pa = LIMIT;
    UINTN pages = EFI_SIZE_TO_PAGES(sizeof plan + code + bytes);
    status = uefi_call_wrapper(BS->AllocatePages, 4, AllocateMaxAddress, EfiLoaderCode, pages,
                               &pa);
    if (EFI_ERROR(status) || (pa < end && pa + pages * EFI_PAGE_SIZE > first))
        return efi_give_up(status, L"there is no memory to start from");
    struct efi_handover *h = (struct efi_handover *)(uintptr_t)pa;
    *h = plan;
    h->info = (struct bootinfo){ .cmdline = h->line, .rsdp_pa = rsdp_pa };
    efi_screen(&h->info.framebuffer);
    h->magic = BOOT_EFI;
    h->bootinfo = (uint32_t)(uintptr_t)&h->info;
    CopyMem(h->line, (void *)line, BOOT_LINE_BYTES);
    char *at = (char *)(h + 1);
    CopyMem(at, efi_handover_code, code);
    at += code;
    for (uint32_t i = 0; i < h->n_segments; i++) {
        struct efi_segment *s = &h->segment[i];
        CopyMem(at, (void *)(efi_kernel + s->from), s->bytes);
        s->from = (uint32_t)(uintptr_t)at;
        at += s->bytes;
    }
    *out = h;
    return EFI_SUCCESS;
}

EFI_STATUS efi_kernel_start(EFI_HANDLE self, struct efi_handover *h)
{
    struct memory_map map;
    EFI_STATUS status = allocate_map(&map);
    // The map's key is stale if an event of the firmware came in between: then once more.
    for (int i = 0; !EFI_ERROR(status) && i < TRIES; i++) {
        status = read_map(&map);
        if (EFI_ERROR(status))
            break;
        if (uefi_call_wrapper(BS->ExitBootServices, 2, self, map.key) == EFI_SUCCESS) {
            efi_map_read(&h->info, map.p, map.len, map.step);
            ((void (*)(struct efi_handover *))(h + 1))(h);
            __builtin_unreachable();
        }
    }
    return EFI_ERROR(status) ? status : EFI_ABORTED;
}
