/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "events/snapshot.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/seal.h"
#include "events/container_state.h"

#define FORMAT "wharf.snapshot"
#define ITEMS_A_LINE 1000
#define HEAD_AND_SEAL_SIZE 1024 /* about */

static const char *check_format(const char *text)
{
    return strcmp(text, FORMAT) == 0 ? NULL : "must be " FORMAT;
}

static const char *check_state(const char *text)
{
    return container_state_by_name(text) > CONTAINER_ABSENT ? NULL : "must be a container's state";
}

static const char *check_any_health(const char *text)
{
    return container_health_by_name(text) > HEALTH_NONE ? NULL : "must be starting, healthy or unhealthy";
}

static const char *check_interruption(const char *text)
{
    return interruption_by_name(text) != NULL ? NULL : "must be host-restart, state-lost or image-missing";
}

/* clang-format off: it cannot see through the rows */
#include "events/def_struct_fields.h"
#define RECORD(member, doc) struct snapshot_##member {
#define END(member)                                                                                          \
    }                                                                                                        \
    ;
#include "events/snapshot.def"
#undef RECORD
#undef END
#include "events/def_end.h"

#include "events/def_schema_fields.h"
#define RECORD(member, doc)                                                                                  \
    static const struct schema *member##_schema(void)                                                        \
    {                                                                                                        \
        typedef struct snapshot_##member owner;                                                              \
        static const struct schema_field fields[] = {
#define END(member)                                                                                          \
    }                                                                                                        \
    ;                                                                                                        \
    static const struct schema schema = {"the snapshot's " #member, sizeof(owner), fields,                   \
                                         sizeof(fields) / sizeof(struct schema_field)};                      \
    return &schema;                                                                                          \
    }
#include "events/snapshot.def"
#include "events/def_end.h"
/* clang-format on */

/* --- the state into text --- */

/* Adds a document as a line; NULL means that memory ran out. */
static void add_line_take(struct buf *buf, json_t *document)
{
    auto_free char *text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (text == NULL) {
        buf->failed = true;
        return;
    }
    buf_add_string(buf, text);
    buf_add(buf, "\n", 1);
}

static void add_record(struct buf *buf, const struct schema *schema, const void *record)
{
    add_line_take(buf, schema_encode(schema, record));
}

static char *text_or_null(const char *text)
{
    return text[0] != '\0' ? (char *)text : NULL;
}

static void add_container(struct buf *buf, const struct container *container)
{
    const struct snapshot_container record = {
        .id = (char *)container->id,
        .name = container->name,
        .image_digest = container->image_digest,
        .state = (char *)container_state_name(container->state),
        .version = container->version,
        .incarnation = container->incarnation,
        .pid = container->pid,
        .shim_pid = container->shim_pid,
        .created_at_ns = container->created_at_ns,
        .started_at_ns = container->started_at_ns,
        .finished_at_ns = container->finished_at_ns,
        .exit_code = container->exit_code,
        .boot = container->boot,
        .stopped_by_user = container->stopped_by_user,
        .just_exited = container->just_exited,
        .restarts = container->restarts,
        .restart_attempt = container->restart_attempt,
        .restart_due_ns = container->restart_due_ns,
        .health = text_or_null(container_health_name(container->health)),
        .interrupted_by = (char *)container->interrupted_by,
        .created_by = text_or_null(container->created_by),
        .last_event_id = (char *)container->last_event_id,
        .correlationid = (char *)container->correlationid,
        .spec = container->spec,
    };
    add_record(buf, container_schema(), &record);
}

static void add_exec(struct buf *buf, const struct exec *exec)
{
    const struct snapshot_exec record = {
        .id = (char *)exec->id,
        .container = (char *)exec->container_id,
        .incarnation = exec->incarnation,
        .boot = exec->boot,
        .pid = exec->pid,
        .shim_pid = exec->shim_pid,
        .attach = exec->attach,
        .interactive = exec->interactive,
        .tty = exec->tty,
        .started_event_id = (char *)exec->started_event_id,
        .correlationid = (char *)exec->correlationid,
    };
    add_record(buf, exec_schema(), &record);
}

