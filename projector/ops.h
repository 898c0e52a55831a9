/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.h - a list of Redis operations as data: what project() returns and a sink carries out.
 *
 * Keys are given as a view (views.def) and a tail, so that the same list can be written under the live prefix
 * or beside it. An ops that ran out of memory is marked `failed`, ignores further additions, and is checked
 * once at the end. Pure data type; not shared between threads.
 */
#ifndef WHARF_PROJECTOR_OPS_H
#define WHARF_PROJECTOR_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum view_key {
#define VIEW(ENUM, suffix, type, doc) VIEW_##ENUM,
#include "projector/views.def"
#undef VIEW
    VIEW_KEYS
};

struct view_key_row {
    const char *suffix;
    const char *redis_type;
    const char *doc;
};
extern const struct view_key_row view_keys[VIEW_KEYS];

enum op_verb {
    OP_HSET,
    OP_HDEL,
    OP_DEL,
    OP_SADD,
    OP_SREM,
    OP_SMOVE, /* the first argument is the tail of the destination key of the same view */
    OP_ZADD,
    OP_ZREM,
    OP_RPUSH,
    OP_LPOP,
    OP_XADD,
    OP_VERBS,
};
const char *op_verb_name(enum op_verb verb);

struct op {
    enum op_verb verb;
    enum view_key view;
    size_t first_arg; /* the key's tail, then the rest */
    size_t n_args;
};

struct op_arg {
    size_t offset; /* into text */
    size_t size;
};

struct ops {
    struct buf text; /* of all arguments, each followed by a NUL */
    struct op *ops;
    size_t n_ops, ops_capacity;
    struct op_arg *args;
    size_t n_args, args_capacity;
    bool failed;
};

/* Starts an operation on the key `view` + `tail` ("" for views of one key); arguments follow. Texts are
 * copied. */
void ops_begin(struct ops *ops, enum op_verb verb, enum view_key view, const char *tail);
void ops_arg(struct ops *ops, const char *text);

/* The whole operation in one call: arguments up to NULL. */
void ops_add(struct ops *ops, enum op_verb verb, enum view_key view, const char *tail, ...)
    __attribute__((sentinel));

/* The i-th argument (0 is the key's tail) of an operation. */
const char *ops_text(const struct ops *ops, const struct op *op, size_t i);

/* Forgets the operations, keeps the memory, clears `failed`. */
void ops_reset(struct ops *ops);
void ops_release(struct ops *ops);

/* Appends the list as RESP commands to `ret`, every key preceded by `prefix` ("wharf:v1:{0}:"). ret_sizes[i],
 * if ret_sizes is not NULL, becomes the size in bytes of the i-th command; it has room for n_ops. */
void ops_format(const struct ops *ops, const char *prefix, struct buf *ret, size_t *ret_sizes);

/* One argument of a RESP command ("$3\r\nfoo\r\n"), and the line that says how many follow. */
void resp_array(struct buf *ret, size_t n);
void resp_bulk(struct buf *ret, const char *data, size_t size);

#endif
