// SPDX-License-Identifier: BSD-2-Clause
// What the firmware's ACPI tables say about the machine: cores, interrupt controllers, PCI
// windows, timers, the way to power off. The tables are somebody else's data: whatever
// contradicts itself is left out with a line in the boot log, and what remains is plain numbers
// in fixed arrays.
#ifndef KERNEL_ACPI_H
#define KERNEL_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACPI_MAX_CORES 64
#define ACPI_MAX_IOAPICS 8
#define ACPI_MAX_OVERRIDES 24
#define ACPI_MAX_SEGMENTS 8
#define ACPI_MAX_VIRTIO_MMIO 32

// A core the firmware has enabled.
struct acpi_core {
    uint32_t apic_id; // above 254 only where x2APIC is on
    uint32_t uid;     // ACPI processor number
    bool x2apic;      // listed as a local x2APIC
};

struct acpi_ioapic {
    uint32_t id;
    uint32_t gsi_base; // number of its first input among all global system interrupts
    uint64_t addr;
};

// ISA interrupt `irq` arrives at global system interrupt `gsi`, not at the one of the same number.
struct acpi_override {
    uint8_t irq;
    bool level;      // edge otherwise
    bool active_low; // high otherwise
    uint32_t gsi;
};

// A window through which configuration space of buses bus_first..bus_last is memory. base belongs
// to bus 0, whether or not the window includes it.
struct acpi_segment {
    uint64_t base;
    uint16_t segment;
    uint8_t bus_first, bus_last;
};

// A register somewhere. space as in ACPI: 0 memory, 1 I/O ports. bits 0: no such register.
struct acpi_reg {
    uint64_t addr;
    uint8_t space;
    uint8_t bits;
};

enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1 };

struct acpi_virtio_mmio {
    uint64_t addr;
    uint32_t len;
    uint32_t gsi;
    bool level;
    bool active_low;
};

struct acpi_info {
    // MADT
    uint64_t lapic_addr;   // of every core's local APIC, unless it is in x2APIC mode
    bool legacy_pic;       // a pair of 8259s is there too and wants masking
    uint32_t n_cores;      // of cores[]; in table order, so the boot core is usually the first
    uint32_t cores_skipped; // enabled, but beyond ACPI_MAX_CORES
    uint32_t cores_offline; // listed, not enabled, could be plugged in
    uint32_t n_ioapics;
    uint32_t n_overrides;
    struct acpi_core cores[ACPI_MAX_CORES];
    struct acpi_ioapic ioapics[ACPI_MAX_IOAPICS];
    struct acpi_override overrides[ACPI_MAX_OVERRIDES];

    // MCFG
    uint32_t n_segments;
    struct acpi_segment segments[ACPI_MAX_SEGMENTS];

    // FADT
    bool have_fadt;
    bool hw_reduced;          // no PM1 registers: sleep by sleep_control
    struct acpi_reg pm_timer; // counts at 3,579,545 Hz
    bool pm_timer_32bit;      // 24 bits otherwise
    struct acpi_reg pm1a_control, pm1b_control;
    // If smi_command is not 0 and bit 0 of PM1a control is clear, PM1 obeys only after
    // acpi_enable has been written to that port.
    uint16_t smi_command;
    uint8_t acpi_enable;
    struct acpi_reg sleep_control; // hw_reduced
    struct acpi_reg reset;         // bits 0 unless the firmware says it works
    uint8_t reset_value;

    // DSDT and SSDTs. To power off: write (s5_a << 10 | 1 << 13) to PM1a control (and s5_b
    // likewise to PM1b, if it is there), or (s5_a << 2 | 1 << 5) to sleep_control when
    // hw_reduced.
    bool have_s5;
    uint8_t s5_a, s5_b;
    uint32_t n_virtio_mmio;
    struct acpi_virtio_mmio virtio_mmio[ACPI_MAX_VIRTIO_MMIO];

    uint64_t hpet_addr; // 0: none

    uint32_t tables;  // seen and believed
    uint32_t refused; // seen and not believed
};

// What acpi_parse found at boot; constant once other cores run.
extern struct acpi_info acpi;

// acpi.c

// Reads the tables reachable from the root pointer at rsdp_pa. Always fills *out (zero where
// nothing is known); false when there is no believable root. Needs no heap. Context: boot, one
// core.
bool acpi_parse(uint64_t rsdp_pa, struct acpi_info *out);

// Looks for a root pointer in [start, end), on its 16-byte boundaries; 0 if there is none. All of
// it has to be readable.
uint64_t acpi_find_rsdp(uint64_t start, uint64_t end);

// acpi_aml.c

// Looks through the byte code of one definition block for the few objects of interest. For acpi.c
// and tests.
void acpi_scan_aml(const uint8_t *aml, size_t len, struct acpi_info *out);

// arch/*/machine.c

// len readable bytes of physical memory at pa, which stay readable; NULL if nothing is there. Any
// alignment.
const void *acpi_map(uint64_t pa, size_t len);

#endif