static void add_image(struct buf *buf, const struct image *image)
{
    struct snapshot_image record;
    schema_init(image_schema(), &record);
    if (schema_copy_shared(image_schema(), &record, &image_config_schema, &image->config) < 0)
        buf->failed = true;
    record.size_bytes = image->size_bytes;
    record.imported_at_ns = image->imported_at_ns;
    record.reference = image->reference;
    record.digest = image->digest;
    add_record(buf, image_schema(), &record);
    record.reference = record.digest = NULL; /* they are the image's */
    schema_release(image_schema(), &record);
}

/* Ends a line of items when it is full, or when nothing follows. */
static void end_items(struct buf *buf, json_t **items, size_t full)
{
    if (*items != NULL && json_array_size(*items) >= full)
        add_line_take(buf, steal_ptr(*items));
}

static void add_item_take(struct buf *buf, json_t **items, json_t *item)
{
    if (*items == NULL)
        *items = json_array();
    if (json_array_append_new(*items, item) < 0)
        buf->failed = true;
}

static void add_answers(struct buf *buf, const struct node_state *state)
{
    json_t *items = NULL;
    for (const struct answer *answer = state->answers; answer != NULL; answer = answer->hh.next) {
        add_item_take(buf, &items, json_string(answer->command_id));
        add_item_take(buf, &items, json_integer(answer->command_offset));
        end_items(buf, &items, 2 * (size_t)ITEMS_A_LINE);
    }
    end_items(buf, &items, 1);
}

static void add_answered(struct buf *buf, const struct node_state *state)
{
    json_t *items = NULL;
    for (const struct answered_offset *each = state->answered; each != NULL; each = each->hh.next) {
        add_item_take(buf, &items, json_integer(each->offset));
        end_items(buf, &items, ITEMS_A_LINE);
    }
    end_items(buf, &items, 1);
}

static void add_volume(struct buf *buf, const struct volume *volume)
{
    const struct snapshot_volume record = {
        .name = volume->name,
        .labels = volume->labels,
        .found = volume->found,
        .created_at_ns = volume->created_at_ns,
        .owner = volume->owner[0] != '\0' ? (char *)(uintptr_t)volume->owner : NULL,
        .doomed = volume->doomed,
    };
    add_record(buf, volume_schema(), &record);
}

static struct snapshot_header *make_header(const struct node_state *state)
{
    const struct snapshot_header record = {
        .format = (char *)FORMAT,
        .version = SNAPSHOT_VERSION,
        .node = state->name,
        .partition = state->partition,
        .next_offset = 1, /* snapshot_seal knows, as it does below */
        .epoch = state->epoch,
        .nodeseq = state->nodeseq,
        .boot_id = state->boot_id,
        .boots = state->boots,
        .answered_through = state->answered_through,
        .events_applied = state->events_applied,
        .events_fenced = 0,
        .events_illegal = state->events_illegal,
        .containers = HASH_COUNT(state->containers),
        .execs = HASH_COUNT(state->execs),
        .images = HASH_COUNT(state->images),
        .volumes = HASH_COUNT(state->volumes),
        .answers = HASH_COUNT(state->answers),
        .answered = HASH_COUNT(state->answered),
    };
    struct snapshot_header *header = malloc(sizeof(*header));
    if (header != NULL && schema_copy(header_schema(), header, &record) < 0) {
        free(header);
        return NULL;
    }
    return header;
}

