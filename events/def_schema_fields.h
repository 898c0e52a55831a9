/* SPDX-License-Identifier: Apache-2.0 */
/* Included before a .def file to turn field rows into rows of a schema's table. A row does not say which
 * struct it belongs to: `owner` is a type of the scope it is expanded in. No include guard. */
#ifndef FIELD
#define FIELD(field, kind_, presence_, min_, max_, check_, sub_, doc_)                                       \
    {.name = #field,                                                                                         \
     .kind = kind_,                                                                                          \
     .presence = presence_,                                                                                  \
     .offset = offsetof(owner, field),                                                                       \
     .min = min_,                                                                                            \
     .max = max_,                                                                                            \
     .check = check_,                                                                                        \
     .sub = sub_,                                                                                            \
     .doc = doc_},
#endif
#define STRING(name, presence, check, doc) FIELD(name, SCHEMA_STRING, presence, 0, 0, check, NULL, doc)
#define INT(name, presence, min, max, doc) FIELD(name, SCHEMA_INT, presence, min, max, NULL, NULL, doc)
#define BOOL(name, doc) FIELD(name, SCHEMA_BOOL, OPTIONAL, 0, 0, NULL, NULL, doc)
#define STRINGS(name, presence, check, doc) FIELD(name, SCHEMA_STRINGS, presence, 0, 0, check, NULL, doc)
#define MAP(name, check, doc) FIELD(name, SCHEMA_MAP, OPTIONAL, 0, 0, check, NULL, doc)
#define SPEC(name, doc) FIELD(name, SCHEMA_OBJECT, REQUIRED, 0, 0, NULL, &container_spec_schema, doc)
#define MOUNTS(name, doc) FIELD(name, SCHEMA_OBJECTS, OPTIONAL, 0, 0, NULL, &container_mount_schema, doc)
