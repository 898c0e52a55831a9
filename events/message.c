/* SPDX-License-Identifier: Apache-2.0 */
#include "events/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Opens and closes a function that returns the schema of `type`. */
#define SCHEMA_BEGIN(member, type, title)                                                                    \
    static const struct schema *member##_schema(void)                                                        \
    {                                                                                                        \
        typedef type owner;                                                                                  \
        static const char schema_name[] = title;                                                             \
        static const struct schema_field fields[] = {
#define SCHEMA_END                                                                                           \
    }                                                                                                        \
    ;                                                                                                        \
    static const struct schema schema = {schema_name, sizeof(owner), fields,                                 \
                                         sizeof(fields) / sizeof(struct schema_field)};                      \
    return &schema;                                                                                          \
    }

/* clang-format off: it cannot see through the rows */
#include "events/def_schema_fields.h"
#define owner struct container_mount
static const struct schema_field mount_fields[] = {
#include "events/mount.def"
};
const struct schema container_mount_schema = {"mount", sizeof(struct container_mount), mount_fields,
                                              sizeof(mount_fields) / sizeof(mount_fields[0])};
#undef owner
#define owner struct container_spec
static const struct schema_field spec_fields[] = {
#include "events/spec.def"
};
const struct schema container_spec_schema = {"container spec", sizeof(struct container_spec), spec_fields,
                                             sizeof(spec_fields) / sizeof(spec_fields[0])};
#undef owner
#define owner struct image_config
static const struct schema_field image_config_fields[] = {
#include "events/image_config.def"
};
const struct schema image_config_schema = {"image configuration", sizeof(struct image_config),
                                           image_config_fields,
                                           sizeof(image_config_fields) / sizeof(image_config_fields[0])};
#undef owner
#define owner struct health_config
static const struct schema_field health_config_fields[] = {
#include "events/health.def"
};
const struct schema health_config_schema = {"health check", sizeof(struct health_config),
                                            health_config_fields,
                                            sizeof(health_config_fields) / sizeof(health_config_fields[0])};
#undef owner

#define COMMAND(ENUM, member, type, version, doc) SCHEMA_BEGIN(member, struct member##_command, type)
#define END(member) SCHEMA_END
#include "events/commands.def"
#undef END
#define EVENT(ENUM, member, type, version, doc) SCHEMA_BEGIN(member, struct member##_event, type)
#define END(member) SCHEMA_END
#include "events/events.def"
#include "events/def_end.h"

#define MESSAGE_TYPE(member, type, version_, doc_)                                                           \
    {.api_name = type,                                                                                       \
     .log_name = "wharf." type ".v" #version_,                                                               \
     .version = version_,                                                                                    \
     .schema = member##_schema,                                                                              \
     .doc = doc_},
const struct message_type command_types[COMMAND_TYPES] = {
#define COMMAND(ENUM, member, type, version, doc) [COMMAND_##ENUM] = MESSAGE_TYPE(member, type, version, doc)
#include "events/def_ignore_fields.h"
#include "events/commands.def"
#include "events/def_end.h"
};
const struct message_type event_types[EVENT_TYPES] = {
#define EVENT(ENUM, member, type, version, doc) [EVENT_##ENUM] = MESSAGE_TYPE(member, type, version, doc)
#include "events/def_ignore_fields.h"
#include "events/events.def"
#include "events/def_end.h"
};
/* clang-format on */

int command_type_by_api_name(const char *name)
{
    for (int i = 0; i < COMMAND_TYPES; i++)
        if (strcmp(command_types[i].api_name, name) == 0)
            return i;
    return -1;
}

static int type_by_log_name(const struct message_type *types, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(types[i].log_name, name) == 0)
            return i;
    return -1;
}

static const char *const outcome_names[] = {
    [OUTCOME_NONE] = NULL, [OUTCOME_OK] = "ok", [OUTCOME_REFUSED] = "refused", [OUTCOME_FAILED] = "failed"};

const char *outcome_name(enum outcome outcome)
{
    return outcome_names[outcome];
}

static const char *check_outcome(const char *text)
{
    for (int i = OUTCOME_OK; i <= OUTCOME_FAILED; i++)
        if (strcmp(text, outcome_names[i]) == 0)
            return NULL;
    return "must be ok, refused or failed";
}

static const char *check_specversion(const char *text)
{
    return strcmp(text, "1.0") == 0 ? NULL : "must be 1.0";
}

static const char *check_datacontenttype(const char *text)
{
    return strcmp(text, "application/json") == 0 ? NULL : "must be application/json";
}

/* clang-format off: as above */
/* The envelope as it stands in JSON; `data` is taken out before it is decoded. */
#include "events/def_struct_fields.h"
struct attributes {
#include "events/attributes.def"
};
#include "events/def_end.h"

#include "events/def_schema_fields.h"
SCHEMA_BEGIN(attributes, struct attributes, "CloudEvents envelope")
#include "events/attributes.def"
SCHEMA_END
#include "events/def_end.h"
/* clang-format on */

