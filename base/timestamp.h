/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timestamp.h - points in time as text. Pure.
 */
#ifndef WHARF_BASE_TIMESTAMP_H
#define WHARF_BASE_TIMESTAMP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TIMESTAMP_SIZE 31 /* "2026-01-02T03:04:05.123456789Z" and the NUL */

/* RFC 3339 in UTC with nine fractional digits. `realtime_ns` is nanoseconds since the Unix epoch. */
void timestamp_format(char ret[TIMESTAMP_SIZE], int64_t realtime_ns);

/* Strict RFC 3339 with an offset or Z and up to nine fractional digits. */
int timestamp_parse(const char *text, int64_t *ret_realtime_ns, struct err *err);

/* What users type for --since: RFC 3339, Unix seconds ("1700000000" or with a fraction), or a duration back
 * from `now_ns` ("90s", "10m", "1h30m", "2d"). */
int timestamp_parse_user(const char *text, int64_t now_ns, int64_t *ret_realtime_ns, struct err *err);

/* "3 minutes ago"-style age for listings: "5 seconds", "2 hours", "3 days". */
void duration_format(char *ret, size_t size, int64_t duration_ns);

#endif
