// SPDX-License-Identifier: BSD-2-Clause
// What libc/ offers the kernel, and what its files share. newlib sees only the names marked EXPORT.
#ifndef LIBC_LIBC_H
#define LIBC_LIBC_H

#define EXPORT __attribute__((visibility("default")))
// A name that an application may define for itself; newlib never calls it.
#define WEAK_EXPORT __attribute__((visibility("default"), weak))

// start.c

// The main goroutine's function: constructors, main(argc, argv) from the boot command line, exit with its
// result. Context: the main goroutine, once.
void libc_start(void *unused);

#endif