enum standing envelope_standing(const struct envelope *envelope, int64_t *epoch, int64_t *nodeseq)
{
    if (envelope->epoch < *epoch)
        return STANDING_FENCED;
    if (envelope->nodeseq <= *nodeseq)
        return STANDING_STALE;
    *epoch = envelope->epoch;
    *nodeseq = envelope->nodeseq;
    return STANDING_COUNTS;
}

void envelope_init(struct envelope *envelope)
{
    *envelope = (struct envelope){.streamversion = SCHEMA_ABSENT,
                                  .nodeseq = SCHEMA_ABSENT,
                                  .epoch = SCHEMA_ABSENT,
                                  .commandoffset = SCHEMA_ABSENT,
                                  .ifversion = SCHEMA_ABSENT};
}

void envelope_release(struct envelope *envelope)
{
    free(envelope->source);
    free(envelope->type);
    free(envelope->subject);
    free(envelope->node);
    free(envelope->actor);
    free(envelope->traceparent);
    envelope_init(envelope);
}

void command_init(struct command *command, enum command_type type)
{
    envelope_init(&command->envelope);
    command->type = type;
    schema_init(command_types[type].schema(), &command->data);
}

void command_release(struct command *command)
{
    envelope_release(&command->envelope);
    schema_release(command_types[command->type].schema(), &command->data);
}

const char *command_reference(const struct command *command)
{
    switch (command->type) {
    case COMMAND_CONTAINER_START:
        return command->data.container_start.container;
    case COMMAND_CONTAINER_STOP:
        return command->data.container_stop.container;
    case COMMAND_CONTAINER_KILL:
        return command->data.container_kill.container;
    case COMMAND_CONTAINER_RESTART:
        return command->data.container_restart.container;
    case COMMAND_CONTAINER_REMOVE:
        return command->data.container_remove.container;
    case COMMAND_CONTAINER_PAUSE:
        return command->data.container_pause.container;
    case COMMAND_CONTAINER_UNPAUSE:
        return command->data.container_unpause.container;
    case COMMAND_CONTAINER_RENAME:
        return command->data.container_rename.container;
    case COMMAND_CONTAINER_UPDATE:
        return command->data.container_update.container;
    case COMMAND_CONTAINER_EXEC:
        return command->data.container_exec.container;
    case COMMAND_CONTAINER_COMMIT:
        return command->data.container_commit.container;
    case COMMAND_IMAGE_IMPORT:
        return command->data.image_import.reference;
    case COMMAND_IMAGE_REMOVE:
        return command->data.image_remove.image;
    case COMMAND_VOLUME_CREATE:
        return command->data.volume_create.name;
    case COMMAND_VOLUME_REMOVE:
        return command->data.volume_remove.volume;
    case COMMAND_OCI_REPORT:
        return command->data.oci_report.container;
    case COMMAND_CONTAINER_RUN:
    case COMMAND_CONTAINER_CREATE:
    case COMMAND_TYPES:
        break;
    }
    return NULL;
}

void event_init(struct event *event, enum event_type type)
{
    envelope_init(&event->envelope);
    event->type = type;
    schema_init(event_types[type].schema(), &event->data);
}

void event_release(struct event *event)
{
    envelope_release(&event->envelope);
    schema_release(event_types[event->type].schema(), &event->data);
}

static enum outcome outcome_by_name(const char *name)
{
    for (enum outcome i = OUTCOME_OK; name != NULL && i <= OUTCOME_FAILED; i++)
        if (strcmp(outcome_names[i], name) == 0)
            return i;
    return OUTCOME_NONE;
}

static void copy_text(char *ret, size_t size, const char *text)
{
    snprintf(ret, size, "%s", text != NULL ? text : "");
}

/* The checks of the table have vouched for lengths and forms, so this cannot fail. */
static void envelope_take_attributes(struct envelope *ret, struct attributes *attributes)
{
    envelope_init(ret);
    copy_text(ret->id, sizeof(ret->id), attributes->id);
    copy_text(ret->correlationid, sizeof(ret->correlationid), attributes->correlationid);
    copy_text(ret->causationid, sizeof(ret->causationid), attributes->causationid);
    copy_text(ret->prevhash, sizeof(ret->prevhash), attributes->prevhash);
    timestamp_parse(attributes->time, &ret->time_ns, NULL);
    ret->outcome = outcome_by_name(attributes->outcome);
    ret->source = steal_ptr(attributes->source);
    ret->type = steal_ptr(attributes->type);
    ret->subject = steal_ptr(attributes->subject);
    ret->node = steal_ptr(attributes->node);
    ret->actor = steal_ptr(attributes->actor);
    ret->traceparent = steal_ptr(attributes->traceparent);
    ret->streamversion = attributes->streamversion;
    ret->nodeseq = attributes->nodeseq;
    ret->epoch = attributes->epoch;
    ret->commandoffset = attributes->commandoffset;
    ret->ifversion = attributes->ifversion;
}

