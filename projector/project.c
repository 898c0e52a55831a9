/* SPDX-License-Identifier: Apache-2.0 */
#include "projector/project.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "events/node_state.h"
#include "projector/past.h"

#define CHANGES_KEPT "10000"
#define JSON_ROWS_PER_COMMAND 64

/* The text of a number or of nothing. */
struct number_text {
    char text[24];
};

static struct number_text number_text(int64_t number)
{
    struct number_text ret;
    if (number == SCHEMA_ABSENT)
        ret.text[0] = '\0';
    else
        snprintf(ret.text, sizeof(ret.text), "%" PRId64, number);
    return ret;
}

struct time_text {
    char text[TIMESTAMP_SIZE];
};

/* All times in the view have one form, whatever offset and precision the event used; NULL gives "". */
static struct time_text time_text(const char *rfc3339)
{
    struct time_text ret = {{0}};
    int64_t ns;
    if (rfc3339 != NULL && timestamp_parse(rfc3339, &ns, NULL) == 0)
        timestamp_format(ret.text, ns);
    return ret;
}

static void add_history(struct ops *ret, const char *id, int64_t offset)
{
    ops_add(ret, OP_RPUSH, VIEW_HISTORY, id, number_text(offset).text, NULL);
}

/* The entry's id is made from the offset, so that a rebuilt stream has the same entries and a reader's
 * position stays valid; the 1 is there because 0-0 is not a valid id (redis.io/commands/xadd). */
static void add_change(struct ops *ret, const struct event *event, const char *state, int64_t offset)
{
    char entry[32];
    snprintf(entry, sizeof(entry), "%" PRId64 "-1", offset);
    ops_add(ret, OP_XADD, VIEW_CHANGES, "", "MAXLEN", "~", CHANGES_KEPT, entry, "id", event->envelope.subject,
            "type", event_types[event->type].api_name, "offset", number_text(offset).text, "state", state,
            NULL);
}

/* Puts the container into, or takes it out of, the sets of its labels: KEY=VALUE and KEY. */
static void label_sets(struct ops *ret, enum op_verb verb, const char *id, const struct string_map *labels)
{
    for (size_t i = 0; i < labels->n; i++) {
        auto_buf struct buf pair = BUF_INIT;
        buf_printf(&pair, "%s=%s", labels->items[i].key, labels->items[i].value);
        if (pair.failed) {
            ret->failed = true;
            return;
        }
        ops_add(ret, verb, VIEW_LABEL, pair.data, id, NULL);
        ops_add(ret, verb, VIEW_LABEL, labels->items[i].key, id, NULL);
    }
}

/* The values of a container's hash when it has just been created; the texts are borrowed. */
static void created_values(char *ret[ROW_FIELDS], const struct event *event, char *image, char *created_at,
                           char *version)
{
    for (size_t i = 0; i < ROW_FIELDS; i++)
        ret[i] = (char *)"";
    ret[ROW_ID] = event->envelope.subject;
    ret[ROW_NAME] = event->data.container_created.name;
    ret[ROW_NODE] = event->envelope.node;
    ret[ROW_IMAGE] = image;
    ret[ROW_STATE] = (char *)container_state_name(CONTAINER_CREATED);
    ret[ROW_CREATED_AT] = created_at;
    ret[ROW_VERSION] = version;
    ret[ROW_RESTARTS] = (char *)"0";
}

/* Remembers the container and adds its hash. */
static int add_created(struct view *view, struct view_container *like, const struct event *event,
                       struct ops *ret)
{
    json_auto_t *spec = schema_encode(&container_spec_schema, &event->data.container_created.spec);
    const json_t *labels = json_object_get(spec, "labels");
    auto_free char *spec_text = json_dumps(spec, JSON_COMPACT);
    auto_free char *labels_text = labels != NULL ? json_dumps(labels, JSON_COMPACT) : strdup("{}");
    if (spec_text == NULL || labels_text == NULL)
        return -1;
    like->values[ROW_LABELS] = labels_text;
    like->values[ROW_SPEC] = spec_text;
    if (view_add_container(view, like) < 0)
        return -1;
    view_note_changed(view, view_container(view, like->id));
    ops_begin(ret, OP_HSET, VIEW_CONTAINER, like->id);
    for (size_t i = 0; i < ROW_FIELDS; i++) {
        ops_arg(ret, row_fields[i]);
        ops_arg(ret, like->values[i]);
    }
    return 0;
}

