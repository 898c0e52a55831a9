/* SPDX-License-Identifier: Apache-2.0 */
#include "events/schema.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

const char *check_any(const char *text)
{
    (void)text;
    return NULL;
}

static void *member_of(const struct schema_field *field, void *data)
{
    return (char *)data + field->offset;
}

static const void *const_member_of(const struct schema_field *field, const void *data)
{
    return (const char *)data + field->offset;
}

static const struct schema_field *find_field(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (strcmp(schema->fields[i].name, name) == 0)
            return &schema->fields[i];
    return NULL;
}

void strings_release(struct strings *strings)
{
    for (size_t i = 0; i < strings->n; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct strings){0};
}

bool strings_say_none(const struct strings *strings)
{
    return strings->n == 1 && strings->items[0][0] == '\0';
}

void string_map_release(struct string_map *map)
{
    for (size_t i = 0; i < map->n; i++) {
        free(map->items[i].key);
        free(map->items[i].value);
    }
    free(map->items);
    *map = (struct string_map){0};
}

int strings_add(struct strings *strings, const char *text)
{
    char **grown = realloc(strings->items, (strings->n + 2) * sizeof(*grown));
    if (grown == NULL)
        return -1;
    strings->items = grown;
    grown[strings->n] = strdup(text);
    grown[strings->n + 1] = NULL;
    if (grown[strings->n] == NULL)
        return -1;
    strings->n++;
    return 0;
}

int strings_copy(struct strings *ret, const struct strings *from)
{
    for (size_t i = 0; i < from->n; i++)
        if (strings_add(ret, from->items[i]) < 0)
            return -1;
    return 0;
}

static int string_map_add(struct string_map *ret, const struct string_pair *from)
{
    struct string_pair *grown = realloc(ret->items, (ret->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return -1;
    ret->items = grown;
    struct string_pair *pair = &grown[ret->n++]; /* counted first, so that a half is released too */
    pair->key = strdup(from->key);
    pair->value = strdup(from->value);
    return pair->key == NULL || pair->value == NULL ? -1 : 0;
}

int string_map_copy(struct string_map *ret, const struct string_map *from)
{
    for (size_t i = 0; i < from->n; i++)
        if (string_map_add(ret, &from->items[i]) < 0)
            return -1;
    return 0;
}

int string_map_add_missing(struct string_map *ret, const struct string_map *from)
{
    for (size_t i = 0; i < from->n; i++)
        if (string_map_get(ret, from->items[i].key) == NULL && string_map_add(ret, &from->items[i]) < 0)
            return -1;
    return 0;
}

const char *string_map_get(const struct string_map *map, const char *key)
{
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->items[i].key, key) == 0)
            return map->items[i].value;
    return NULL;
}

static void *object_at(const struct schema *schema, const struct objects *objects, size_t i)
{
    return (char *)objects->items + i * schema->size;
}

static void objects_release(const struct schema *schema, struct objects *objects)
{
    for (size_t i = 0; i < objects->n; i++)
        schema_release(schema, object_at(schema, objects, i));
    free(objects->items);
    *objects = (struct objects){0};
}

static int objects_copy(const struct schema *schema, struct objects *ret, const struct objects *from)
{
    if (from->n == 0)
        return 0;
    ret->items = calloc(from->n, schema->size);
    for (; ret->items != NULL && ret->n < from->n; ret->n++) {
        if (schema_copy(schema, object_at(schema, ret, ret->n), object_at(schema, from, ret->n)) < 0)
            return -1;
    }
    return ret->items != NULL ? 0 : -1;
}

void schema_init(const struct schema *schema, void *data)
{
    memset(data, 0, schema->size);
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        if (field->kind == SCHEMA_INT)
            *(int64_t *)member_of(field, data) = SCHEMA_ABSENT;
        else if (field->kind == SCHEMA_OBJECT)
            schema_init(field->sub, member_of(field, data));
    }
}

static void clear_member(const struct schema_field *field, void *member)
{
    switch (field->kind) {
    case SCHEMA_STRING:
        free(*(char **)member);
        *(char **)member = NULL;
        break;
    case SCHEMA_STRINGS:
        strings_release(member);
        break;
    case SCHEMA_MAP:
        string_map_release(member);
        break;
    case SCHEMA_OBJECT:
        schema_release(field->sub, member);
        break;
    case SCHEMA_OBJECTS:
        objects_release(field->sub, member);
        break;
    case SCHEMA_INT:
        *(int64_t *)member = SCHEMA_ABSENT;
        break;
    case SCHEMA_BOOL:
        *(bool *)member = false;
        break;
    }
}

