// SPDX-License-Identifier: BSD-2-Clause
// test: srcs=net/checksum.c,net/pbuf.c,net/random.c,tests/host/sim/sim_*.c timeout=60
// test: cflags="-fsanitize=address,undefined -fno-sanitize-recover=all"
//
// The Internet checksum against its definition, on every small length and offset and on chains cut
// at random places; packet buffers cut and joined; SipHash against its published vectors.
#include <string.h>

#include "net/checksum.h"
#include "net/ip.h"
#include "tests/host/sim/sim.h"

// RFC 1071 word by word.
static uint16_t by_definition(const uint8_t *b, uint32_t n)
{
    uint32_t s = 0;
    for (uint32_t i = 0; i < n; i += 2)
        s += (uint32_t)b[i] << 8 | (i + 1 < n ? b[i + 1] : 0);
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)s;
}

// 0 and 0xffff are the same number in this arithmetic.
static bool same(uint16_t folded, uint16_t expected)
{
    return be16(folded) % 0xffff == expected % 0xffff;
}

static void flat(void)
{
    static uint8_t data[5000], copy[5000];
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)sim_rand();
    for (uint32_t off = 0; off < 17; off++) {
        for (uint32_t n = 0; n < 300; n++) {
            CHECK(same(csum_fold(csum_add(0, data + off, n)), by_definition(data + off, n)));
            memset(copy, 0, sizeof(copy));
            uint32_t s = csum_copy(0, copy + off % 3, data + off, n);
            CHECK(same(csum_fold(s), by_definition(data + off, n)));
            CHECK(memcmp(copy + off % 3, data + off, n) == 0 && copy[off % 3 + n] == 0);
        }
    }
    for (int i = 0; i < 2000; i++) {
        uint32_t off = sim_below(8), n = sim_below(4900), cut = n ? sim_below(n) : 0;
        uint32_t a = csum_add(0, data + off, cut), b = csum_add(0, data + off + cut, n - cut);
        CHECK(same(csum_fold(csum_combine(a, b, cut)), by_definition(data + off, n)));
    }
    memset(data, 0xff, sizeof(data));
    for (uint32_t n = 0; n < 4900; n += 7)
        CHECK(same(csum_fold(csum_add(0xffffffff, data, n)), by_definition(data, n)));
}

static struct pbuf *random_chain(uint8_t *all, uint32_t *n)
{
    struct pbuf *head = NULL;
    *n = 0;
    for (uint32_t k = 1 + sim_below(5); k; k--) {
        struct pbuf *p = pbuf_alloc();
        uint32_t len = head ? 1 + sim_below(700) : sim_below(700);
        for (uint32_t i = 0; i < len; i++)
            p->data[i] = all[*n + i] = (uint8_t)sim_rand();
        p->len = p->total = len;
        *n += len;
        if (head)
            pbuf_append(head, p);
        else
            head = p;
    }
    CHECK_EQ(head->total, *n);
    return head;
}

static void chains(void)
{
    static uint8_t all[4096], out[4096];
    for (int i = 0; i < 3000; i++) {
        uint32_t n;
        struct pbuf *p = random_chain(all, &n);
        uint32_t off = sim_below(n + 1), len = sim_below(n - off + 1);
        CHECK(same(csum_fold(csum_pbuf(0, p, off, len)), by_definition(all + off, len)));
        CHECK(pbuf_copy_out(p, off, out, len) && memcmp(out, all + off, len) == 0);
        CHECK(!pbuf_copy_out(p, off, out, n - off + 1));
        uint32_t pull = sim_below(n + 100);
        bool pulled = pbuf_pull(p, pull);
        CHECK(pulled ? p->len >= pull : pull > n || pull > 1500);
        CHECK(pbuf_copy_out(p, 0, out, n) && memcmp(out, all, n) == 0);
        uint32_t keep = sim_below(n + 1);
        pbuf_trim(p, keep);
        CHECK(p->total == keep && pbuf_copy_out(p, 0, out, keep) && memcmp(out, all, keep) == 0);
        CHECK(!pbuf_copy_out(p, 0, out, keep + 1));
        pbuf_ref(p);
        pbuf_free(p);
        CHECK_EQ(p->total, keep);
        pbuf_free(p);
    }
}

static void siphash_vectors(void)
{
    const uint64_t key[2] = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
    // Of the bytes 0, 1, 2 ... n - 1.
    const struct {
        uint32_t n;
        uint64_t hash;
    } v[] = {
        {0, 0x726fdb47dd0e0e31ull},
        {1, 0x74f839c593dc67fdull},
        {7, 0xab0200f58b01d137ull},
        {8, 0x93f5f5799a932462ull},
        {15, 0xa129ca6149be45e5ull},
    };
    uint8_t data[16];
    for (uint8_t i = 0; i < 16; i++)
        data[i] = i;
    for (unsigned i = 0; i < sizeof(v) / sizeof(v[0]); i++)
        CHECK(siphash(key, data, v[i].n) == v[i].hash);
}

static void all_of_it(void *arg)
{
    (void)arg;
    flat();
    chains();
    siphash_vectors();
    CHECK_EQ(sim_heap_objects(), 0);
    printf("checksums, buffer chains and siphash agree with their definitions\n");
}

int main(void)
{
    struct sim_options o = {.seed = 1};
    sim_run(&o, all_of_it, NULL);
    return 0;
}
