/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render.h - the bytes of answers, and the parameters of questions. Pure.
 */
#ifndef WHARF_PROJECTOR_QUERY_RENDER_H
#define WHARF_PROJECTOR_QUERY_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"

/* Appends a JSON string, quoted and escaped (RFC 8259, section 7). */
void render_string(struct buf *ret, const char *text, size_t size);

/* The members of a container in an answer: those of its hash, in this order; ends with NULL. */
extern const char *const render_container_fields[];
#define RENDER_CONTAINER_FIELDS 17

/* One value of a hash as Redis returns it; data NULL when it is missing. */
struct render_value {
    const char *data;
    size_t size;
};

/* Appends the JSON object of a container from the values of render_container_fields. */
void render_container(struct buf *ret, const struct render_value values[RENDER_CONTAINER_FIELDS]);

/* Appends a stored envelope as one line with "_partition" and "_offset" added. `bytes` is a JSON object. */
void render_event_line(struct buf *ret, const char *bytes, size_t size, uint32_t partition, int64_t offset);

/* Where a listing goes on: after this container, in the order newest first. */
struct cursor {
    int64_t created_us;
    char id[CONTAINER_ID_SIZE];
};
#define CURSOR_TEXT_SIZE 96
void cursor_format(char ret[CURSOR_TEXT_SIZE], const struct cursor *cursor);
int cursor_parse(struct cursor *ret, const char *text);

/* "PARTITION:OFFSET". */
int position_parse(const char *text, uint32_t *ret_partition, int64_t *ret_offset);

/* A whole decimal number within limits. */
int number_parse(const char *text, int64_t min, int64_t max, int64_t *ret);

#endif