void schema_release(const struct schema *schema, void *data)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        clear_member(&schema->fields[i], member_of(&schema->fields[i], data));
}

void schema_clear_shared(const struct schema *schema, void *data, const struct schema *other)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (find_field(other, schema->fields[i].name) != NULL)
            clear_member(&schema->fields[i], member_of(&schema->fields[i], data));
}

/* One decoding under way: where errors go, and the path from the root for their pointer. */
struct decoder {
    struct schema_error *where;
    struct err *err;
    const struct decoder *parent;
    const char *prefix; /* of the root decoder */
    const char *token;  /* of the others */
};

/* Writes the path as a JSON pointer, escaped as RFC 6901, section 3 says; an overlong one is cut. */
static size_t format_pointer(const struct decoder *at, char *ret, size_t size)
{
    size_t used = at->parent != NULL ? format_pointer(at->parent, ret, size) : 0;
    const char *text = at->parent != NULL ? at->token : at->prefix;
    if (at->parent != NULL && used + 1 < size)
        ret[used++] = '/';
    for (; *text != '\0' && used + 2 < size; text++) {
        if (at->parent != NULL && (*text == '~' || *text == '/')) {
            ret[used++] = '~';
            ret[used++] = *text == '~' ? '0' : '1';
        } else {
            ret[used++] = *text;
        }
    }
    ret[used] = '\0';
    return used;
}

