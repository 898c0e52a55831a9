/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row.h - the members of a container in the read model: the fields of its hash, and the JSON object made of
 * them, which the projector keeps in `json` so that an answer is put together without reading it. Pure.
 */
#ifndef WHARF_PROJECTOR_ROW_H
#define WHARF_PROJECTOR_ROW_H

#include <stddef.h>

#include "base/buf.h"

/* In the order of the hash in DESIGN.md, section 7. */
#define ROW_MEMBERS(ROW)                                                                                     \
    ROW(ID, id, TEXT)                                                                                        \
    ROW(NAME, name, TEXT)                                                                                    \
    ROW(NODE, node, TEXT)                                                                                    \
    ROW(IMAGE, image, TEXT)                                                                                  \
    ROW(STATE, state, TEXT)                                                                                  \
    ROW(PID, pid, NUMBER)                                                                                    \
    ROW(EXIT_CODE, exit_code, NUMBER)                                                                        \
    ROW(REASON, reason, TEXT)                                                                                \
    ROW(CREATED_AT, created_at, TIME)                                                                        \
    ROW(STARTED_AT, started_at, TIME)                                                                        \
    ROW(FINISHED_AT, finished_at, TIME)                                                                      \
    ROW(VERSION, version, NUMBER)                                                                            \
    ROW(HEALTH, health, TEXT)                                                                                \
    ROW(RESTARTS, restarts, NUMBER)                                                                          \
    ROW(IP, ip, TEXT)                                                                                        \
    ROW(LABELS, labels, JSON)                                                                                \
    ROW(SPEC, spec, JSON)

enum row_field {
#define ENUM_ROW(ENUM, name, kind) ROW_##ENUM,
    ROW_MEMBERS(ENUM_ROW) ROW_FIELDS
#undef ENUM_ROW
};

/* Their names; ends with NULL. */
extern const char *const row_fields[ROW_FIELDS + 1];

/* One value of a hash as Redis has it; data NULL when it is missing. */
struct row_value {
    const char *data;
    size_t size;
};

/* Appends the JSON object of a container. */
void row_render(struct buf *ret, const struct row_value values[ROW_FIELDS]);

/* Appends a JSON string, quoted and escaped (RFC 8259, section 7). */
void row_string(struct buf *ret, const char *text, size_t size);

#endif
