/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings and single containers, images, nodes: each asks one script of every partition and puts the parts
 * together.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/timestamp.h"
#include "events/container_state.h"
#include "events/node_state.h"
#include "projector/query/call.h"
#include "projector/query/render.h"
#include "projector/query/scripts.h"

#define LIST_LIMIT_DEFAULT 10000
#define LIST_LIMIT_MAX 100000
#define FILTERS_MAX 64

/* --- GET /v1/containers --- */

struct listed {
    struct cursor cursor; /* of this row */
    size_t offset, size;  /* of its JSON in `rows` */
};

struct listing {
    int64_t limit;
    struct cursor after; /* id "" from the newest on */
    char *node, *name;
    char *filters[FILTERS_MAX]; /* states, then sets */
    size_t n_states, n_sets;
    struct buf rows;
    struct listed *listed;
    size_t n_listed, capacity;
    bool more;
    bool unsorted; /* as HVALS gave them */
};

static void listing_free(void *state)
{
    struct listing *listing = state;
    free(listing->node);
    free(listing->name);
    for (size_t i = 0; i < FILTERS_MAX; i++)
        free(listing->filters[i]);
    buf_release(&listing->rows);
    free(listing->listed);
    free(listing);
}

static int ask_listing(struct call *call, uint32_t partition, struct err *err)
{
    const struct listing *listing = call->state;
    const char *argv[7 + FILTERS_MAX];
    char limit[24], after[24] = "", states[8], sets[8];
    snprintf(limit, sizeof(limit), "%" PRId64, listing->limit);
    if (listing->after.id[0] != '\0')
        snprintf(after, sizeof(after), "%" PRId64, listing->after.created_us);
    snprintf(states, sizeof(states), "%zu", listing->n_states);
    snprintf(sets, sizeof(sets), "%zu", listing->n_sets);
    const char *head[] = {limit,
                          after,
                          listing->after.id,
                          listing->node != NULL ? listing->node : "",
                          listing->name != NULL ? listing->name : "",
                          states,
                          sets};
    memcpy(argv, head, sizeof(head));
    size_t n = sizeof(head) / sizeof(head[0]);
    for (size_t i = 0; i < listing->n_states + listing->n_sets; i++)
        argv[n++] = listing->filters[i];
    return call_eval(call, partition, query_script_list, argv, n, err);
}

static int add_listed(struct listing *listing, const struct cursor *cursor, const redisReply *json,
                      struct err *err)
{
    if (listing->n_listed == listing->capacity) {
        size_t wanted = listing->capacity == 0 ? 256 : listing->capacity * 2;
        struct listed *grown = reallocarray(listing->listed, wanted, sizeof(*grown));
        if (grown == NULL)
            return err_nomem(err, "listing containers");
        listing->listed = grown;
        listing->capacity = wanted;
    }
    listing->listed[listing->n_listed++] =
        (struct listed){.cursor = *cursor, .offset = listing->rows.size, .size = (size_t)json->len};
    buf_add(&listing->rows, json->str, (size_t)json->len);
    return 0;
}

/* The place of a container in the order, from its text. Inside a string a quote is escaped, so what is looked
 * for can only be the member itself. -1 when the text is not the projector's. */
static int cursor_of(struct cursor *ret, const char *json)
{
    static const char id[] = "{\"id\":\"", created[] = ",\"created_at\":\"";
    if (strncmp(json, id, sizeof(id) - 1) != 0)
        return -1;
    json += sizeof(id) - 1;
    const char *time = strstr(json, created);
    char text[TIMESTAMP_SIZE];
    int64_t ns;
    if (time == NULL || time - json < CONTAINER_ID_SIZE || json[CONTAINER_ID_SIZE - 1] != '"')
        return -1;
    memcpy(ret->id, json, CONTAINER_ID_SIZE - 1);
    ret->id[CONTAINER_ID_SIZE - 1] = '\0';
    snprintf(text, sizeof(text), "%.*s", TIMESTAMP_SIZE - 1, time + sizeof(created) - 1);
    if (timestamp_parse(text, &ns, NULL) < 0)
        return -1;
    ret->created_us = ns / 1000; /* as in the zset */
    return 0;
}

static int add_all(struct listing *listing, const redisReply *texts, struct err *err)
{
    struct cursor cursor;
    listing->unsorted = true;
    for (size_t i = 0; i < texts->elements; i++) {
        const redisReply *json = texts->element[i];
        if (json->type == REDIS_REPLY_STRING && cursor_of(&cursor, json->str) == 0 &&
            add_listed(listing, &cursor, json, err) < 0)
            return -1;
    }
    return 0;
}