int snapshot_take(struct snapshot *ret, const struct node_state *state, struct err *err)
{
    if (state->newest.size == 0 || state->partition < 0)
        return err_set(err, ERR_INVALID, "node '%s' has not joined yet: there is no state to keep",
                       state->name);
    struct snapshot snapshot = {.header = make_header(state)};
    const struct snapshot_newest newest = {.newest = state->newest.data};
    add_record(&snapshot.body, newest_schema(), &newest);
    for (const struct container *each = state->containers; each != NULL; each = each->hh.next)
        add_container(&snapshot.body, each);
    for (const struct exec *each = state->execs; each != NULL; each = each->hh.next)
        add_exec(&snapshot.body, each);
    for (const struct image *each = state->images; each != NULL; each = each->hh.next)
        add_image(&snapshot.body, each);
    for (const struct volume *each = state->volumes; each != NULL; each = each->hh.next)
        add_volume(&snapshot.body, each);
    add_answers(&snapshot.body, state);
    add_answered(&snapshot.body, state);
    if (snapshot.header == NULL || snapshot.body.failed) {
        snapshot_release(&snapshot);
        return err_nomem(err, "taking a snapshot");
    }
    *ret = snapshot;
    return 0;
}

int snapshot_seal(struct snapshot *snapshot, int64_t next_offset, int64_t events_fenced, struct buf *ret,
                  struct err *err)
{
    auto_buf struct buf text = BUF_INIT;
    buf_reserve(&text, snapshot->body.size + HEAD_AND_SEAL_SIZE);
    snapshot->header->next_offset = next_offset;
    snapshot->header->events_fenced = events_fenced;
    add_record(&text, header_schema(), snapshot->header);
    buf_add(&text, snapshot->body.data, snapshot->body.size);
    seal_add(&text);
    if (text.failed)
        return err_nomem(err, "writing a snapshot");
    *ret = text;
    text = (struct buf)BUF_INIT;
    return 0;
}

void snapshot_release(struct snapshot *snapshot)
{
    if (snapshot->header != NULL)
        schema_release(header_schema(), snapshot->header);
    free(steal_ptr(snapshot->header));
    buf_release(&snapshot->body);
}

int snapshot_encode(const struct node_state *state, int64_t next_offset, struct buf *ret, struct err *err)
{
    struct snapshot snapshot = SNAPSHOT_INIT;
    if (snapshot_take(&snapshot, state, err) < 0)
        return -1;
    int rc = snapshot_seal(&snapshot, next_offset, state->events_fenced, ret, err);
    snapshot_release(&snapshot);
    return rc;
}

/* --- text into the state --- */

/* What is left to read, a line at a time. */
struct lines {
    const char *at;
    const char *end;
    int64_t number; /* of the line read last, from 1 */
};

static int next_line(struct lines *lines, const char **ret, size_t *ret_size, struct err *err)
{
    const char *newline =
        lines->at < lines->end ? memchr(lines->at, '\n', (size_t)(lines->end - lines->at)) : NULL;
    if (newline == NULL)
        return err_set(err, ERR_CORRUPT, "ends early, after line %" PRId64, lines->number);
    *ret = lines->at;
    *ret_size = (size_t)(newline - lines->at);
    lines->at = newline + 1;
    lines->number++;
    return 0;
}

static int bad_line(const struct lines *lines, struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "is damaged in line %" PRId64 ": %s", lines->number, what);
}

static int next_document(struct lines *lines, json_t **ret, struct err *err)
{
    const char *line;
    size_t size;
    if (next_line(lines, &line, &size, err) < 0)
        return -1;
    json_error_t error;
    *ret = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);
    if (*ret != NULL)
        return 0;
    if (json_error_code(&error) == json_error_out_of_memory)
        return err_nomem(err, "reading a snapshot");
    return bad_line(lines, err, error.text);
}

static int next_record(struct lines *lines, const struct schema *schema, void *ret, struct err *err)
{
    struct err why = ERR_INIT;
    json_auto_t *document = NULL;
    if (next_document(lines, &document, err) < 0)
        return -1;
    if (schema_decode(schema, document, "", ret, NULL, &why) == 0)
        return 0;
    if (why.code == ERR_NOMEM)
        return err_nomem(err, "reading a snapshot");
    return bad_line(lines, err, why.message);
}

/* Another version may be anything but for these two members of the first line, so it is told before all else.
 */
