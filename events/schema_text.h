/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_text.h - structs to JSON text and back without a document in between, several times faster than by
 * way of schema.h. For text that wharf itself wrote and whose integrity is known (snapshots): the reader
 * takes the writer's form only, members in the order of the table and no blanks. What comes from outside is
 * schema_decode's.
 *
 * Pure; any thread.
 */
#ifndef WHARF_EVENTS_SCHEMA_TEXT_H
#define WHARF_EVENTS_SCHEMA_TEXT_H

#include "base/buf.h"
#include "events/schema.h"

/* Adds the object, byte for byte what jansson writes compactly for schema_encode(). Strings must be UTF-8. */
void schema_write(const struct schema *schema, const void *data, struct buf *ret);

/* Adds a string as JSON, with its quotes. */
void schema_write_string(const char *text, struct buf *ret);

/* Reads one object from *at on, which is moved behind it, with the checks of the table. `ret` is initialised
 * first. On failure nothing is left allocated; ERR_INVALID says which member, ERR_NOMEM. */
int schema_read(const struct schema *schema, const char **at, const char *end, void *ret, struct err *err);

/* The pieces, for hand-written forms: 1 if it was there and *at was moved behind it, else 0. */
bool text_take_char(const char **at, const char *end, char expected);
bool text_take_number(const char **at, const char *end, int64_t *ret);

#endif
