// SPDX-License-Identifier: BSD-2-Clause
// What the files of libc/ share. newlib and applications see only the names marked EXPORT.
#ifndef LIBC_LIBC_H
#define LIBC_LIBC_H

#define EXPORT __attribute__((visibility("default")))
// A name that an application may define for itself; newlib never calls it.
#define WEAK_EXPORT __attribute__((visibility("default"), weak))

#endif