static void add_created_sets(struct ops *ret, const struct view_container *container, int64_t created_at_ns)
{
    const char *id = container->id;
    /* Microseconds: a score is a double, which holds them exactly until the year 2255. */
    ops_add(ret, OP_ZADD, VIEW_CONTAINERS, "", number_text(created_at_ns / 1000).text, id, NULL);
    ops_add(ret, OP_ZADD, VIEW_IDS, "", "0", id, NULL);
    ops_add(ret, OP_SADD, VIEW_STATE, container_state_name(container->state), id, NULL);
    ops_add(ret, OP_SADD, VIEW_IMAGE, container->image, id, NULL);
    ops_add(ret, OP_HSET, VIEW_NAMES, "", container->qualified_name, id, NULL);
    label_sets(ret, OP_SADD, id, &container->labels);
}

static enum project_result project_created(struct view *view, const struct event *event, struct ops *ret)
{
    const struct container_created_event *data = &event->data.container_created;
    const struct envelope *envelope = &event->envelope;
    auto_buf struct buf name = BUF_INIT;
    buf_printf(&name, "%s/%s", envelope->node, data->name);
    if (name.failed)
        return PROJECT_NOMEM;
    if (!container_id_is_valid(envelope->subject) || view_container(view, envelope->subject) != NULL ||
        view_by_name(view, name.data) != NULL)
        return PROJECT_ILLEGAL;
    char image[512];
    if (image_reference_normalize(data->spec.image, image, sizeof(image)) < 0)
        return PROJECT_ILLEGAL;
    struct view_container like = {.node = envelope->node,
                                  .qualified_name = name.data,
                                  .image = image,
                                  .labels = data->spec.labels,
                                  .state = CONTAINER_CREATED,
                                  .version = envelope->streamversion};
    memcpy(like.id, envelope->subject, sizeof(like.id));
    char created_at[TIMESTAMP_SIZE];
    timestamp_format(created_at, envelope->time_ns);
    struct number_text version = number_text(envelope->streamversion);
    created_values(like.values, event, image, created_at, version.text);
    if (add_created(view, &like, event, ret) < 0)
        return PROJECT_NOMEM;
    add_created_sets(ret, &like, envelope->time_ns);
    return PROJECT_DONE;
}

static void project_removed(struct view *view, struct view_container *container, struct ops *ret)
{
    const char *id = container->id;
    ops_add(ret, OP_DEL, VIEW_CONTAINER, id, NULL);
    ops_add(ret, OP_HDEL, VIEW_JSON, "", id, NULL);
    ops_add(ret, OP_ZREM, VIEW_CONTAINERS, "", id, NULL);
    ops_add(ret, OP_SREM, VIEW_STATE, container_state_name(container->state), id, NULL);
    ops_add(ret, OP_SREM, VIEW_IMAGE, container->image, id, NULL);
    ops_add(ret, OP_HDEL, VIEW_NAMES, "", container->qualified_name, NULL);
    label_sets(ret, OP_SREM, id, &container->labels);
    past_add(view, id, container->qualified_name, ret);
    view_remove_container(view, container);
}

/* A field and its value as arguments of the HSET that has been begun, and in the view. */
static void set_field(struct view *view, struct view_container *container, enum row_field field,
                      const char *text, struct ops *ret)
{
    ops_arg(ret, row_fields[field]);
    ops_arg(ret, text);
    if (view_set(view, container, field, text) < 0)
        ret->failed = true;
}