static int check_version(const char *bytes, size_t size, struct err *err)
{
    const char *newline = memchr(bytes, '\n', size);
    json_auto_t *header =
        json_loadb(bytes, newline != NULL ? (size_t)(newline - bytes) : size, JSON_REJECT_DUPLICATES, NULL);
    const char *format = json_string_value(json_object_get(header, "format"));
    json_int_t version = json_integer_value(json_object_get(header, "version"));
    if (format == NULL || strcmp(format, FORMAT) != 0)
        return err_set(err, ERR_CORRUPT, "does not begin as one: its first line is no header");
    if (version == SNAPSHOT_VERSION)
        return 0;
    return err_set(err, ERR_PROTOCOL,
                   "is of format version %" JSON_INTEGER_FORMAT ", and this wharf reads version %d", version,
                   SNAPSHOT_VERSION);
}

static int take_newest(struct node_state *state, struct lines *lines, struct err *err)
{
    struct snapshot_newest record;
    struct event event;
    if (next_record(lines, newest_schema(), &record, err) < 0)
        return -1;
    size_t size = strlen(record.newest);
    buf_add(&state->newest, record.newest, size);
    bool known = event_decode(&event, record.newest, size, NULL) == 0;
    bool fits = known && strcmp(event.envelope.node, state->name) == 0 &&
                event.envelope.epoch == state->epoch && event.envelope.nodeseq == state->nodeseq;
    if (known)
        event_release(&event);
    schema_release(newest_schema(), &record);
    if (state->newest.failed)
        return err_nomem(err, "reading a snapshot");
    return fits ? 0 : bad_line(lines, err, "the event is not the newest one that the header speaks of");
}

static struct container *container_from_record(struct snapshot_container *record)
{
    struct container *container = calloc(1, sizeof(*container));
    if (container == NULL)
        return NULL;
    memcpy(container->id, record->id, sizeof(container->id));
    container->name = steal_ptr(record->name);
    container->image_digest = steal_ptr(record->image_digest);
    container->spec = record->spec;
    schema_init(&container_spec_schema, &record->spec);
    container->state = (enum container_state)container_state_by_name(record->state);
    container->version = record->version;
    container->incarnation = record->incarnation;
    container->pid = record->pid;
    container->shim_pid = record->shim_pid;
    container->created_at_ns = record->created_at_ns;
    container->started_at_ns = record->started_at_ns;
    container->finished_at_ns = record->finished_at_ns;
    container->exit_code = record->exit_code;
    container->boot = record->boot;
    container->stopped_by_user = record->stopped_by_user;
    container->just_exited = record->just_exited;
    container->restarts = record->restarts;
    container->restart_attempt = record->restart_attempt;
    container->restart_due_ns = record->restart_due_ns;
    if (record->health != NULL)
        container->health = (enum container_health)container_health_by_name(record->health);
    if (record->interrupted_by != NULL)
        container->interrupted_by = interruption_by_name(record->interrupted_by);
    if (record->created_by != NULL)
        memcpy(container->created_by, record->created_by, sizeof(container->created_by));
    memcpy(container->last_event_id, record->last_event_id, sizeof(container->last_event_id));
    memcpy(container->correlationid, record->correlationid, sizeof(container->correlationid));
    return container;
}

static int take_container(struct node_state *state, struct lines *lines, struct err *err)
{
    struct snapshot_container record;
    if (next_record(lines, container_schema(), &record, err) < 0)
        return -1;
    int rc = 0;
    if (node_state_container(state, record.id) != NULL || node_state_by_name(state, record.name) != NULL) {
        rc = bad_line(lines, err, "a second container of that id or name");
    } else {
        struct container *container = container_from_record(&record);
        if (container == NULL || node_state_add_container_take(state, container) < 0)
            rc = err_nomem(err, "reading a snapshot");
    }
    schema_release(container_schema(), &record);
    return rc;
}

