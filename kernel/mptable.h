// SPDX-License-Identifier: BSD-2-Clause
// The MultiProcessor Specification's tables, the way PCs without ACPI describe themselves.
#ifndef KERNEL_MPTABLE_H
#define KERNEL_MPTABLE_H

#include <stdbool.h>

#include "kernel/acpi.h"

// mptable.c

// Looks for the tables where a PC has them and fills what the MADT would have told: cores,
// interrupt controllers, overrides. The rest of *out stays as it is. False if there are none
// worth believing. Context: boot, one core.
bool mptable_parse(struct acpi_info *out);

#endif
