// SPDX-License-Identifier: BSD-2-Clause
// Stopping the world: for whoever has to see or change what Ps own, all of it at one moment.
#ifndef SCHED_WORLD_H
#define SCHED_WORLD_H

#include "sched/g.h"

// world.c

// Stops every goroutine but the caller. On return the caller owns all Ps, may not be preempted and
// must not block; no core runs goroutines, timers or pollers. What goes on: interrupt handlers,
// goroutines in blocking calls (go_block_enter), which have no P and wait for one when they come
// back, and sleeping cores that look round and find no P. Blocks while somebody else has stopped
// the world; then waits, busily, for the other cores to come to the end of what may not be
// preempted. Context: a goroutine, preemptible, holding no lock.
void world_stop(void);

// Lets everything run on. Context: who stopped it.
void world_start(void);

// True between the two, for assertions of whoever relies on it.
bool world_is_stopped(void);

// For the mutex itself: whether m is the one that world_stop takes.
bool world_mutex_is(const struct mutex *m);

#endif
