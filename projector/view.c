/* SPDX-License-Identifier: Apache-2.0 */
#include "projector/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/cleanup.h"
#include "base/timestamp.h"
#include "projector/past.h"

void view_init(struct view *view)
{
    *view = (struct view){.offset = -1, .past_kept = VIEW_PAST_KEPT};
}

static void free_labels(struct string_map *labels)
{
    for (size_t i = 0; i < labels->n; i++) {
        free(labels->items[i].key);
        free(labels->items[i].value);
    }
    free(labels->items);
    *labels = (struct string_map){0};
}

static void container_free(struct view_container *container)
{
    free(container->node);
    free(container->qualified_name);
    free(container->image);
    free_labels(&container->labels);
    for (size_t i = 0; i < ROW_FIELDS; i++)
        free(container->values[i]);
    free(container);
}

static void node_free(struct view_node *node)
{
    free(node->name);
    free(node->boot_id);
    free(node->kernel);
    free(node->version);
    free(node);
}

void view_release(struct view *view)
{
    past_release(view);
    HASH_CLEAR(hh_name, view->names);
    view->changed = NULL;
    struct view_container *container, *next;
    HASH_ITER(hh, view->containers, container, next)
    {
        HASH_DEL(view->containers, container);
        container_free(container);
    }
    struct view_node *node, *next_node;
    HASH_ITER(hh, view->nodes, node, next_node)
    {
        HASH_DEL(view->nodes, node);
        node_free(node);
    }
    view_init(view);
}

struct view_container *view_container(const struct view *view, const char *id)
{
    struct view_container *found = NULL;
    HASH_FIND_STR(view->containers, id, found);
    return found;
}

struct view_container *view_by_name(const struct view *view, const char *qualified_name)
{
    struct view_container *found = NULL;
    HASH_FIND(hh_name, view->names, qualified_name, strlen(qualified_name), found);
    return found;
}

struct view_node *view_node(const struct view *view, const char *name)
{
    struct view_node *found = NULL;
    HASH_FIND_STR(view->nodes, name, found);
    return found;
}

/* Puts it into both tables, or into neither. */
static int insert(struct view *view, struct view_container *container)
{
    HASH_ADD_STR(view->containers, id, container);
    if (container->hh.tbl == NULL)
        return -1;
    HASH_ADD_KEYPTR(hh_name, view->names, container->qualified_name, strlen(container->qualified_name),
                    container);
    if (container->hh_name.tbl != NULL)
        return 0;
    HASH_DEL(view->containers, container);
    return -1;
}

static int copy_values(char *ret[ROW_FIELDS], char *const from[ROW_FIELDS])
{
    for (size_t i = 0; i < ROW_FIELDS; i++) {
        ret[i] = strdup(from[i]);
        if (ret[i] == NULL)
            return -1;
    }
    return 0;
}

int view_add_container(struct view *view, const struct view_container *like)
{
    struct view_container *container = calloc(1, sizeof(*container));
    if (container == NULL)
        return -1;
    memcpy(container->id, like->id, sizeof(container->id));
    container->state = like->state;
    container->version = like->version;
    container->restarts = like->restarts;
    container->node = strdup(like->node);
    container->qualified_name = strdup(like->qualified_name);
    container->image = strdup(like->image);
    if (container->node != NULL && container->qualified_name != NULL && container->image != NULL &&
        string_map_copy(&container->labels, &like->labels) == 0 &&
        copy_values(container->values, like->values) == 0 && insert(view, container) == 0)
        return 0;
    container_free(container);
    return -1;
}

int view_rename(struct view *view, struct view_container *container, const char *qualified_name)
{
    char *copy = strdup(qualified_name);
    if (copy == NULL)
        return -1;
    HASH_DELETE(hh_name, view->names, container);
    free(container->qualified_name);
    container->qualified_name = copy;
    HASH_ADD_KEYPTR(hh_name, view->names, container->qualified_name, strlen(container->qualified_name),
                    container);
    return container->hh_name.tbl != NULL ? 0 : -1;
}

int view_set(struct view *view, struct view_container *container, enum row_field field, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return -1;
    free(container->values[field]);
    container->values[field] = copy;
    view_note_changed(view, container);
    return 0;
}

void view_note_changed(struct view *view, struct view_container *container)
{
    if (container->changed)
        return;
    container->changed = true;
    DL_APPEND(view->changed, container);
}

void view_clear_changed(struct view *view)
{
    while (view->changed != NULL) {
        struct view_container *container = view->changed;
        DL_DELETE(view->changed, container);
        container->changed = false;
    }
}

void view_remove_container(struct view *view, struct view_container *container)
{
    if (container->changed)
        DL_DELETE(view->changed, container);
    HASH_DELETE(hh_name, view->names, container);
    HASH_DEL(view->containers, container);
    container_free(container);
}

