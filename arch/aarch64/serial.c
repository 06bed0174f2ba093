// SPDX-License-Identifier: BSD-2-Clause
// The serial port (Arm's PL011, as the device tree names it) as console: polled, with the speed
// that whoever started the machine has set.

#include "arch/arch.h"
#include "arch/aarch64/cpu.h"
#include "kernel/devtree.h"
#include "kernel/vm.h"

enum {
    REG_DATA = 0x00, REG_FLAGS = 0x18, REG_CONTROL = 0x30, REG_LINE = 0x2c, REG_IRQ_MASK = 0x38,
    FLAG_RX_EMPTY = 1 << 4, FLAG_TX_FULL = 1 << 5,
    CONTROL_ON = 1 << 0 | 1 << 8 | 1 << 9, // port, transmitter, receiver
    LINE_8N1_FIFO = 3 << 5 | 1 << 4,
};

static volatile uint8_t *uart; // NULL: there is none

void console_at(uintptr_t registers)
{
    uart = (volatile uint8_t *)registers;
}

void console_map(void)
{
    uart = dt.uart.len ? vm_map_mmio(dt.uart.base, 0x1000) : NULL;
}

void arch_console_init(void)
{
    if (!uart)
        return;
    arch_mmio_write32(uart + REG_IRQ_MASK, 0);
    arch_mmio_write32(uart + REG_LINE, LINE_8N1_FIFO);
    arch_mmio_write32(uart + REG_CONTROL, CONTROL_ON);
}

static bool wait_room(void)
{
    for (int i = 0; i < 1000000; i++) {
        if (!(arch_mmio_read32(uart + REG_FLAGS) & FLAG_TX_FULL))
            return true;
        arch_relax();
    }
    uart = NULL;
    return false;
}

void arch_console_write(const char *s, size_t n)
{
    for (size_t i = 0; uart && i < n; i++) {
        if (!wait_room())
            return;
        arch_mmio_write32(uart + REG_DATA, (uint8_t)s[i]);
    }
}

int arch_console_getc(void)
{
    if (!uart || (arch_mmio_read32(uart + REG_FLAGS) & FLAG_RX_EMPTY))
        return -1;
    return (int)(arch_mmio_read32(uart + REG_DATA) & 0xff);
}
