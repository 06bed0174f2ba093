// SPDX-License-Identifier: BSD-2-Clause
// test: smp=1,2 kopts="ip=none" expect="^the books are right$"
//
// heap_stats and heap_class_stats follow what is allocated, freed and given back, but for a few
// objects that drivers may take or leave meanwhile.

#include <heddle.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernel/heap.h"

enum { FEW = 50, OBJECTS = 1000, SIZE = 100, CLASSES = 100, BIG = 3 << 20 };

static struct heap_class_stats of_size(size_t n)
{
    static struct heap_class_stats all[CLASSES];
    size_t classes = heap_class_stats(all, CLASSES), i = 0;
    check(classes > 10 && classes <= CLASSES && heap_class_stats(NULL, 0) == classes);
    while (i < classes && all[i].size < n)
        i++;
    check(i < classes && (i == 0 || all[i].size > all[i - 1].size));
    return all[i];
}

int main(void)
{
    static void *object[OBJECTS];
    struct heap_stats before, s;
    heap_trim();
    heap_stats(&before);
    size_t room = malloc_usable_size(object[0] = malloc(SIZE));
    free(object[0]);
    // The debug build's guards take part of an object's room.
    size_t size = DEBUG ? SIZE + 32 : room;
    struct heap_class_stats c, was = of_size(size);
    for (int i = 0; i < OBJECTS; i++)
        check(object[i] = malloc(SIZE));
    c = of_size(size);
    check(c.live + FEW >= was.live + OBJECTS && c.held_bytes >= (c.live + c.cached) * c.size);
    heap_stats(&s);
    check(s.live_bytes >= before.live_bytes + OBJECTS * SIZE);
    check(s.live_bytes <= s.held_bytes && s.held_bytes + s.free_bytes <= s.memory_bytes);
    check(s.allocs >= before.allocs + OBJECTS + 1 && s.large_objects <= before.large_objects + 1);
    for (int i = 0; i < OBJECTS; i++)
        free(object[i]);
    heap_trim();
    c = of_size(size);
    check(c.live <= was.live + FEW && c.held_bytes <= was.held_bytes + FEW * size);
    heap_stats(&s);
    check(s.live_bytes < before.live_bytes + OBJECTS * SIZE / 2);
    check(s.allocs - s.frees <= before.allocs - before.frees + FEW);
    check(s.returned_bytes >= before.returned_bytes + OBJECTS * SIZE);

    object[0] = malloc(BIG);
    heap_stats(&before);
    check(before.large_bytes >= s.large_bytes + BIG && before.large_objects > 0);
    free(object[0]);
    heap_stats(&s);
    check(s.free_bytes >= before.free_bytes + BIG / 2);
    check(s.returned_bytes >= before.returned_bytes + BIG);
    puts("the books are right");
    return 0;
}