/* The spec with what was changed of it. */
static void set_updated_spec(struct view *view, struct view_container *container, const struct event *event,
                             struct ops *ret)
{
    struct container_spec spec;
    json_auto_t *before = json_loads(container->values[ROW_SPEC], 0, NULL);
    json_auto_t *after = NULL;
    schema_init(&container_spec_schema, &spec);
    if (before != NULL && schema_decode(&container_spec_schema, before, "", &spec, NULL, NULL) == 0 &&
        container_spec_update(&spec, &event->data.container_updated) == 0)
        after = schema_encode(&container_spec_schema, &spec);
    auto_free char *text = after != NULL ? json_dumps(after, JSON_COMPACT) : NULL;
    if (text != NULL)
        set_field(view, container, ROW_SPEC, text, ret);
    else
        ret->failed = true;
    schema_release(&container_spec_schema, &spec);
}

/* What the event says beyond state and version. */
static void set_changed_fields(struct view *view, struct view_container *container, const struct event *event,
                               struct ops *ret)
{
    switch (event->type) {
    case EVENT_CONTAINER_STARTED:
        if (container->state == CONTAINER_RESTARTING) {
            container->restarts++;
            set_field(view, container, ROW_RESTARTS, number_text(container->restarts).text, ret);
        }
        set_field(view, container, ROW_PID, number_text(event->data.container_started.pid).text, ret);
        set_field(view, container, ROW_STARTED_AT, time_text(event->data.container_started.started_at).text,
                  ret);
        if (event->data.container_started.health_checked)
            set_field(view, container, ROW_HEALTH, container_health_name(HEALTH_STARTING), ret);
        break;
    case EVENT_CONTAINER_HEALTH_CHANGED:
        set_field(view, container, ROW_HEALTH, event->data.container_health_changed.health, ret);
        break;
    case EVENT_CONTAINER_START_FAILED:
        set_field(view, container, ROW_EXIT_CODE,
                  number_text(event->data.container_start_failed.exit_code).text, ret);
        set_field(view, container, ROW_REASON, event->data.container_start_failed.code, ret);
        break;
    case EVENT_CONTAINER_ADOPTED:
        set_field(view, container, ROW_PID, number_text(event->data.container_adopted.pid).text, ret);
        break;
    case EVENT_CONTAINER_EXITED:
        set_field(view, container, ROW_PID, "", ret);
        set_field(view, container, ROW_EXIT_CODE, number_text(event->data.container_exited.exit_code).text,
                  ret);
        set_field(view, container, ROW_REASON, event->data.container_exited.reason, ret);
        if (container->values[ROW_HEALTH] != NULL && container->values[ROW_HEALTH][0] != '\0')
            set_field(view, container, ROW_HEALTH, "", ret);
        set_field(view, container, ROW_FINISHED_AT, time_text(event->data.container_exited.finished_at).text,
                  ret);
        break;
    case EVENT_CONTAINER_RENAMED:
        set_field(view, container, ROW_NAME, event->data.container_renamed.name, ret);
        break;
    case EVENT_CONTAINER_UPDATED:
        set_updated_spec(view, container, event, ret);
        break;
    case EVENT_CONTAINER_PAUSED:
    case EVENT_CONTAINER_UNPAUSED:
    case EVENT_CONTAINER_EXEC_STARTED:
    case EVENT_CONTAINER_EXEC_FAILED:
    case EVENT_CONTAINER_EXEC_EXITED:
    case EVENT_CONTAINER_COPIED:
    case EVENT_CONTAINER_EXPORTED:
    case EVENT_CONTAINER_ATTACHED:
    case EVENT_CONTAINER_COMMITTED:
    case EVENT_CONTAINER_SIGNALED:
    case EVENT_CONTAINER_STOPPING:
    case EVENT_CONTAINER_RESTARTING:
    case EVENT_CONTAINER_RESTART_CANCELED:
    case EVENT_CONTAINER_CREATED:
    case EVENT_CONTAINER_REMOVED:
    case EVENT_NODE_JOINED:
    case EVENT_NODE_STARTED:
    case EVENT_NODE_ORPHAN_DESTROYED:
    case EVENT_NODE_RECORD_PARKED:
    case EVENT_IMAGE_IMPORTED:
    case EVENT_IMAGE_REMOVED:
    case EVENT_VOLUME_CREATED:
    case EVENT_VOLUME_REMOVED:
    case EVENT_OCI_REPORTED:
    case EVENT_COMMAND_DONE:
    case EVENT_COMMAND_REFUSED:
    case EVENT_COMMAND_FAILED:
    case EVENT_TYPES:
        break;
    }
}

