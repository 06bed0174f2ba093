// SPDX-License-Identifier: BSD-2-Clause
// Two facts that stand only in byte code: the values for sleep state S5, and the virtio-mmio
// devices of machines that have no bus to ask. There is no interpreter: both are constants in
// everything that compiles to AML, so their encodings are looked for, and each is decoded within
// the bounds of the package it claims to be. A match by chance in other data fails some check and
// is passed over.

#include <string.h>

#include "kernel/acpi.h"
#include "kernel/print.h"
#include "lib/le.h"
#include "lib/util.h"

enum aml_op {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_NAME = 0x08,
    AML_BYTE = 0x0a,
    AML_WORD = 0x0b,
    AML_DWORD = 0x0c,
    AML_STRING = 0x0d,
    AML_BUFFER = 0x11,
    AML_PACKAGE = 0x12,
    AML_EXT = 0x5b,
    AML_EXT_DEVICE = 0x82,
};

// How far a _HID stands behind the Device it belongs to: opcode, length and a path of some
// segments.
#define HID_REACH 64u

struct span {
    const uint8_t *p, *end;
};

static size_t left(const struct span *s)
{
    return (size_t)(s->end - s->p);
}

// Reads a package length and narrows *s to the package's contents. False if it leaves *s.
static bool enter_package(struct span *s)
{
    if (left(s) < 1)
        return false;
    size_t more = s->p[0] >> 6;
    if (left(s) < 1 + more)
        return false;
    size_t len = more ? s->p[0] & 0x0f : s->p[0] & 0x3f;
    for (size_t i = 0; i < more; i++)
        len |= (size_t)s->p[1 + i] << (4 + 8 * i);
    if (len < 1 + more || len > left(s)) // the length counts its own bytes
        return false;
    s->end = s->p + len;
    s->p += 1 + more;
    return true;
}

// Reads an integer constant.
static bool take_number(struct span *s, uint32_t *v)
{
    if (left(s) < 1)
        return false;
    size_t n = 0;
    switch (s->p[0]) {
    case AML_ZERO:
    case AML_ONE:
        *v = s->p[0];
        s->p++;
        return true;
    case AML_BYTE: n = 1; break;
    case AML_WORD: n = 2; break;
    case AML_DWORD: n = 4; break;
    default: return false;
    }
    if (left(s) < 1 + n)
        return false;
    *v = 0;
    for (size_t i = 0; i < n; i++)
        *v |= (uint32_t)s->p[1 + i] << 8 * i;
    s->p += 1 + n;
    return true;
}

// Name(_S5_, Package { a, b, ... }) with p at "_S5_".
static bool decode_s5(const uint8_t *start, const uint8_t *p, const uint8_t *end,
                      struct acpi_info *out)
{
    bool named = (p - start >= 1 && p[-1] == AML_NAME) ||
                 (p - start >= 2 && p[-1] == '\\' && p[-2] == AML_NAME);
    struct span s = { p + 4, end };
    if (!named || left(&s) < 1 || s.p[0] != AML_PACKAGE)
        return false;
    s.p++;
    if (!enter_package(&s) || left(&s) < 1 || s.p[0] < 1)
        return false;
    unsigned elements = s.p[0];
    s.p++;
    uint32_t a, b = 0;
    if (!take_number(&s, &a) || (elements > 1 && !take_number(&s, &b)) || a > 7 || b > 7)
        return false;
    out->have_s5 = true;
    out->s5_a = (uint8_t)a;
    out->s5_b = (uint8_t)b;
    return true;
}

// The resources in [p, end): the first fixed memory range and the first interrupt.
static bool decode_resources(struct span s, struct acpi_virtio_mmio *d)
{
    bool have_mem = false, have_irq = false;
    while (left(&s) >= 1) {
        size_t n, head;
        if (s.p[0] & 0x80) { // large item: two bytes of length
            if (left(&s) < 3)
                return false;
            head = 3;
            n = le16_get(s.p + 1);
        } else {
            head = 1;
            n = s.p[0] & 7;
        }
        if (n > left(&s) - head)
            return false;
        const uint8_t *b = s.p + head;
        if (s.p[0] == 0x86 && n >= 9 && !have_mem) {
            d->addr = le32_get(b + 1);
            d->len = le32_get(b + 5);
            have_mem = true;
        } else if (s.p[0] == 0x89 && n >= 6 && b[1] >= 1 && !have_irq) {
            d->level = !(b[0] & 2);
            d->active_low = b[0] & 4;
            d->gsi = le32_get(b + 2);
            have_irq = true;
        } else if (s.p[0] >> 3 == 0x0f) { // end tag
            break;
        }
        s.p += head + n;
    }
    return have_mem && have_irq && d->addr && d->len >= 0x100;
}

// Finds Name(_CRS, Buffer { ... }) in the body of a device and decodes it.
static bool decode_device(struct span body, struct acpi_virtio_mmio *d)
{
    static const uint8_t crs[] = { AML_NAME, '_', 'C', 'R', 'S', AML_BUFFER };
    for (const uint8_t *p = body.p; (size_t)(body.end - p) > sizeof crs; p++) {
        if (memcmp(p, crs, sizeof crs) != 0)
            continue;
        struct span s = { p + sizeof crs, body.end };
        uint32_t size;
        if (enter_package(&s) && take_number(&s, &size))
            return decode_resources(s, d);
    }
    return false;
}

// The body of the nearest Device before hid that reaches beyond it.
static bool enclosing_device(const uint8_t *start, const uint8_t *hid, const uint8_t *end,
                             struct span *body)
{
    const uint8_t *lowest = hid - MIN((size_t)(hid - start), HID_REACH);
    for (const uint8_t *p = hid; p - lowest >= 2; p--) {
        if (p[-2] != AML_EXT || p[-1] != AML_EXT_DEVICE)
            continue;
        struct span s = { p, end };
        if (enter_package(&s) && s.p < hid && s.end > hid) {
            body->p = hid;
            body->end = s.end;
            return true;
        }
    }
    return false;
}

static void add_virtio(const uint8_t *start, const uint8_t *hid, const uint8_t *end,
                       struct acpi_info *out)
{
    struct span body;
    struct acpi_virtio_mmio d = { 0 };
    if (!enclosing_device(start, hid, end, &body) || !decode_device(body, &d)) {
        klog("acpi: a virtio-mmio device without usable resources ignored");
        return;
    }
    for (uint32_t i = 0; i < out->n_virtio_mmio; i++)
        if (out->virtio_mmio[i].addr == d.addr)
            return;
    if (out->n_virtio_mmio == ACPI_MAX_VIRTIO_MMIO) {
        klog("acpi: virtio-mmio device at 0x%llx ignored: more than %u",
             (unsigned long long)d.addr, ACPI_MAX_VIRTIO_MMIO);
        return;
    }
    out->virtio_mmio[out->n_virtio_mmio++] = d;
}

void acpi_scan_aml(const uint8_t *aml, size_t len, struct acpi_info *out)
{
    // AML_NAME, AML_STRING; the terminating NUL is part of the match.
    static const uint8_t hid[] = "\x08_HID\x0dLNRO0005";
    const uint8_t *end = aml + len;
    for (const uint8_t *p = aml; (size_t)(end - p) >= 4; p++) {
        if (p[0] == '_' && !out->have_s5 && memcmp(p, "_S5_", 4) == 0)
            decode_s5(aml, p, end, out);
        else if (p[0] == AML_NAME && (size_t)(end - p) >= sizeof hid &&
                 memcmp(p, hid, sizeof hid) == 0)
            add_virtio(aml, p, end, out);
    }
}