static int on_listing_part(struct call *call, uint32_t partition, const redisReply *reply, struct err *err)
{
    struct listing *listing = call->state;
    if (reply->element[1]->type == REDIS_REPLY_STRING)
        return call_values(call, partition, "json", err);
    if (reply->element[1]->type == REDIS_REPLY_ARRAY)
        return add_all(listing, reply->element[1], err);
    listing->more = listing->more || reply->element[1]->integer != 0;
    for (size_t i = 2; i + 1 < reply->elements; i += 2) {
        const redisReply *mark = reply->element[i], *json = reply->element[i + 1];
        struct cursor cursor;
        if (mark->type != REDIS_REPLY_STRING || json->type != REDIS_REPLY_STRING ||
            cursor_parse(&cursor, mark->str) < 0)
            continue; /* an id without a text: not ours */
        if (add_listed(listing, &cursor, json, err) < 0)
            return -1;
    }
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct cursor *x = &((const struct listed *)a)->cursor, *y = &((const struct listed *)b)->cursor;
    if (x->created_us != y->created_us)
        return x->created_us > y->created_us ? -1 : 1;
    return strcmp(y->id, x->id);
}

static void on_listing_complete(struct call *call)
{
    struct listing *listing = call->state;
    if ((call->query->n_partitions > 1 || listing->unsorted) && listing->n_listed > 0)
        qsort(listing->listed, listing->n_listed, sizeof(*listing->listed), newest_first);
    size_t n = listing->n_listed;
    if (n > (size_t)listing->limit) {
        n = (size_t)listing->limit;
        listing->more = true;
    }
    auto_buf struct buf body = BUF_INIT;
    buf_reserve(&body, listing->rows.size + n + 256);
    buf_add_string(&body, "{\"containers\":[");
    for (size_t i = 0; i < n; i++) {
        buf_add(&body, ",", i > 0);
        buf_add(&body, listing->rows.data + listing->listed[i].offset, listing->listed[i].size);
    }
    char cursor[CURSOR_TEXT_SIZE];
    if (listing->more && n > 0) {
        cursor_format(cursor, &listing->listed[n - 1].cursor);
        buf_printf(&body, "],\"next_cursor\":\"%s\"}\n", cursor);
    } else {
        buf_add_string(&body, "],\"next_cursor\":null}\n");
    }
    if (body.failed || listing->rows.failed)
        call_reply_problem(call, 500, "out-of-memory", "out of memory");
    else
        call_reply(call, 200, "application/json", body.data, body.size);
}

static void restart_listing(void *state)
{
    struct listing *listing = state;
    buf_reset(&listing->rows);
    listing->n_listed = 0;
    listing->more = false;
    listing->unsorted = false;
}

static const struct call_kind listing_kind = {.ask = ask_listing,
                                              .on_part = on_listing_part,
                                              .on_complete = on_listing_complete,
                                              .restart = restart_listing,
                                              .release = listing_free};

/* Adds a filter made of two texts. False when there are too many, or no memory. */
static bool add_filter(struct listing *listing, const char *prefix, const char *text)
{
    size_t n = listing->n_states + listing->n_sets;
    auto_buf struct buf filter = BUF_INIT;
    buf_printf(&filter, "%s%s", prefix, text);
    if (n == FILTERS_MAX)
        return false;
    listing->filters[n] = buf_take(&filter, NULL);
    return listing->filters[n] != NULL;
}

/* NULL, or what is wrong. */
static const char *read_filters(struct listing *listing, struct http_request *request)
{
    const char *text;
    for (size_t i = 0; (text = http_request_query_at(request, "state", i)) != NULL; i++) {
        bool never = strcmp(text, "dead") == 0 || strcmp(text, "removing") == 0; /* docker has such */
        if (container_state_by_name(text) <= CONTAINER_ABSENT && !never)
            return "the state must be created, running, paused, stopping, exited or restarting";
        if (!add_filter(listing, "", text))
            return "too many filters";
        listing->n_states++;
    }
    for (size_t i = 0; (text = http_request_query_at(request, "label", i)) != NULL; i++) {
        if (text[0] == '\0' || text[0] == '=')
            return "'label' must be KEY or KEY=VALUE";
        if (!add_filter(listing, "label:", text))
            return "too many filters";
        listing->n_sets++;
    }
    for (size_t i = 0; (text = http_request_query_at(request, "image", i)) != NULL; i++) {
        char image[512];
        if (check_image_reference(text) != NULL || image_reference_normalize(text, image, sizeof(image)) < 0)
            return "'image' must be an image reference";
        if (!add_filter(listing, "image:", image))
            return "too many filters";
        listing->n_sets++;
    }
    return NULL;
}

