/* SPDX-License-Identifier: Apache-2.0 */
#include "projector/ops.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const struct view_key_row view_keys[VIEW_KEYS] = {
#define VIEW(ENUM, suffix_, type_, doc_)                                                                     \
    [VIEW_##ENUM] = {.suffix = suffix_, .redis_type = type_, .doc = doc_},
#include "projector/views.def"
#undef VIEW
};

static const char *const verb_names[OP_VERBS] = {
    [OP_HSET] = "HSET",   [OP_HDEL] = "HDEL", [OP_DEL] = "DEL",     [OP_SADD] = "SADD",
    [OP_SREM] = "SREM",   [OP_ZADD] = "ZADD", [OP_SMOVE] = "SMOVE", [OP_ZREM] = "ZREM",
    [OP_RPUSH] = "RPUSH", [OP_LPOP] = "LPOP", [OP_XADD] = "XADD",
};

const char *op_verb_name(enum op_verb verb)
{
    return verb_names[verb];
}

/* Makes room for one more element; marks failed when there is no memory. */
static bool grow(struct ops *ops, void *array, size_t used, size_t *capacity, size_t element_size)
{
    if (ops->failed)
        return false;
    if (used < *capacity)
        return true;
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    void *grown = reallocarray(*(void **)array, wanted, element_size);
    if (grown == NULL) {
        ops->failed = true;
        return false;
    }
    *(void **)array = grown;
    *capacity = wanted;
    return true;
}

void ops_arg(struct ops *ops, const char *text)
{
    if (!grow(ops, &ops->args, ops->n_args, &ops->args_capacity, sizeof(*ops->args)))
        return;
    size_t size = strlen(text);
    ops->args[ops->n_args++] = (struct op_arg){.offset = ops->text.size, .size = size};
    buf_add(&ops->text, text, size + 1);
    ops->ops[ops->n_ops - 1].n_args++;
    ops->failed = ops->text.failed;
}

void ops_begin(struct ops *ops, enum op_verb verb, enum view_key view, const char *tail)
{
    if (!grow(ops, &ops->ops, ops->n_ops, &ops->ops_capacity, sizeof(*ops->ops)))
        return;
    ops->ops[ops->n_ops++] = (struct op){.verb = verb, .view = view, .first_arg = ops->n_args};
    ops_arg(ops, tail);
}

void ops_add(struct ops *ops, enum op_verb verb, enum view_key view, const char *tail, ...)
{
    va_list args;
    va_start(args, tail);
    ops_begin(ops, verb, view, tail);
    for (const char *text = va_arg(args, const char *); text != NULL; text = va_arg(args, const char *))
        ops_arg(ops, text);
    va_end(args);
}

const char *ops_text(const struct ops *ops, const struct op *op, size_t i)
{
    return ops->text.data + ops->args[op->first_arg + i].offset;
}

void ops_reset(struct ops *ops)
{
    buf_reset(&ops->text);
    ops->n_ops = 0;
    ops->n_args = 0;
    ops->failed = false;
}

void ops_release(struct ops *ops)
{
    buf_release(&ops->text);
    free(ops->ops);
    free(ops->args);
    *ops = (struct ops){0};
}

/* "*12\r\n" and "$12\r\n", without printf: this runs several times for every event. */
static void resp_line(struct buf *ret, char kind, size_t number)
{
    char line[24];
    size_t at = sizeof(line);
    line[--at] = '\n';
    line[--at] = '\r';
    do {
        line[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    line[--at] = kind;
    buf_add(ret, line + at, sizeof(line) - at);
}

void resp_array(struct buf *ret, size_t n)
{
    resp_line(ret, '*', n);
}

void resp_bulk(struct buf *ret, const char *data, size_t size)
{
    resp_line(ret, '$', size);
    buf_add(ret, data, size);
    buf_add(ret, "\r\n", 2);
}

static void format_key(struct buf *ret, const char *prefix, size_t prefix_size, const struct ops *ops,
                       const struct op *op, const struct op_arg *tail)
{
    const char *suffix = view_keys[op->view].suffix;
    size_t suffix_size = strlen(suffix);
    resp_line(ret, '$', prefix_size + suffix_size + tail->size);
    buf_add(ret, prefix, prefix_size);
    buf_add(ret, suffix, suffix_size);
    buf_add(ret, ops->text.data + tail->offset, tail->size);
    buf_add(ret, "\r\n", 2);
}

void ops_format(const struct ops *ops, const char *prefix, struct buf *ret, size_t *ret_sizes)
{
    size_t prefix_size = strlen(prefix);
    for (size_t i = 0; i < ops->n_ops; i++) {
        const struct op *op = &ops->ops[i];
        size_t start = ret->size;
        resp_array(ret, op->n_args + 1);
        resp_bulk(ret, verb_names[op->verb], strlen(verb_names[op->verb]));
        for (size_t a = 0; a < op->n_args; a++) {
            const struct op_arg *arg = &ops->args[op->first_arg + a];
            if (a == 0 || (a == 1 && op->verb == OP_SMOVE))
                format_key(ret, prefix, prefix_size, ops, op, arg);
            else
                resp_bulk(ret, ops->text.data + arg->offset, arg->size);
        }
        if (ret_sizes != NULL)
            ret_sizes[i] = ret->size - start;
    }
}
