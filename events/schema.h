/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.h - strict JSON codec driven by field tables.
 *
 * A schema says which members a JSON object may have and where each is kept in a C struct. The tables are
 * generated from the .def files (see message.h), so that one row gives member, validation, encoding and
 * documentation. Decoding refuses unknown members, wrong types, values out of range and missing required
 * members, and names the culprit by JSON pointer (RFC 6901).
 *
 * Pure: no I/O, no clock. Any thread.
 */
#ifndef WHARF_EVENTS_SCHEMA_H
#define WHARF_EVENTS_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* An optional integer that is not there. */
#define SCHEMA_ABSENT INT64_MIN

#define SCHEMA_POINTER_SIZE 256

/* A NULL-terminated list of owned strings. `items` is NULL when the list is absent or empty. */
struct strings {
    char **items;
    size_t n;
};

struct string_pair {
    char *key;
    char *value;
};

/* Key-value pairs in document order; keys are unique. */
struct string_map {
    struct string_pair *items;
    size_t n;
};

/* A list of structs of one schema, which have no lists of structs themselves. `items` is NULL when it is
 * absent or empty; its elements are of the schema's size. */
struct objects {
    void *items;
    size_t n;
};

enum schema_kind {
    SCHEMA_STRING,  /* char *, NULL when absent */
    SCHEMA_INT,     /* int64_t, SCHEMA_ABSENT when absent */
    SCHEMA_BOOL,    /* bool, false when absent */
    SCHEMA_STRINGS, /* struct strings */
    SCHEMA_MAP,     /* struct string_map */
    SCHEMA_OBJECT,  /* an embedded struct described by `sub`, all-absent when absent */
    SCHEMA_OBJECTS, /* struct objects, each described by `sub` */
};

enum schema_presence { OPTIONAL, REQUIRED };

/* Says why a string will not do ("must start with a letter or digit"), or NULL if it will. */
typedef const char *(*schema_check)(const char *text);

/* The check for "anything". */
const char *check_any(const char *text);

struct schema;

struct schema_field {
    const char *name;
    enum schema_kind kind;
    enum schema_presence presence;
    size_t offset;            /* of the member in the C struct */
    int64_t min, max;         /* SCHEMA_INT: the allowed values; the others: 0 */
    schema_check check;       /* SCHEMA_STRING, each of SCHEMA_STRINGS, each key of SCHEMA_MAP */
    const struct schema *sub; /* SCHEMA_OBJECT, SCHEMA_OBJECTS */
    const char *doc;
};

struct schema {
    const char *name;
    size_t size; /* of the C struct */
    const struct schema_field *fields;
    size_t n_fields;
};

/* Where and why a document was refused. */
struct schema_error {
    char
        pointer[SCHEMA_POINTER_SIZE]; /* "/data/labels/a~1b"; starts with the prefix given to schema_decode */
    const char *code; /* "unknown-field", "missing-field", "wrong-type", "out-of-range", "bad-value" */
};

/* Decodes `object` into `ret` (schema->size bytes), which is initialised first. `prefix` starts the pointer
 * of an error
 * ("/data" or ""). On failure nothing is left allocated, err holds a sentence that names the field, and
 * `where` (may be NULL) the details. */
int schema_decode(const struct schema *schema, const json_t *object, const char *prefix, void *ret,
                  struct schema_error *where, struct err *err);

/* The JSON object of the struct: absent members are left out, false booleans too. A new reference, or NULL
 * when memory runs out. */
json_t *schema_encode(const struct schema *schema, const void *data);

/* Sets every member to absent. */
void schema_init(const struct schema *schema, void *data);

/* Frees every member and sets it to absent; a zeroed or initialised struct is fine. */
void schema_release(const struct schema *schema, void *data);

/* A deep copy. -1 when memory runs out; nothing is left allocated then. */
int schema_copy(const struct schema *schema, void *ret, const void *from);

/* True if the JSON of the struct has at most so many bytes; false also when memory runs out. */
bool schema_fits(const struct schema *schema, const void *data, size_t limit);

/* Deep copies of those members that both structs have, by name and kind, and that are absent in `ret`. -1
 * when memory runs out: `ret` is still to be released then. */
int schema_copy_shared(const struct schema *schema, void *ret, const struct schema *from_schema,
                       const void *from);

/* Sets those members to absent that the other schema has, too, and frees them. */
void schema_clear_shared(const struct schema *schema, void *data, const struct schema *other);

/* The two collections, zero-initialised when empty. Adding and copying append; -1 when memory runs out, and
 * what is there then is still to be released. */
int strings_add(struct strings *strings, const char *text);
int strings_copy(struct strings *ret, const struct strings *from);
void strings_release(struct strings *strings);
/* One empty string means: none at all, whatever there is by default. */
bool strings_say_none(const struct strings *strings);
int string_map_copy(struct string_map *ret, const struct string_map *from);
int string_map_add_missing(struct string_map *ret, const struct string_map *from); /* keys that it has not */
void string_map_release(struct string_map *map);

/* The value for a key, or NULL. */
const char *string_map_get(const struct string_map *map, const char *key);

#endif