static struct exec *exec_from_record(const struct snapshot_exec *record)
{
    struct exec *exec = calloc(1, sizeof(*exec));
    if (exec == NULL)
        return NULL;
    *exec = (struct exec){.incarnation = record->incarnation,
                          .boot = record->boot,
                          .pid = record->pid,
                          .shim_pid = record->shim_pid,
                          .attach = record->attach,
                          .interactive = record->interactive,
                          .tty = record->tty};
    memcpy(exec->id, record->id, sizeof(exec->id));
    memcpy(exec->container_id, record->container, sizeof(exec->container_id));
    memcpy(exec->started_event_id, record->started_event_id, sizeof(exec->started_event_id));
    memcpy(exec->correlationid, record->correlationid, sizeof(exec->correlationid));
    return exec;
}

static int take_exec(struct node_state *state, struct lines *lines, struct err *err)
{
    struct snapshot_exec record;
    if (next_record(lines, exec_schema(), &record, err) < 0)
        return -1;
    int rc = 0;
    if (node_state_container(state, record.container) == NULL || node_state_exec(state, record.id) != NULL) {
        rc = bad_line(lines, err, "an exec of no container, or a second one of that id");
    } else {
        struct exec *exec = exec_from_record(&record);
        if (exec == NULL || node_state_add_exec_take(state, exec) < 0)
            rc = err_nomem(err, "reading a snapshot");
    }
    schema_release(exec_schema(), &record);
    return rc;
}

static int take_image(struct node_state *state, struct lines *lines, struct err *err)
{
    struct snapshot_image record;
    struct image *found = NULL;
    if (next_record(lines, image_schema(), &record, err) < 0)
        return -1;
    HASH_FIND_STR(state->images, record.reference, found);
    struct image *image =
        found == NULL ? image_new(record.reference, record.digest, image_schema(), &record) : NULL;
    if (image != NULL) {
        image->size_bytes = record.size_bytes;
        image->imported_at_ns = record.imported_at_ns;
    }
    schema_release(image_schema(), &record);
    if (found != NULL)
        return bad_line(lines, err, "a second image of that reference");
    if (image == NULL)
        return err_nomem(err, "reading a snapshot");
    return node_state_add_image_take(state, image) < 0 ? err_nomem(err, "reading a snapshot") : 0;
}

/* Items of one line: those from `at` on are an answer. Returns how many were used, 0 for what cannot be, -1
 * without memory. */
static int take_answer(struct node_state *state, const json_t *items, size_t at)
{
    const char *id = json_string_value(json_array_get(items, at));
    const json_t *offset = json_array_get(items, at + 1);
    if (id == NULL || !uuid_is_valid(id) || !json_is_integer(offset) || json_integer_value(offset) < 0)
        return 0;
    return node_state_add_answer(state, id, json_integer_value(offset)) < 0 ? -1 : 2;
}

static int take_answered(struct node_state *state, const json_t *items, size_t at)
{
    const json_t *offset = json_array_get(items, at);
    /* the next after the watermark would have moved it */
    if (!json_is_integer(offset) || json_integer_value(offset) <= state->answered_through + 1)
        return 0;
    return node_state_skip_offset(state, json_integer_value(offset)) < 0 ? -1 : 1;
}

typedef int (*take_item)(struct node_state *state, const json_t *items, size_t at);

/* One line of items; adds how many there were to *ret_n. */
static int take_line(struct node_state *state, struct lines *lines, take_item take, int64_t *ret_n,
                     struct err *err)
{
    json_auto_t *items = NULL;
    if (next_document(lines, &items, err) < 0)
        return -1;
    if (json_array_size(items) == 0)
        return bad_line(lines, err, "not an array of answers");
    for (size_t at = 0; at < json_array_size(items); ++*ret_n) {
        int used = take(state, items, at);
        if (used < 0)
            return err_nomem(err, "reading a snapshot");
        if (used == 0)
            return bad_line(lines, err, "not an array of answers as wharf writes them");
        at += (size_t)used;
    }
    return 0;
}

/* Reads `n` items. */
static int take_lines(struct node_state *state, struct lines *lines, int64_t n, take_item take,
                      struct err *err)
{
    int64_t taken = 0;
    while (taken < n)
        if (take_line(state, lines, take, &taken, err) < 0)
            return -1;
    return taken == n ? 0 : bad_line(lines, err, "more answers than the header counts");
}

