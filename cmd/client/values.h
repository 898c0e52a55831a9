/* SPDX-License-Identifier: Apache-2.0 */
/*
 * values.h - option values as users write them: sizes, cpus, restart policies, words, environment files.
 *
 * Errors quote the value and say what would do. Only value_read_env_file touches a file, and value_time the
 * zone of this host.
 */
#ifndef WHARF_CMD_CLIENT_VALUES_H
#define WHARF_CMD_CLIENT_VALUES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* "512m", "1.5g", "4096", "64MiB": bytes; b, k, m, g, t are powers of 1024 as docker has them. */
int value_memory(const char *text, int64_t *ret_bytes, struct err *err);

/* "1.5": thousandths of a cpu. */
int value_cpus(const char *text, int64_t *ret_millis, struct err *err);

/* A decimal integer in [min, max]; `what` names it in the error. */
int value_int(const char *text, const char *what, int64_t min, int64_t max, int64_t *ret, struct err *err);

/* As Go writes durations, "1m30s", "500ms" or "1.5h", of up to a day; `what` names it in the error. */
int value_duration(const char *text, const char *what, int64_t *ret_ms, struct err *err);

/* What timestamp_parse_user takes, and as docker has it the client's local time without a zone: "2026-01-02",
 * "2026-01-02T03:04" and "2026-01-02T03:04:05.678901". */
int value_time(const char *text, int64_t now_ns, int64_t *ret_ns, struct err *err);

/* "true" or "false"; NULL gives `otherwise`. */
int value_switch(const char *text, const char *what, bool otherwise, bool *ret, struct err *err);

/* "on-failure:3": *ret_policy is a constant, *ret_max is 0 without a limit. */
int value_restart(const char *text, const char **ret_policy, int64_t *ret_max, struct err *err);

/* Words split at blanks, or a JSON array of strings. A new reference in *ret. */
int value_words(const char *text, const char *what, json_t **ret, struct err *err);

/* Adds "KEY=VALUE" to the list; "KEY" alone takes the client's own value and is left out when it has none. A
 * later value of a key replaces the earlier one. */
int value_add_env(json_t *list, const char *text, struct err *err);

/* A file of KEY=VALUE or KEY lines; blank lines and those that start with # are skipped. */
int value_read_env_file(json_t *list, const char *path, struct err *err);

/* "KEY=VALUE" or "KEY" into the object of labels. */
int value_add_label(json_t *labels, const char *text, struct err *err);

/* A size for people in powers of 1000, as docker writes it: "4.31MB". */
void value_format_size(char ret[32], int64_t bytes);

#endif
