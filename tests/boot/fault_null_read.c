// SPDX-License-Identifier: BSD-2-Clause
// test: san=none,thread,address smp=1,2 machines=q35,microvm exit=2
// test: expect="^fatal error: page fault: cannot read address 0x8 \\(null pointer\\)"
//
// Page 0 is not mapped: reading a member of a structure at NULL ends the machine and says where.

#include <heddle.h>

struct node { long value; struct node *next; };

static struct node *volatile list;

int main(void)
{
    return (int)(long)list->next;
}