/* The index of names, and the name it stands under. */
static enum project_result project_renamed(struct view *view, struct view_container *container,
                                           const struct event *event, struct ops *ret)
{
    auto_buf struct buf name = BUF_INIT;
    buf_printf(&name, "%s/%s", container->node, event->data.container_renamed.name);
    if (name.failed)
        return PROJECT_NOMEM;
    if (view_by_name(view, name.data) != NULL)
        return PROJECT_ILLEGAL;
    ops_add(ret, OP_HDEL, VIEW_NAMES, "", container->qualified_name, NULL);
    ops_add(ret, OP_HSET, VIEW_NAMES, "", name.data, container->id, NULL);
    return view_rename(view, container, name.data) == 0 ? PROJECT_DONE : PROJECT_NOMEM;
}

static void project_moved(struct view *view, struct view_container *container, const struct event *event,
                          enum container_state next, struct ops *ret)
{
    ops_begin(ret, OP_HSET, VIEW_CONTAINER, container->id);
    set_field(view, container, ROW_STATE, container_state_name(next), ret);
    set_field(view, container, ROW_VERSION, number_text(event->envelope.streamversion).text, ret);
    set_changed_fields(view, container, event, ret);
    if (next != container->state)
        ops_add(ret, OP_SMOVE, VIEW_STATE, container_state_name(container->state), container_state_name(next),
                container->id, NULL);
    container->state = next;
    container->version = event->envelope.streamversion;
}

static enum project_result project_container(struct view *view, const struct event *event, int64_t offset,
                                             struct ops *ret)
{
    const char *id = event->envelope.subject;
    struct view_container *container = view_container(view, id);
    enum container_state next = CONTAINER_CREATED;
    if (event->type == EVENT_CONTAINER_CREATED) {
        enum project_result result = project_created(view, event, ret);
        if (result != PROJECT_DONE)
            return result;
    } else {
        if (container == NULL || strcmp(container->node, event->envelope.node) != 0)
            return PROJECT_ILLEGAL;
        if (event->envelope.streamversion <= container->version)
            return PROJECT_STALE;
        if (!container_state_next(container->state, event->type, &next))
            return PROJECT_ILLEGAL;
        enum project_result renamed = event->type == EVENT_CONTAINER_RENAMED
                                          ? project_renamed(view, container, event, ret)
                                          : PROJECT_DONE;
        if (renamed != PROJECT_DONE)
            return renamed;
        if (event->type == EVENT_CONTAINER_REMOVED)
            project_removed(view, container, ret);
        else
            project_moved(view, container, event, next, ret);
    }
    add_history(ret, id, offset);
    add_change(ret, event, next == CONTAINER_ABSENT ? "removed" : container_state_name(next), offset);
    return PROJECT_DONE;
}

/* What the image says of its containers; a new reference. */
static json_t *image_config_object(const struct image_imported_event *data)
{
    struct image_config config;
    schema_init(&image_config_schema, &config);
    json_t *object = NULL;
    if (schema_copy_shared(&image_config_schema, &config, event_types[EVENT_IMAGE_IMPORTED].schema(), data) ==
        0)
        object = schema_encode(&image_config_schema, &config);
    schema_release(&image_config_schema, &config);
    return object;
}