/* Events carry the extensions that chain them; a hand-written one without them would break evolve. */
static int check_event_envelope(const struct envelope *envelope, struct err *err)
{
    const char *missing = envelope->streamversion == SCHEMA_ABSENT ? "streamversion"
                          : envelope->nodeseq == SCHEMA_ABSENT     ? "nodeseq"
                          : envelope->epoch == SCHEMA_ABSENT       ? "epoch"
                          : envelope->prevhash[0] == '\0'          ? "prevhash"
                          : envelope->subject == NULL              ? "subject"
                                                                   : NULL;
    if (missing != NULL)
        return err_set(err, ERR_INVALID, "'/%s' is missing in an event", missing);
    if (envelope->outcome != OUTCOME_NONE &&
        (envelope->causationid[0] == '\0' || envelope->commandoffset == SCHEMA_ABSENT))
        return err_set(err, ERR_INVALID, "'/commandoffset' or '/causationid' is missing beside outcome");
    return 0;
}

/* Parses the document, decodes the attributes, and hands out `data` (a new reference). */
static int decode_envelope(struct envelope *ret, json_t **ret_data, const void *bytes, size_t size,
                           struct err *err)
{
    json_error_t where;
    json_auto_t *document = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &where);
    if (document == NULL)
        return err_set(err, ERR_INVALID, "not valid JSON: %s at byte %d", where.text, where.position);
    if (!json_is_object(document))
        return err_set(err, ERR_INVALID, "'/' must be an object");
    json_auto_t *data = json_incref(json_object_get(document, "data"));
    if (data == NULL)
        return err_set(err, ERR_INVALID, "'/data' is missing");
    json_object_del(document, "data");
    struct attributes attributes;
    if (schema_decode(attributes_schema(), document, "", &attributes, NULL, err) < 0)
        return -1;
    envelope_take_attributes(ret, &attributes);
    schema_release(attributes_schema(), &attributes);
    *ret_data = steal_ptr(data);
    return 0;
}

int command_decode(struct command *ret, const void *bytes, size_t size, struct err *err)
{
    struct envelope envelope;
    json_auto_t *data = NULL;
    if (decode_envelope(&envelope, &data, bytes, size, err) < 0)
        return -1;
    int type = type_by_log_name(command_types, COMMAND_TYPES, envelope.type);
    if (type < 0) {
        err_set(err, ERR_INVALID, "'/type' names no known command: '%.100s'", envelope.type);
        envelope_release(&envelope);
        return -1;
    }
    if (schema_decode(command_types[type].schema(), data, "/data", &ret->data, NULL, err) < 0) {
        envelope_release(&envelope);
        return -1;
    }
    ret->envelope = envelope;
    ret->type = (enum command_type)type;
    return 0;
}

int event_decode(struct event *ret, const void *bytes, size_t size, struct err *err)
{
    struct envelope envelope;
    json_auto_t *data = NULL;
    if (decode_envelope(&envelope, &data, bytes, size, err) < 0)
        return -1;
    int type = type_by_log_name(event_types, EVENT_TYPES, envelope.type);
    if (type < 0)
        err_set(err, ERR_INVALID, "'/type' names no known event: '%.100s'", envelope.type);
    if (type < 0 || check_event_envelope(&envelope, err) < 0 ||
        schema_decode(event_types[type].schema(), data, "/data", &ret->data, NULL, err) < 0) {
        envelope_release(&envelope);
        return -1;
    }
    ret->envelope = envelope;
    ret->type = (enum event_type)type;
    return 0;
}

static char *text_or_null(const char *text)
{
    return text[0] != '\0' ? (char *)text : NULL;
}

static char *encode(const struct envelope *envelope, const struct message_type *type, const void *data,
                    size_t *ret_size, struct err *err)
{
    char time[TIMESTAMP_SIZE];
    timestamp_format(time, envelope->time_ns);
    struct attributes attributes = {
        .specversion = (char *)"1.0",
        .id = (char *)envelope->id,
        .source = envelope->source,
        .type = (char *)type->log_name,
        .subject = envelope->subject,
        .time = time,
        .datacontenttype = (char *)"application/json",
        .node = envelope->node,
        .actor = envelope->actor,
        .correlationid = (char *)envelope->correlationid,
        .causationid = text_or_null(envelope->causationid),
        .streamversion = envelope->streamversion,
        .nodeseq = envelope->nodeseq,
        .epoch = envelope->epoch,
        .prevhash = text_or_null(envelope->prevhash),
        .outcome = (char *)outcome_name(envelope->outcome),
        .commandoffset = envelope->commandoffset,
        .ifversion = envelope->ifversion,
        .traceparent = envelope->traceparent,
    };
    json_auto_t *document = schema_encode(attributes_schema(), &attributes);
    char *text = NULL;
    if (document != NULL && json_object_set_new(document, "data", schema_encode(type->schema(), data)) == 0)
        text = json_dumps(document, JSON_COMPACT);
    if (text == NULL) {
        err_nomem(err, "encoding a message");
        return NULL;
    }
    *ret_size = strlen(text);
    return text;
}

char *command_encode(const struct command *command, size_t *ret_size, struct err *err)
{
    return encode(&command->envelope, &command_types[command->type], &command->data, ret_size, err);
}

char *event_encode(const struct event *event, size_t *ret_size, struct err *err)
{
    return encode(&event->envelope, &event_types[event->type], &event->data, ret_size, err);
}
