/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement_file.h - the placement as text, with where in the log it was taken, so that a writer's start need
 * not read all events. A cache: one that is of no use is forgotten and the events are read.
 *
 * Lines of JSON: a header; for each partition [next_offset, outcomes_from, "sha256 of the newest record"];
 * for each node ["name", partition]; for each container ["id", "name", "node"]; and the seal (base/seal.h).
 *
 * Pure; any thread.
 */
#ifndef WHARF_WRITER_PLACEMENT_FILE_H
#define WHARF_WRITER_PLACEMENT_FILE_H

#include "base/buf.h"
#include "base/id.h"
#include "writer/placement.h"

/* Of the format, and of what placement_apply makes of events. */
#define PLACEMENT_FILE_VERSION 2

/* How far a partition had been read. */
struct placement_mark {
    int64_t next_offset;          /* one past the newest record; 0: nothing */
    int64_t outcomes_from;        /* the oldest outcome that was still of interest; at most next_offset */
    char newest[SHA256_HEX_SIZE]; /* of the newest record's value; "" if there is none */
};

/* -1 when memory runs out. */
int placement_encode(const struct placement *placement, const struct placement_mark *marks, size_t n_marks,
                     struct buf *ret, struct err *err);

/* `ret` is to be released, `ret_marks` freed. ERR_CORRUPT for text that is not whole, not of this version, or
 * has members that cannot be: a sentence without its subject. Nothing is left allocated then. */
int placement_decode(struct placement *ret, struct placement_mark **ret_marks, size_t *ret_n_marks,
                     const char *text, size_t size, struct err *err);

#endif
