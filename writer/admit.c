/* SPDX-License-Identifier: Apache-2.0 */
#include "writer/admit.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"

static int refuse(struct admit_refusal *refusal, struct err *err, const char *code, const char *pointer,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static int refuse(struct admit_refusal *refusal, struct err *err, const char *code, const char *pointer,
                  const char *fmt, ...)
{
    char why[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    refusal->code = code;
    refusal->has_pointer = pointer != NULL;
    snprintf(refusal->pointer, sizeof(refusal->pointer), "%s", pointer != NULL ? pointer : "");
    return err_set(err, ERR_INVALID, "%s", why);
}

/* A member's name as the last token of a JSON pointer (RFC 6901, section 3). */
static void format_pointer(char ret[SCHEMA_POINTER_SIZE], const char *name)
{
    size_t used = 0;
    ret[used++] = '/';
    for (; *name != '\0' && used + 3 < SCHEMA_POINTER_SIZE; name++) {
        if (*name == '~' || *name == '/') {
            ret[used++] = '~';
            ret[used++] = *name == '~' ? '0' : '1';
        } else {
            ret[used++] = *name;
        }
    }
    ret[used] = '\0';
}

static int check_members(const json_t *body, struct admit_refusal *refusal, struct err *err)
{
    static const char *const known[] = {"type", "data", "node", "if_version"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            found = found || strcmp(name, known[i]) == 0;
        if (found)
            continue;
        char pointer[SCHEMA_POINTER_SIZE];
        format_pointer(pointer, name);
        return refuse(refusal, err, "unknown-field", pointer,
                      "'%s' is unknown; a command has type, data, node and "
                      "if_version",
                      pointer);
    }
    return 0;
}

static int read_type(const json_t *body, enum command_type *ret, struct admit_refusal *refusal,
                     struct err *err)
{
    const json_t *type = json_object_get(body, "type");
    if (type == NULL)
        return refuse(refusal, err, "missing-field", "/type", "'/type' is missing: it names the command");
    if (!json_is_string(type))
        return refuse(refusal, err, "wrong-type", "/type", "'/type' must be a string");
    int found = command_type_by_api_name(json_string_value(type));
    if (found < 0)
        return refuse(refusal, err, "unknown-command", "/type", "there is no command '%.100s'",
                      json_string_value(type));
    *ret = (enum command_type)found;
    return 0;
}

static int read_node(const json_t *body, char **ret, struct admit_refusal *refusal, struct err *err)
{
    const json_t *node = json_object_get(body, "node");
    if (node == NULL || json_is_null(node))
        return 0;
    if (!json_is_string(node))
        return refuse(refusal, err, "wrong-type", "/node", "'/node' must be a string");
    if (json_string_length(node) == 0)
        return refuse(refusal, err, "bad-value", "/node", "'/node' must not be empty");
    *ret = strdup(json_string_value(node));
    return *ret != NULL ? 0 : err_nomem(err, "admitting a command");
}

static int read_if_version(const json_t *body, int64_t *ret, struct admit_refusal *refusal, struct err *err)
{
    const json_t *version = json_object_get(body, "if_version");
    if (version == NULL || json_is_null(version))
        return 0;
    if (!json_is_integer(version))
        return refuse(refusal, err, "wrong-type", "/if_version", "'/if_version' must be an integer");
    if (json_integer_value(version) < 1)
        return refuse(refusal, err, "out-of-range", "/if_version", "'/if_version' must be 1 or more");
    *ret = json_integer_value(version);
    return 0;
}

static int read_data(const json_t *body, struct command *command, struct admit_refusal *refusal,
                     struct err *err)
{
    const json_t *data = json_object_get(body, "data");
    if (data == NULL)
        return refuse(refusal, err, "missing-field", "/data", "'/data' is missing: it says what %s is about",
                      command_types[command->type].api_name);
    struct schema_error where = {.code = NULL};
    if (schema_decode(command_types[command->type].schema(), data, "/data", &command->data, &where, err) == 0)
        return 0;
    if (where.code != NULL) {
        refusal->code = where.code;
        refusal->has_pointer = true;
        memcpy(refusal->pointer, where.pointer, sizeof(refusal->pointer));
    }
    return -1;
}

bool admit_makes_container(enum command_type type)
{
    return type == COMMAND_CONTAINER_RUN || type == COMMAND_CONTAINER_CREATE;
}

static bool is_lower_hex(const char *text, size_t size)
{
    return strspn(text, "0123456789abcdef") >= size;
}

/* True if not all of the digits are 0. */
static bool is_not_zero(const char *text, size_t size)
{
    return strspn(text, "0") < size;
}

bool admit_traceparent_is_valid(const char *text)
{
    enum { VERSION = 0, TRACE = 3, PARENT = 36, FLAGS = 53, SIZE = 55 };
    size_t size = strlen(text);
    if (size < SIZE || text[TRACE - 1] != '-' || text[PARENT - 1] != '-' || text[FLAGS - 1] != '-')
        return false;
    if (!is_lower_hex(text + VERSION, 2) || !is_lower_hex(text + TRACE, 32) ||
        !is_lower_hex(text + PARENT, 16) || !is_lower_hex(text + FLAGS, 2) ||
        !is_not_zero(text + TRACE, 32) || !is_not_zero(text + PARENT, 16))
        return false;
    if (strncmp(text, "00", 2) == 0)
        return size == SIZE;
    bool printable = size <= 255 && strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz-") == size;
    return strncmp(text, "ff", 2) != 0 && printable && (size == SIZE || text[SIZE] == '-');
}

static int check_key(const char *key, struct admit_refusal *refusal, struct err *err)
{
    size_t size = strlen(key);
    for (size_t i = 0; i < size; i++)
        if (key[i] < 0x20 || key[i] > 0x7e)
            size = 0;
    if (size == 0 || size > ADMIT_KEY_SIZE_MAX)
        return refuse(refusal, err, "bad-value", NULL,
                      "the header Idempotency-Key must have 1 to %d printable ASCII characters",
                      ADMIT_KEY_SIZE_MAX);
    return 0;
}

static int stamp_command(struct command *command, const struct admit_stamp *stamp, struct err *err)
{
    struct envelope *envelope = &command->envelope;
    if (stamp->idempotency_key != NULL)
        uuid_from_key(envelope->id, stamp->key_scope, stamp->idempotency_key);
    else
        uuid_v7(envelope->id, stamp->now_ns, stamp->random);
    memcpy(envelope->correlationid, envelope->id, sizeof(envelope->id));
    envelope->time_ns = stamp->now_ns;
    char container[CONTAINER_ID_SIZE];
    container_id_from_command(container, envelope->id);
    envelope->subject = strdup(admit_makes_container(command->type) ? container : command_reference(command));
    envelope->source = strdup(ADMIT_SOURCE);
    envelope->actor = strdup(stamp->actor);
    bool traced = stamp->traceparent != NULL && admit_traceparent_is_valid(stamp->traceparent);
    if (traced)
        envelope->traceparent = strdup(stamp->traceparent);
    if (envelope->subject == NULL || envelope->source == NULL || envelope->actor == NULL ||
        (traced && envelope->traceparent == NULL))
        return err_nomem(err, "admitting a command");
    return 0;
}

static int admit_document(struct command *ret, const json_t *body, const struct admit_stamp *stamp,
                          struct admit_refusal *refusal, struct err *err)
{
    enum command_type type = COMMAND_TYPES;
    if (!json_is_object(body))
        return refuse(refusal, err, "wrong-type", "", "a command is a JSON object");
    if (check_members(body, refusal, err) < 0 || read_type(body, &type, refusal, err) < 0)
        return -1;
    command_init(ret, type);
    if (read_data(body, ret, refusal, err) < 0) {
        command_init(ret, type); /* the decoder has left nothing allocated */
        return -1;
    }
    if (read_node(body, &ret->envelope.node, refusal, err) < 0 ||
        read_if_version(body, &ret->envelope.ifversion, refusal, err) < 0 ||
        stamp_command(ret, stamp, err) < 0) {
        command_release(ret);
        return -1;
    }
    return 0;
}

int admit(struct command *ret, const void *body, size_t size, const struct admit_stamp *stamp,
          struct admit_refusal *refusal, struct err *err)
{
    *refusal = (struct admit_refusal){.code = "bad-value"};
    if (stamp->idempotency_key != NULL && check_key(stamp->idempotency_key, refusal, err) < 0)
        return -1;
    json_error_t where;
    json_auto_t *document = json_loadb(body, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (document == NULL)
        return refuse(refusal, err, "bad-json", NULL, "the body is not valid JSON: %s at byte %d", where.text,
                      where.position);
    return admit_document(ret, document, stamp, refusal, err);
}

int admit_fingerprint(const struct command *command, char ret[SHA256_HEX_SIZE], struct err *err)
{
    const struct message_type *type = &command_types[command->type];
    json_auto_t *data = schema_encode(type->schema(), &command->data);
    auto_free char *text = data != NULL ? json_dumps(data, JSON_COMPACT) : NULL;
    auto_free char *whole = NULL;
    if (text == NULL ||
        asprintf(&whole, "%s %lld %s", type->api_name, (long long)command->envelope.ifversion, text) < 0) {
        whole = NULL;
        return err_nomem(err, "admitting a command");
    }
    sha256_hex(ret, whole, strlen(whole));
    return 0;
}