static int take_header(struct node_state *state, struct snapshot_header *record, struct err *err)
{
    state->partition = record->partition;
    state->boot_id = steal_ptr(record->boot_id);
    state->boots = record->boots;
    state->epoch = record->epoch;
    state->nodeseq = record->nodeseq;
    state->answered_through = record->answered_through;
    state->events_applied = record->events_applied;
    state->events_fenced = record->events_fenced;
    state->events_illegal = record->events_illegal;
    if (strcmp(record->node, state->name) == 0)
        return 0;
    return err_set(err, ERR_CONFLICT, "is of node '%s', not of '%s'", record->node, state->name);
}

static int take_volume(struct node_state *state, struct lines *lines, struct err *err)
{
    struct snapshot_volume record;
    if (next_record(lines, volume_schema(), &record, err) < 0)
        return -1;
    struct volume *found = node_state_volume(state, record.name);
    struct volume *volume = found == NULL ? calloc(1, sizeof(*volume)) : NULL;
    if (volume == NULL) {
        schema_release(volume_schema(), &record);
        return found != NULL ? bad_line(lines, err, "a second volume of that name")
                             : err_nomem(err, "reading a snapshot");
    }
    *volume = (struct volume){.name = steal_ptr(record.name),
                              .labels = record.labels,
                              .found = record.found,
                              .created_at_ns = record.created_at_ns,
                              .doomed = record.doomed};
    record.labels = (struct string_map){0};
    snprintf(volume->owner, sizeof(volume->owner), "%s", record.owner != NULL ? record.owner : "");
    schema_release(volume_schema(), &record);
    return node_state_add_volume_take(state, volume) < 0 ? err_nomem(err, "reading a snapshot") : 0;
}

static int take_body(struct node_state *state, const struct snapshot_header *record, struct lines *lines,
                     struct err *err)
{
    if (take_newest(state, lines, err) < 0)
        return -1;
    for (int64_t i = 0; i < record->containers; i++)
        if (take_container(state, lines, err) < 0)
            return -1;
    for (int64_t i = 0; i < record->execs; i++)
        if (take_exec(state, lines, err) < 0)
            return -1;
    for (int64_t i = 0; i < record->images; i++)
        if (take_image(state, lines, err) < 0)
            return -1;
    for (int64_t i = 0; i < record->volumes; i++)
        if (take_volume(state, lines, err) < 0)
            return -1;
    if (take_lines(state, lines, record->answers, take_answer, err) < 0 ||
        take_lines(state, lines, record->answered, take_answered, err) < 0)
        return -1;
    if (HASH_COUNT(state->answers) != record->answers || HASH_COUNT(state->answered) != record->answered)
        return err_set(err, ERR_CORRUPT, "names an answer twice");
    if (lines->at != lines->end)
        return err_set(err, ERR_CORRUPT, "goes on after what its header counts, at line %" PRId64,
                       lines->number + 1);
    return 0;
}

int snapshot_decode(struct node_state *ret, int64_t *ret_next_offset, const char *node, const void *bytes,
                    size_t size, struct err *err)
{
    struct lines lines = {.at = bytes};
    struct snapshot_header record;
    struct node_state state;
    if (check_version(bytes, size, err) < 0)
        return -1;
    ssize_t sealed = seal_check(bytes, size, err);
    if (sealed < 0)
        return -1;
    lines.end = lines.at + sealed;
    if (next_record(&lines, header_schema(), &record, err) < 0)
        return -1;
    int rc = node_state_init(&state, node) < 0 ? err_nomem(err, "reading a snapshot") : 0;
    if (rc == 0)
        rc = take_header(&state, &record, err);
    if (rc == 0)
        rc = take_body(&state, &record, &lines, err);
    int64_t next_offset = record.next_offset;
    schema_release(header_schema(), &record);
    if (rc < 0) {
        node_state_release(&state);
        return -1;
    }
    *ret = state;
    *ret_next_offset = next_offset;
    return 0;
}