static enum project_result project_image(const struct event *event, struct ops *ret)
{
    const char *reference = event->type == EVENT_IMAGE_IMPORTED ? event->data.image_imported.reference
                                                                : event->data.image_removed.reference;
    const char *node = event->envelope.node;
    auto_buf struct buf field = BUF_INIT;
    buf_printf(&field, "%s/%s", node, reference);
    if (field.failed)
        return PROJECT_NOMEM;
    if (event->type == EVENT_IMAGE_REMOVED) {
        ops_add(ret, OP_HDEL, VIEW_IMAGES, "", field.data, NULL);
        return PROJECT_DONE;
    }
    const struct image_imported_event *data = &event->data.image_imported;
    char time[TIMESTAMP_SIZE];
    timestamp_format(time, event->envelope.time_ns);
    json_auto_t *image = json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "reference", reference, "digest",
                                   data->digest, "size_bytes", (json_int_t)data->size_bytes, "imported_at",
                                   time, "node", node, "config", image_config_object(data));
    auto_free char *text = image != NULL ? json_dumps(image, JSON_COMPACT) : NULL;
    if (text == NULL)
        return PROJECT_NOMEM;
    ops_add(ret, OP_HSET, VIEW_IMAGES, "", field.data, text, NULL);
    return PROJECT_DONE;
}

static json_t *volume_object(const struct event *event)
{
    const struct volume_created_event *data = &event->data.volume_created;
    char time[TIMESTAMP_SIZE];
    json_t *labels = json_object();
    timestamp_format(time, event->envelope.time_ns);
    for (size_t i = 0; i < data->labels.n; i++) {
        if (json_object_set_new(labels, data->labels.items[i].key, json_string(data->labels.items[i].value)) <
            0) {
            json_decref(labels);
            return NULL;
        }
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:s*}", "name", data->name, "node", event->envelope.node,
                     "created_at", time, "labels", labels, "found", data->found);
}

static enum project_result project_volume(const struct event *event, struct ops *ret)
{
    bool created = event->type == EVENT_VOLUME_CREATED;
    auto_buf struct buf field = BUF_INIT;
    buf_printf(&field, "%s/%s", event->envelope.node,
               created ? event->data.volume_created.name : event->data.volume_removed.name);
    if (field.failed)
        return PROJECT_NOMEM;
    if (!created) {
        ops_add(ret, OP_HDEL, VIEW_VOLUMES, "", field.data, NULL);
        return PROJECT_DONE;
    }
    json_auto_t *volume = volume_object(event);
    auto_free char *text = volume != NULL ? json_dumps(volume, JSON_COMPACT) : NULL;
    if (text == NULL)
        return PROJECT_NOMEM;
    ops_add(ret, OP_HSET, VIEW_VOLUMES, "", field.data, text, NULL);
    return PROJECT_DONE;
}

static enum project_result project_node_started(struct view_node *node, const struct event *event)
{
    const struct node_started_event *data = &event->data.node_started;
    free(node->boot_id);
    free(node->kernel);
    free(node->version);
    node->boot_id = strdup(data->boot_id);
    node->kernel = strdup(data->kernel);
    node->version = strdup(data->version);
    node->started_at_ns = event->envelope.time_ns;
    bool complete = node->boot_id != NULL && node->kernel != NULL && node->version != NULL;
    return complete ? PROJECT_DONE : PROJECT_NOMEM;
}

/* True for an outcome that says that a container was not to be. */
static bool is_creation_outcome(const struct event *event)
{
    const char *command = event->type == EVENT_COMMAND_REFUSED  ? event->data.command_refused.command
                          : event->type == EVENT_COMMAND_FAILED ? event->data.command_failed.command
                                                                : "";
    return strcmp(command, "container.run") == 0 || strcmp(command, "container.create") == 0;
}

