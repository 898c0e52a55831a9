/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_encode.h - writes the bytes that plan.h describes. The caller fills `header` but for magic, version
 * and size, adds entries in any order (steps in theirs), and finishes.
 *
 * Pure.
 */
#ifndef WHARF_RUNTIME_SANDBOX_PLAN_ENCODE_H
#define WHARF_RUNTIME_SANDBOX_PLAN_ENCODE_H

#include "base/buf.h"
#include "base/err.h"
#include "runtime/sandbox/plan.h"

void plan_begin(struct buf *plan);
void plan_add(struct buf *plan, enum plan_entry_type type, const void *payload, size_t size);
void plan_add_string(struct buf *plan, enum plan_entry_type type, const char *text);
void plan_add_step(struct buf *plan, const struct plan_step *step); /* NULL strings count as empty */

/* A struct of `head_size` bytes (0: none) followed by strings, each with its NUL. */
void plan_add_record(struct buf *plan, enum plan_entry_type type, const void *head, size_t head_size,
                     const struct buf *strings);

/* Puts the header in place. ERR_NOMEM, or ERR_TOO_LARGE beyond PLAN_MAX_BYTES. */
int plan_finish(struct buf *plan, struct plan_header header, struct err *err);

#endif