static const char *read_page(struct listing *listing, struct http_request *request)
{
    const char *limit = http_request_query(request, "limit");
    const char *cursor = http_request_query(request, "cursor");
    const char *node = http_request_query(request, "node"), *name = http_request_query(request, "name");
    listing->limit = LIST_LIMIT_DEFAULT;
    if (limit != NULL && number_parse(limit, 1, LIST_LIMIT_MAX, &listing->limit) < 0)
        return "'limit' must be a number from 1 to 100000";
    if (cursor != NULL && cursor_parse(&listing->after, cursor) < 0)
        return "'cursor' must be a next_cursor of an earlier answer";
    listing->node = node != NULL ? strdup(node) : NULL;
    listing->name = name != NULL ? strdup(name) : NULL;
    return NULL;
}

void handle_containers(struct http_request *request, void *data)
{
    struct listing *listing = calloc(1, sizeof(*listing));
    if (listing == NULL) {
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory");
        return;
    }
    const char *wrong = read_page(listing, request);
    if (wrong == NULL)
        wrong = read_filters(listing, request);
    if (wrong == NULL) {
        call_begin(data, request, &listing_kind, listing);
        return;
    }
    listing_free(listing);
    http_reply_problem(request, 400, "bad-value", NULL, "%s", wrong);
}

/* --- GET /v1/containers/{ref} and .../history --- */

#define RANK_NONE 9

struct lookup {
    char *ref;
    bool history;
    int64_t rank;
    int64_t n_ids;
    uint32_t partition;
    char id[CONTAINER_ID_SIZE];
    struct buf row;
    int64_t *offsets; /* of the history */
    size_t n_offsets;
    size_t n_events;
};

static void lookup_free(void *state)
{
    struct lookup *lookup = state;
    free(lookup->ref);
    free(lookup->offsets);
    buf_release(&lookup->row);
    free(lookup);
}

static int ask_lookup(struct call *call, uint32_t partition, struct err *err)
{
    const struct lookup *lookup = call->state;
    const char *argv[] = {lookup->ref, lookup->history ? "history" : "row"};
    return call_eval(call, partition, query_script_resolve, argv, sizeof(argv) / sizeof(argv[0]), err);
}

static int take_offsets(struct lookup *lookup, const redisReply *list, struct err *err)
{
    free(lookup->offsets);
    lookup->n_offsets = 0;
    lookup->offsets = calloc(list->elements + 1, sizeof(*lookup->offsets));
    if (lookup->offsets == NULL)
        return err_nomem(err, "reading a history");
    for (size_t i = 0; i < list->elements; i++)
        lookup->offsets[lookup->n_offsets++] = strtoll(list->element[i]->str, NULL, 10);
    return 0;
}

static int on_lookup_part(struct call *call, uint32_t partition, const redisReply *reply, struct err *err)
{
    struct lookup *lookup = call->state;
    if (reply->elements != 5)
        return err_set(err, ERR_PROTOCOL, "unexpected reply of Redis");
    int64_t rank = reply->element[1]->integer, n_ids = reply->element[2]->integer;
    if (n_ids == 0 || rank > lookup->rank)
        return 0;
    if (rank == lookup->rank) {
        lookup->n_ids += n_ids;
        return 0;
    }
    lookup->rank = rank;
    lookup->n_ids = n_ids;
    lookup->partition = partition;
    snprintf(lookup->id, sizeof(lookup->id), "%s", reply->element[3]->str);
    const redisReply *payload = reply->element[4];
    if (lookup->history)
        return take_offsets(lookup, payload, err);
    if (payload->elements != 1 || payload->element[0]->type != REDIS_REPLY_STRING)
        return err_set(err, ERR_PROTOCOL, "unexpected reply of Redis");
    buf_reset(&lookup->row);
    buf_add(&lookup->row, payload->element[0]->str, (size_t)payload->element[0]->len);
    return 0;
}

static void on_history_record(const struct log_record *record, void *data)
{
    struct call *call = data;
    struct lookup *lookup = call->state;
    buf_add(&lookup->row, ",", lookup->n_events++ > 0);
    buf_add(&lookup->row, record->value, record->value_size);
}