/* What became of a command belongs into the history of the container it was about, even if that never came to
 * be. It is an event of the container's stream, which counts it, but changes nothing else. Of a container
 * that was forgotten the log has the whole history, and part of one here would hide that. */
static enum project_result project_outcome(struct view *view, const struct event *event, int64_t offset,
                                           struct ops *ret)
{
    const char *id = event->envelope.subject;
    if (!container_id_is_valid(id))
        return PROJECT_DONE;
    struct view_container *container = view_container(view, id);
    if (container == NULL && is_creation_outcome(event) && !past_has(view, id)) {
        ops_add(ret, OP_ZADD, VIEW_IDS, "", "0", id, NULL);
        past_add(view, id, "", ret);
    } else if (container == NULL && !past_has(view, id)) {
        return PROJECT_DONE;
    } else if (container != NULL) {
        if (event->envelope.streamversion <= container->version)
            return PROJECT_STALE;
        container->version = event->envelope.streamversion;
        ops_begin(ret, OP_HSET, VIEW_CONTAINER, id);
        set_field(view, container, ROW_VERSION, number_text(container->version).text, ret);
    }
    add_history(ret, id, offset);
    return PROJECT_DONE;
}

/* A container of somebody else's has a history here and nothing else. It is one of the past from its creation
 * on; of one whose creation was not reported, or is forgotten, the log has the whole history. */
static enum project_result project_oci(struct view *view, const struct event *event, int64_t offset,
                                       struct ops *ret)
{
    const char *id = event->envelope.subject;
    if (!container_id_is_valid(id) || view_container(view, id) != NULL)
        return PROJECT_ILLEGAL;
    if (!past_has(view, id)) {
        if (strcmp(event->data.oci_reported.action, "created") != 0)
            return PROJECT_DONE;
        auto_buf struct buf name = BUF_INIT;
        buf_printf(&name, "%s/%s", event->envelope.node, event->data.oci_reported.container);
        if (name.failed)
            return PROJECT_NOMEM;
        ops_add(ret, OP_ZADD, VIEW_IDS, "", "0", id, NULL);
        past_add(view, id, name.data, ret);
    }
    add_history(ret, id, offset);
    return PROJECT_DONE;
}

static enum project_result dispatch(struct view *view, struct view_node *node, const struct event *event,
                                    int64_t offset, struct ops *ret)
{
    switch (event->type) {
    case EVENT_NODE_JOINED:
        node->partition = event->data.node_joined.partition;
        node->joined_at_ns = event->envelope.time_ns;
        return PROJECT_DONE;
    case EVENT_NODE_STARTED:
        return project_node_started(node, event);
    case EVENT_NODE_ORPHAN_DESTROYED:
    case EVENT_NODE_RECORD_PARKED:
        return PROJECT_DONE;
    case EVENT_IMAGE_IMPORTED:
    case EVENT_IMAGE_REMOVED:
        return project_image(event, ret);
    case EVENT_VOLUME_CREATED:
    case EVENT_VOLUME_REMOVED:
        return project_volume(event, ret);
    case EVENT_OCI_REPORTED:
        return project_oci(view, event, offset, ret);
    case EVENT_COMMAND_DONE:
    case EVENT_COMMAND_REFUSED:
    case EVENT_COMMAND_FAILED:
        return project_outcome(view, event, offset, ret);
    case EVENT_CONTAINER_CREATED:
    case EVENT_CONTAINER_STARTED:
    case EVENT_CONTAINER_START_FAILED:
    case EVENT_CONTAINER_ADOPTED:
    case EVENT_CONTAINER_SIGNALED:
    case EVENT_CONTAINER_STOPPING:
    case EVENT_CONTAINER_EXITED:
    case EVENT_CONTAINER_RESTARTING:
    case EVENT_CONTAINER_RESTART_CANCELED:
    case EVENT_CONTAINER_REMOVED:
    case EVENT_CONTAINER_PAUSED:
    case EVENT_CONTAINER_UNPAUSED:
    case EVENT_CONTAINER_RENAMED:
    case EVENT_CONTAINER_UPDATED:
    case EVENT_CONTAINER_EXEC_STARTED:
    case EVENT_CONTAINER_EXEC_FAILED:
    case EVENT_CONTAINER_EXEC_EXITED:
    case EVENT_CONTAINER_HEALTH_CHANGED:
    case EVENT_CONTAINER_COPIED:
    case EVENT_CONTAINER_EXPORTED:
    case EVENT_CONTAINER_ATTACHED:
    case EVENT_CONTAINER_COMMITTED:
        return project_container(view, event, offset, ret);
    case EVENT_TYPES:
        break;
    }
    return PROJECT_ILLEGAL;
}

