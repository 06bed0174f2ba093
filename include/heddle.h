// SPDX-License-Identifier: BSD-2-Clause
// All of Heddle's public interface.
#ifndef HEDDLE_H
#define HEDDLE_H

#include <heddle/blk.h>
#include <heddle/chan.h>
#include <heddle/go.h>
#include <heddle/mem.h>
#include <heddle/net.h>
#include <heddle/stats.h>
#include <heddle/sync.h>
#include <heddle/time.h>
#include <heddle/trace.h>

#endif
