/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reading.h - questions to the query service that several verbs ask, and its streams of lines.
 */
#ifndef WHARF_CMD_CLIENT_READING_H
#define WHARF_CMD_CLIENT_READING_H

#include <jansson.h>

#include "base/err.h"
#include "cmd/client/api.h"

/* One container as it is now, by id, prefix, name or node/name. `ret_offset` (API_OFFSET_SIZE bytes) may be
 * NULL. */
int reading_container(const struct client *client, const char *ref, json_t **ret, char *ret_offset,
                      struct err *err);

/* Its stored envelopes, also of a container that was removed: {"container": ID, "events": [...]}. */
int reading_history(const struct client *client, const char *ref, json_t **ret, struct err *err);

/* The same from the log itself, for a container that the read model has forgotten. 1 if there never was one.
 */
int reading_past_history(const struct client *client, const char *ref, json_t **ret, struct err *err);

/* The id a reference stands for, also of a container that was removed. A whole id is taken as it is. */
int reading_resolve(const struct client *client, const char *ref, char ret[CONTAINER_ID_SIZE],
                    struct err *err);

/* GETs a stream of lines and hands each, without its line end, to on_line: 0 goes on, 1 ends the stream, -1
 * fails. */
typedef int (*reading_line_cb)(const char *line, size_t size, void *data, struct err *err);
int reading_lines(const struct client *client, const char *target, reading_line_cb on_line, void *data,
                  struct err *err);

/* One stored envelope as a line for people: time, type, subject, what happened, who. */
void reading_print_event(const json_t *envelope, bool with_subject);

#endif