static enum project_result apply(struct view *view, const struct event *event, int64_t offset,
                                 struct ops *ret)
{
    struct view_node *node = view_ensure_node(view, event->envelope.node);
    if (node == NULL)
        return PROJECT_NOMEM;
    enum standing standing = envelope_standing(&event->envelope, &node->epoch, &node->nodeseq);
    if (standing != STANDING_COUNTS)
        return standing == STANDING_FENCED ? PROJECT_FENCED : PROJECT_STALE;
    node->changed = true;
    return dispatch(view, node, event, offset, ret);
}

enum project_result project_event(struct view *view, const struct event *event, int64_t offset,
                                  struct ops *ret)
{
    if (offset <= view->offset)
        return PROJECT_STALE;
    view->offset = offset;
    view->events++;
    enum project_result result = apply(view, event, offset, ret);
    if (result == PROJECT_FENCED)
        view->fenced++;
    else if (result == PROJECT_STALE || result == PROJECT_ILLEGAL)
        view->ignored++;
    return ret->failed ? PROJECT_NOMEM : result;
}

void project_parked(struct view *view, int64_t offset)
{
    if (offset <= view->offset)
        return;
    view->offset = offset;
    view->parked++;
}

/* One row of `json` for each container that changed in the batch, however often it did. */
static int flush_json(struct view *view, struct ops *ret)
{
    auto_buf struct buf json = BUF_INIT;
    size_t n = 0;
    for (const struct view_container *container = view->changed; container != NULL;
         container = container->next) {
        struct row_value values[ROW_FIELDS];
        for (size_t i = 0; i < ROW_FIELDS; i++)
            values[i] = (struct row_value){container->values[i], strlen(container->values[i])};
        buf_reset(&json);
        row_render(&json, values);
        if (json.failed)
            return -1;
        if (n++ % JSON_ROWS_PER_COMMAND == 0)
            ops_begin(ret, OP_HSET, VIEW_JSON, "");
        ops_arg(ret, container->id);
        ops_arg(ret, json.data);
    }
    view_clear_changed(view);
    return 0;
}

int project_flush(struct view *view, int64_t now_ns, struct ops *ret)
{
    if (flush_json(view, ret) < 0)
        return -1;
    struct view_node *node, *next;
    HASH_ITER(hh, view->nodes, node, next)
    {
        if (!node->changed)
            continue;
        auto_free char *json = view_node_json(node);
        if (json == NULL)
            return -1;
        ops_add(ret, OP_HSET, VIEW_NODES, "", node->name, json, NULL);
        node->changed = false;
    }
    char now[TIMESTAMP_SIZE];
    timestamp_format(now, now_ns);
    ops_add(ret, OP_HSET, VIEW_META, "", "offset", number_text(view->offset).text, "digest", view->digest,
            "events", number_text(view->events).text, "parked", number_text(view->parked).text, "fenced",
            number_text(view->fenced).text, "ignored", number_text(view->ignored).text, "updated_at", now,
            "schema", number_text(VIEW_SCHEMA).text, NULL);
    return ret->failed ? -1 : 0;
}
