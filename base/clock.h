/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - the only place that reads a clock or the kernel's random numbers. Cores get both as arguments.
 * Any thread.
 */
#ifndef WHARF_BASE_CLOCK_H
#define WHARF_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

int64_t clock_realtime_ns(void);  /* CLOCK_REALTIME */
int64_t clock_monotonic_ns(void); /* CLOCK_MONOTONIC */
int64_t clock_boottime_ns(void);  /* CLOCK_BOOTTIME: what /proc/PID/stat start times count in */

/* getrandom(2), complete. */
int random_bytes(void *ret, size_t size, struct err *err);

/* A fresh UUIDv7 of this moment. */
int uuid_v7_now(char ret[UUID_TEXT_SIZE], struct err *err);

#endif
