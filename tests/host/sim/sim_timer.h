// SPDX-License-Identifier: BSD-2-Clause
// Between sim_core.c and sim_timer.c.
#ifndef TESTS_SIM_TIMER_H
#define TESTS_SIM_TIMER_H

#include <stdbool.h>
#include <stdint.h>

// sim_timer.c
int64_t sim_timer_next(void);
bool sim_timers_due(int64_t now_ns);
unsigned sim_timers_running(void);
void sim_timer_fire(int64_t now_ns); // the earliest one
// sim_core.c
void sim_spin_turn(const char *what);

#endif