static int refuse(const struct decoder *at, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(const struct decoder *at, const char *code, const char *fmt, ...)
{
    char pointer[SCHEMA_POINTER_SIZE];
    format_pointer(at, pointer, sizeof(pointer));
    if (at->where != NULL) {
        memcpy(at->where->pointer, pointer, sizeof(pointer));
        at->where->code = code;
    }
    char why[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    return err_set(at->err, ERR_INVALID, "'%s' %s", pointer[0] == '\0' ? "/" : pointer, why);
}

static struct decoder step_into(const struct decoder *parent, const char *token)
{
    return (struct decoder){.where = parent->where, .err = parent->err, .parent = parent, .token = token};
}

static int decode_text(const struct decoder *at, const json_t *value, schema_check check, char **ret)
{
    if (!json_is_string(value))
        return refuse(at, "wrong-type", "must be a string");
    const char *why_not = check(json_string_value(value));
    if (why_not != NULL)
        return refuse(at, "bad-value", "%s, but is '%.100s'", why_not, json_string_value(value));
    *ret = strdup(json_string_value(value));
    return *ret != NULL ? 0 : err_nomem(at->err, "decoding a message");
}

static int decode_int(const struct decoder *at, const struct schema_field *field, const json_t *value,
                      int64_t *ret)
{
    if (!json_is_integer(value))
        return refuse(at, "wrong-type", "must be an integer");
    int64_t number = json_integer_value(value);
    if (number < field->min)
        return refuse(at, "out-of-range", "must be at least %" PRId64 ", but is %" PRId64, field->min,
                      number);
    if (number > field->max)
        return refuse(at, "out-of-range", "must be at most %" PRId64 ", but is %" PRId64, field->max, number);
    *ret = number;
    return 0;
}

static int decode_strings(const struct decoder *at, const struct schema_field *field, const json_t *value,
                          struct strings *ret)
{
    if (!json_is_array(value))
        return refuse(at, "wrong-type", "must be an array of strings");
    size_t n = json_array_size(value);
    /* an empty list is encoded as none, which the next decoder would not accept */
    if (n == 0 && field->presence == REQUIRED)
        return refuse(at, "bad-value", "must not be empty");
    if (n == 0)
        return 0;
    ret->items = calloc(n + 1, sizeof(*ret->items));
    if (ret->items == NULL)
        return err_nomem(at->err, "decoding a message");
    for (size_t i = 0; i < n; i++) {
        char token[24];
        snprintf(token, sizeof(token), "%zu", i);
        struct decoder item = step_into(at, token);
        if (decode_text(&item, json_array_get(value, i), field->check, &ret->items[i]) < 0)
            return -1;
        ret->n++;
    }
    return 0;
}

static int decode_map(const struct decoder *at, const struct schema_field *field, json_t *value,
                      struct string_map *ret)
{
    if (!json_is_object(value))
        return refuse(at, "wrong-type", "must be an object of strings");
    if (json_object_size(value) == 0)
        return 0;
    ret->items = calloc(json_object_size(value), sizeof(*ret->items));
    if (ret->items == NULL)
        return err_nomem(at->err, "decoding a message");
    const char *key;
    json_t *item;
    json_object_foreach(value, key, item)
    {
        struct decoder below = step_into(at, key);
        const char *why_not = field->check(key);
        if (why_not != NULL)
            return refuse(&below, "bad-value", "has a bad key: %s", why_not);
        struct string_pair *pair = &ret->items[ret->n++];
        if (decode_text(&below, item, check_any, &pair->value) < 0)
            return -1;
        pair->key = strdup(key);
        if (pair->key == NULL)
            return err_nomem(at->err, "decoding a message");
    }
    return 0;
}

static int decode_object(const struct decoder *at, const struct schema *schema, const json_t *object,
                         void *ret);

static int decode_objects(const struct decoder *at, const struct schema *schema, const json_t *value,
                          struct objects *ret)
{
    if (!json_is_array(value))
        return refuse(at, "wrong-type", "must be an array of objects");
    size_t n = json_array_size(value);
    if (n == 0)
        return 0;
    ret->items = calloc(n, schema->size);
    if (ret->items == NULL)
        return err_nomem(at->err, "decoding a message");
    for (size_t i = 0; i < n; i++) {
        char token[24];
        snprintf(token, sizeof(token), "%zu", i);
        struct decoder item = step_into(at, token);
        schema_init(schema, object_at(schema, ret, ret->n++));
        if (decode_object(&item, schema, json_array_get(value, i), object_at(schema, ret, i)) < 0)
            return -1;
    }
    return 0;
}

static int decode_member(const struct decoder *at, const struct schema_field *field, json_t *value,
                         void *member)
{
    switch (field->kind) {
    case SCHEMA_STRING:
        return decode_text(at, value, field->check, member);
    case SCHEMA_INT:
        return decode_int(at, field, value, member);
    case SCHEMA_BOOL:
        if (!json_is_boolean(value))
            return refuse(at, "wrong-type", "must be true or false");
        *(bool *)member = json_is_true(value);
        return 0;
    case SCHEMA_STRINGS:
        return decode_strings(at, field, value, member);
    case SCHEMA_MAP:
        return decode_map(at, field, value, member);
    case SCHEMA_OBJECT:
        return decode_object(at, field->sub, value, member);
    case SCHEMA_OBJECTS:
        return decode_objects(at, field->sub, value, member);
    }
    return err_set(at->err, ERR_INTERNAL, "field '%s' has no kind", field->name);
}

static int decode_object(const struct decoder *at, const struct schema *schema, const json_t *object,
                         void *ret)
{
    if (!json_is_object(object))
        return refuse(at, "wrong-type", "must be an object");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
    {
        struct decoder below = step_into(at, name);
        const struct schema_field *field = find_field(schema, name);
        if (field == NULL)
            return refuse(&below, "unknown-field", "is not known in %s", schema->name);
        /* null stands for absent, as clients of many languages write it */
        if (json_is_null(value) && field->presence == OPTIONAL)
            continue;
        if (decode_member(&below, field, value, member_of(field, ret)) < 0)
            return -1;
    }
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        struct decoder below = step_into(at, field->name);
        if (field->presence == REQUIRED && json_object_get(object, field->name) == NULL)
            return refuse(&below, "missing-field", "is missing in %s", schema->name);
    }
    return 0;
}

int schema_decode(const struct schema *schema, const json_t *object, const char *prefix, void *ret,
                  struct schema_error *where, struct err *err)
{
    struct decoder root = {.where = where, .err = err, .prefix = prefix};
    schema_init(schema, ret);
    if (decode_object(&root, schema, object, ret) == 0)
        return 0;
    schema_release(schema, ret);
    return -1;
}

static json_t *encode_strings(const struct strings *strings)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < strings->n; i++) {
        if (json_array_append_new(array, json_string(strings->items[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *encode_map(const struct string_map *map)
{
    json_t *object = json_object();
    for (size_t i = 0; object != NULL && i < map->n; i++) {
        if (json_object_set_new(object, map->items[i].key, json_string(map->items[i].value)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* True when an optional member is absent and so left out. */
static bool is_absent(const struct schema_field *field, const void *member)
{
    switch (field->kind) {
    case SCHEMA_STRING:
        return *(char *const *)member == NULL;
    case SCHEMA_INT:
        return *(const int64_t *)member == SCHEMA_ABSENT;
    case SCHEMA_BOOL:
        return !*(const bool *)member;
    case SCHEMA_STRINGS:
        return ((const struct strings *)member)->n == 0;
    case SCHEMA_MAP:
        return ((const struct string_map *)member)->n == 0;
    case SCHEMA_OBJECT:
        return false;
    case SCHEMA_OBJECTS:
        return ((const struct objects *)member)->n == 0;
    }
    return false;
}

static json_t *encode_objects(const struct schema *schema, const struct objects *objects)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < objects->n; i++) {
        if (json_array_append_new(array, schema_encode(schema, object_at(schema, objects, i))) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *encode_member(const struct schema_field *field, const void *member)
{
    switch (field->kind) {
    case SCHEMA_STRING:
        return json_string(*(char *const *)member);
    case SCHEMA_INT:
        return json_integer(*(const int64_t *)member);
    case SCHEMA_BOOL:
        return json_boolean(*(const bool *)member);
    case SCHEMA_STRINGS:
        return encode_strings(member);
    case SCHEMA_MAP:
        return encode_map(member);
    case SCHEMA_OBJECT:
        return schema_encode(field->sub, member);
    case SCHEMA_OBJECTS:
        return encode_objects(field->sub, member);
    }
    return NULL;
}

json_t *schema_encode(const struct schema *schema, const void *data)
{
    json_t *object = json_object();
    for (size_t i = 0; object != NULL && i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        const void *member = const_member_of(field, data);
        if (is_absent(field, member))
            continue;
        if (json_object_set_new(object, field->name, encode_member(field, member)) < 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static int copy_member(const struct schema_field *field, void *ret, const void *from)
{
    switch (field->kind) {
    case SCHEMA_STRING:
        if (*(char *const *)from == NULL)
            return 0;
        *(char **)ret = strdup(*(char *const *)from);
        return *(char **)ret != NULL ? 0 : -1;
    case SCHEMA_INT:
        *(int64_t *)ret = *(const int64_t *)from;
        return 0;
    case SCHEMA_BOOL:
        *(bool *)ret = *(const bool *)from;
        return 0;
    case SCHEMA_STRINGS:
        return strings_copy(ret, from);
    case SCHEMA_MAP:
        return string_map_copy(ret, from);
    case SCHEMA_OBJECT:
        return schema_copy(field->sub, ret, from);
    case SCHEMA_OBJECTS:
        return objects_copy(field->sub, ret, from);
    }
    return -1;
}

int schema_copy(const struct schema *schema, void *ret, const void *from)
{
    schema_init(schema, ret);
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        if (copy_member(field, member_of(field, ret), const_member_of(field, from)) < 0) {
            schema_release(schema, ret);
            return -1;
        }
    }
    return 0;
}

int schema_copy_shared(const struct schema *schema, void *ret, const struct schema *from_schema,
                       const void *from)
{
    for (size_t i = 0; i < from_schema->n_fields; i++) {
        const struct schema_field *theirs = &from_schema->fields[i];
        const struct schema_field *ours = find_field(schema, theirs->name);
        const void *member = const_member_of(theirs, from);
        if (ours != NULL && ours->kind == theirs->kind && !is_absent(theirs, member) &&
            is_absent(ours, const_member_of(ours, ret)) &&
            copy_member(ours, member_of(ours, ret), member) < 0)
            return -1;
    }
    return 0;
}

/* A character takes six bytes at most ("\\u001f"); names, quotes and numbers are counted generously. */
static size_t text_bound(const char *text)
{
    return text == NULL ? 0 : strlen(text) * 6 + 8;
}

static size_t size_bound(const struct schema *schema, const void *data)
{
    size_t bound = 0;
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        const void *member = const_member_of(field, data);
        const struct strings *strings = member;
        const struct string_map *map = member;
        const struct objects *objects = member;
        bound += strlen(field->name) + 32;
        if (field->kind == SCHEMA_STRING)
            bound += text_bound(*(char *const *)member);
        else if (field->kind == SCHEMA_OBJECT)
            bound += size_bound(field->sub, member);
        for (size_t j = 0; field->kind == SCHEMA_STRINGS && j < strings->n; j++)
            bound += text_bound(strings->items[j]);
        for (size_t j = 0; field->kind == SCHEMA_MAP && j < map->n; j++)
            bound += text_bound(map->items[j].key) + text_bound(map->items[j].value);
        for (size_t j = 0; field->kind == SCHEMA_OBJECTS && j < objects->n; j++)
            bound += size_bound(field->sub, object_at(field->sub, objects, j));
    }
    return bound;
}

bool schema_fits(const struct schema *schema, const void *data, size_t limit)
{
    if (size_bound(schema, data) <= limit) /* as nearly always: nothing has to be encoded for that */
        return true;
    json_auto_t *object = schema_encode(schema, data);
    auto_free char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    return text != NULL && strlen(text) <= limit;
}
