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