struct view_node *view_ensure_node(struct view *view, const char *name)
{
    struct view_node *node = view_node(view, name);
    if (node != NULL)
        return node;
    node = calloc(1, sizeof(*node));
    if (node == NULL)
        return NULL;
    node->partition = -1;
    node->name = strdup(name);
    if (node->name != NULL)
        HASH_ADD_KEYPTR(hh, view->nodes, node->name, strlen(node->name), node);
    if (node->name != NULL && node->hh.tbl != NULL)
        return node;
    node_free(node);
    return NULL;
}

/* The pairs point into `object`. */
static int borrow_labels(struct string_map *ret, json_t *object)
{
    if (!json_is_object(object))
        return -1;
    if (json_object_size(object) == 0)
        return 0;
    ret->items = calloc(json_object_size(object), sizeof(*ret->items));
    if (ret->items == NULL)
        return -1;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return -1;
        ret->items[ret->n++] = (struct string_pair){(char *)key, (char *)json_string_value(value)};
    }
    return 0;
}

static int number(const char *text, int64_t *ret)
{
    char *end;
    *ret = strtoll(text, &end, 10);
    return end != text && *end == '\0' ? 0 : -1;
}

/* `labels` stays the caller's; the rest is borrowed from `values`. */
static int parse_container(struct view_container *ret, const char *const *values, json_t *labels)
{
    int state = container_state_by_name(values[ROW_STATE]);
    if (!container_id_is_valid(values[ROW_ID]) || state < 0 ||
        number(values[ROW_VERSION], &ret->version) < 0 || number(values[ROW_RESTARTS], &ret->restarts) < 0 ||
        borrow_labels(&ret->labels, labels) < 0)
        return -1;
    memcpy(ret->id, values[ROW_ID], sizeof(ret->id));
    ret->node = (char *)values[ROW_NODE];
    ret->image = (char *)values[ROW_IMAGE];
    ret->state = (enum container_state)state;
    return 0;
}

int view_load_container(struct view *view, const char *const values[ROW_FIELDS], struct err *err)
{
    for (size_t i = 0; i < ROW_FIELDS; i++)
        if (values[i] == NULL)
            return err_set(err, ERR_CORRUPT, "a container in Redis has no '%s'", row_fields[i]);
    struct view_container like = {.labels = {0}};
    memcpy(like.values, values, sizeof(like.values));
    auto_buf struct buf name = BUF_INIT;
    buf_printf(&name, "%s/%s", values[ROW_NODE], values[ROW_NAME]);
    json_auto_t *labels = json_loads(values[ROW_LABELS], 0, NULL);
    int status = parse_container(&like, values, labels);
    like.qualified_name = name.data;
    if (status < 0)
        err_set(err, ERR_CORRUPT, "container '%.64s' in Redis does not make sense", values[ROW_ID]);
    else if (name.failed || view_add_container(view, &like) < 0)
        status = err_nomem(err, "reading the view back");
    free(like.labels.items);
    return status;
}

static char *dup_member(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL ? strdup(text) : NULL;
}

static int64_t time_member(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    int64_t ns = 0;
    if (text != NULL && timestamp_parse(text, &ns, NULL) < 0)
        return 0;
    return ns;
}

int view_load_node(struct view *view, const char *name, const char *json, struct err *err)
{
    json_auto_t *object = json_loads(json, 0, NULL);
    if (!json_is_integer(json_object_get(object, "nodeseq")))
        return err_set(err, ERR_CORRUPT, "node '%s' in Redis does not make sense", name);
    struct view_node *node = view_ensure_node(view, name);
    if (node == NULL)
        return err_nomem(err, "reading the view back");
    const json_t *partition = json_object_get(object, "partition");
    node->partition = json_is_integer(partition) ? json_integer_value(partition) : -1;
    node->epoch = json_integer_value(json_object_get(object, "epoch"));
    node->nodeseq = json_integer_value(json_object_get(object, "nodeseq"));
    node->boot_id = dup_member(object, "boot_id");
    node->kernel = dup_member(object, "kernel");
    node->version = dup_member(object, "version");
    node->joined_at_ns = time_member(object, "joined_at");
    node->started_at_ns = time_member(object, "started_at");
    return 0;
}

static json_t *json_time(int64_t ns)
{
    char text[TIMESTAMP_SIZE];
    if (ns == 0)
        return json_null();
    timestamp_format(text, ns);
    return json_string(text);
}

char *view_node_json(const struct view_node *node)
{
    json_auto_t *object =
        json_pack("{s:s, s:o, s:I, s:I, s:s*, s:s*, s:s*, s:o, s:o}", "name", node->name, "partition",
                  node->partition >= 0 ? json_integer(node->partition) : json_null(), "epoch",
                  (json_int_t)node->epoch, "nodeseq", (json_int_t)node->nodeseq, "boot_id", node->boot_id,
                  "kernel", node->kernel, "version", node->version, "joined_at",
                  json_time(node->joined_at_ns), "started_at", json_time(node->started_at_ns));
    return object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
}
