/* SPDX-License-Identifier: Apache-2.0 */
#include "projector/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "projector/past.h"
#include "projector/scripts.h"

#define NODES_KEY "wharf:v1:nodes"

void sink_prefix(char ret[SINK_PREFIX_SIZE], const char *base, uint32_t partition)
{
    snprintf(ret, SINK_PREFIX_SIZE, "%s{%" PRIu32 "}:", base, partition);
}

/* EXEC's reply: nil when the guard spoke, otherwise one reply for each operation. */
static void on_exec(const redisReply *reply, const struct err *err, void *data)
{
    struct sink_batch *batch = data;
    if (reply == NULL) {
        batch->cb(batch, SINK_FAILED, err);
        return;
    }
    if (reply->type == REDIS_REPLY_NIL) {
        batch->cb(batch, SINK_REFUSED, NULL);
        return;
    }
    const redisReply *error = reply->type == REDIS_REPLY_ERROR ? reply : NULL;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements && error == NULL; i++)
        if (reply->element[i]->type == REDIS_REPLY_ERROR)
            error = reply->element[i];
    if (error != NULL) {
        err_set(&batch->err, ERR_CONFLICT, "Redis refused a batch: %s", error->str);
        batch->cb(batch, SINK_FAILED, &batch->err);
        return;
    }
    batch->cb(batch, SINK_APPLIED, NULL);
}

static int send_operations(struct redis *redis, const struct ops *ops, const char *bytes, const size_t *sizes,
                           struct err *err)
{
    for (size_t i = 0; i < ops->n_ops; bytes += sizes[i++])
        if (redis_command_formatted(redis, NULL, NULL, err, bytes, sizes[i]) < 0)
            return -1;
    return 0;
}

/* Formats first, so that what can fail later is only the connection: without EXEC nothing is applied. */
int sink_send(struct redis *redis, const char *prefix, const struct ops *ops, int64_t from_offset,
              int64_t to_offset, struct buf *scratch, struct sink_batch *batch, struct err *err)
{
    auto_free size_t *sizes = calloc(ops->n_ops + 1, sizeof(*sizes));
    buf_reset(scratch);
    if (sizes != NULL)
        ops_format(ops, prefix, scratch, sizes);
    if (sizes == NULL || scratch->failed)
        return err_nomem(err, "formatting a batch");
    batch->err = (struct err)ERR_INIT;
    if (redis_commandf(redis, NULL, NULL, err, "WATCH %smeta", prefix) < 0 ||
        redis_commandf(redis, NULL, NULL, err, "EVAL %s 1 %smeta %lld", script_guard, prefix,
                       (long long)from_offset) < 0 ||
        redis_commandf(redis, NULL, NULL, err, "MULTI") < 0 ||
        send_operations(redis, ops, scratch->data, sizes, err) < 0)
        return -1;
    if (to_offset >= 0 &&
        redis_commandf(redis, NULL, NULL, err, "PUBLISH %sapplied %lld", prefix, (long long)to_offset) < 0)
        return -1;
    return redis_commandf(redis, on_exec, batch, err, "EXEC");
}

/* --- reading a view back --- */

static const char *text_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? reply->str : NULL;
}

static int load_number(const redisReply *list, size_t i, int64_t *ret)
{
    const char *text = i < list->elements ? text_of(list->element[i]) : NULL;
    if (text == NULL)
        return -1;
    *ret = strtoll(text, NULL, 10);
    return 0;
}

static int load_container(struct view *view, const redisReply *fields, struct err *err)
{
    const char *values[ROW_FIELDS] = {NULL};
    for (size_t i = 0; i < fields->elements && i < ROW_FIELDS; i++)
        values[i] = text_of(fields->element[i]);
    return view_load_container(view, values, err);
}

/* {meta numbers, {node, json, ...}, {{container fields}, ...}, {removed, ...}} as script_load returns it. */
static int load_reply(struct view *view, const redisReply *reply, struct err *err)
{
    if (reply->type == REDIS_REPLY_ERROR)
        return err_set(err, ERR_PROTOCOL, "Redis cannot load the view: %s", reply->str);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 4)
        return err_set(err, ERR_PROTOCOL, "Redis gave an unexpected reply for the view");
    const redisReply *meta = reply->element[0], *nodes = reply->element[1], *containers = reply->element[2];
    if (load_number(meta, 0, &view->offset) < 0 || load_number(meta, 1, &view->events) < 0 ||
        load_number(meta, 2, &view->parked) < 0 || load_number(meta, 3, &view->fenced) < 0 ||
        load_number(meta, 4, &view->ignored) < 0 || meta->elements < 6 || text_of(meta->element[5]) == NULL)
        return err_set(err, ERR_CORRUPT, "the view in Redis has no complete meta");
    snprintf(view->digest, sizeof(view->digest), "%s", meta->element[5]->str);
    for (size_t i = 0; i + 1 < nodes->elements; i += 2)
        if (view_load_node(view, nodes->element[i]->str, nodes->element[i + 1]->str, err) < 0)
            return -1;
    for (size_t i = 0; i < containers->elements; i++)
        if (load_container(view, containers->element[i], err) < 0)
            return -1;
    const redisReply *past = reply->element[3];
    for (size_t i = 0; i < past->elements; i++)
        if (past_load(view, past->element[i]->str, err) < 0)
            return -1;
    return 0;
}

static void on_loaded(const redisReply *reply, const struct err *err, void *data)
{
    struct sink_load *load = data;
    struct err why = ERR_INIT;
    if (reply != NULL && load_reply(load->view, reply, &why) < 0)
        err = &why;
    if (err != NULL)
        view_release(load->view);
    load->cb(load, err);
}

int sink_load(struct redis *redis, const char *prefix, bool fresh, struct sink_load *load, struct err *err)
{
    char meta[SINK_PREFIX_SIZE + 8], schema[16];
    snprintf(meta, sizeof(meta), "%smeta", prefix);
    snprintf(schema, sizeof(schema), "%d", VIEW_SCHEMA);
    const char *argv[7 + ROW_FIELDS] = {"EVAL", script_load, "1", meta, prefix, schema, fresh ? "1" : "0"};
    int argc = 7;
    for (size_t i = 0; i < ROW_FIELDS; i++)
        argv[argc++] = row_fields[i];
    view_release(load->view);
    return redis_command(redis, on_loaded, load, err, argc, argv, NULL);
}

int sink_publish_nodes(struct redis *redis, const struct view *view, struct err *err)
{
    struct view_node *node, *next;
    HASH_ITER(hh, view->nodes, node, next)
    {
        auto_free char *json = view_node_json(node);
        if (json == NULL)
            return err_nomem(err, "publishing nodes");
        if (redis_commandf(redis, NULL, NULL, err, "HSET " NODES_KEY " %s %s", node->name, json) < 0)
            return -1;
    }
    return 0;
}
