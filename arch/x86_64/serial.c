// SPDX-License-Identifier: BSD-2-Clause
// The first serial port (16550) as console: 115200 baud, polled. A port that does not answer its
// loop-back test is left alone for good.

#include "arch/arch.h"
#include "arch/x86_64/asm.h"

enum {
    COM1 = 0x3f8,
    DATA = 0, IER = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5,
    LSR_DATA_READY = 1, LSR_THR_EMPTY = 0x20,
    FIFO_BYTES = 16,
};

static bool present;

void arch_console_init(void)
{
    outb(COM1 + IER, 0);
    outb(COM1 + LCR, 0x80);
    outb(COM1 + DATA, 1); // divisor for 115200
    outb(COM1 + IER, 0);
    outb(COM1 + LCR, 3);  // 8 bits, no parity, one stop bit
    outb(COM1 + FCR, 7);
    outb(COM1 + MCR, 0x1e);
    outb(COM1 + DATA, 0xae);
    present = inb(COM1 + DATA) == 0xae;
    outb(COM1 + MCR, 0x0f);
}

static bool wait_room(void)
{
    for (int i = 0; i < 1000000; i++) {
        if (inb(COM1 + LSR) & LSR_THR_EMPTY)
            return true;
        arch_relax();
    }
    present = false;
    return false;
}

void arch_console_write(const char *s, size_t n)
{
    size_t room = 0;
    for (size_t i = 0; present && i < n; i++) {
        if (room == 0) {
            if (!wait_room())
                return;
            room = FIFO_BYTES;
        }
        outb(COM1 + DATA, (uint8_t)s[i]);
        room--;
    }
}

int arch_console_getc(void)
{
    if (!present || !(inb(COM1 + LSR) & LSR_DATA_READY))
        return -1;
    return inb(COM1 + DATA);
}