static void on_history_read(const struct err *err, void *data)
{
    struct call *call = data;
    struct lookup *lookup = call->state;
    fetch_close(call->fetch);
    call->fetch = NULL;
    buf_add_string(&lookup->row, "]}\n");
    if (err != NULL)
        call_reply_problem(call, 503, "log-unavailable", "%s", err->message);
    else if (lookup->row.failed)
        call_reply_problem(call, 500, "out-of-memory", "out of memory");
    else
        call_reply(call, 200, "application/json", lookup->row.data, lookup->row.size);
}

static void read_history(struct call *call)
{
    struct lookup *lookup = call->state;
    struct err err = ERR_INIT;
    buf_printf(&lookup->row, "{\"container\":\"%s\",\"events\":[", lookup->id);
    if (lookup->n_offsets == 0)
        on_history_read(NULL, call);
    else if (fetch_open(&call->fetch, call->query->log, lookup->partition, steal_ptr(lookup->offsets),
                        lookup->n_offsets, on_history_record, on_history_read, call, &err) < 0)
        on_history_read(&err, call);
}

static void on_lookup_complete(struct call *call)
{
    struct lookup *lookup = call->state;
    if (lookup->rank == RANK_NONE)
        call_reply_problem(call, 404, "unknown-container", "there is no container '%s'", lookup->ref);
    else if (lookup->n_ids > 1)
        call_reply_problem(call, 409, "ambiguous-reference", "more than one container is meant by '%s'",
                           lookup->ref);
    else if (lookup->history)
        read_history(call);
    else if (lookup->row.failed)
        call_reply_problem(call, 500, "out-of-memory", "out of memory");
    else
        call_reply(call, 200, "application/json", lookup->row.data, lookup->row.size);
}

static const struct call_kind lookup_kind = {
    .ask = ask_lookup, .on_part = on_lookup_part, .on_complete = on_lookup_complete, .release = lookup_free};

static void begin_lookup(struct http_request *request, struct query *query, bool history)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (lookup != NULL)
        lookup->ref = strdup(http_request_param(request, "ref"));
    if (lookup == NULL || lookup->ref == NULL) {
        free(lookup);
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory");
        return;
    }
    lookup->history = history;
    lookup->rank = RANK_NONE;
    call_begin(query, request, &lookup_kind, lookup);
}

void handle_container(struct http_request *request, void *data)
{
    begin_lookup(request, data, false);
}

void handle_history(struct http_request *request, void *data)
{
    begin_lookup(request, data, true);
}

/* --- GET /v1/images and /v1/nodes --- */

struct values {
    const char *view; /* "images": the view's name and the member's */
    struct buf body;
    size_t n;
};

static void values_free(void *state)
{
    struct values *values = state;
    buf_release(&values->body);
    free(values);
}

static int ask_values(struct call *call, uint32_t partition, struct err *err)
{
    const struct values *values = call->state;
    return call_eval(call, partition, query_script_values, &values->view, 1, err);
}

static int on_values_part(struct call *call, uint32_t partition, const redisReply *reply, struct err *err)
{
    (void)partition;
    (void)err;
    struct values *values = call->state;
    for (size_t i = 1; i < reply->elements; i++) {
        buf_add(&values->body, ",", values->n++ > 0);
        buf_add(&values->body, reply->element[i]->str, (size_t)reply->element[i]->len);
    }
    return 0;
}

static void on_values_complete(struct call *call)
{
    struct values *values = call->state;
    auto_buf struct buf body = BUF_INIT;
    buf_printf(&body, "{\"%s\":[", values->view);
    buf_add(&body, values->body.data, values->body.size);
    buf_add_string(&body, "]}\n");
    if (body.failed || values->body.failed)
        call_reply_problem(call, 500, "out-of-memory", "out of memory");
    else
        call_reply(call, 200, "application/json", body.data, body.size);
}

static const struct call_kind values_kind = {
    .ask = ask_values, .on_part = on_values_part, .on_complete = on_values_complete, .release = values_free};

static void begin_values(struct http_request *request, struct query *query, const char *view)
{
    struct values *values = calloc(1, sizeof(*values));
    if (values == NULL) {
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory");
        return;
    }
    values->view = view;
    call_begin(query, request, &values_kind, values);
}

void handle_images(struct http_request *request, void *data)
{
    begin_values(request, data, "images");
}

void handle_volumes(struct http_request *request, void *data)
{
    begin_values(request, data, "volumes");
}

void handle_nodes(struct http_request *request, void *data)
{
    begin_values(request, data, "nodes");
}
