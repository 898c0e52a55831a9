/* SPDX-License-Identifier: Apache-2.0 */
/* Included before a .def file to turn field rows into struct members; END is the includer's. No include
 * guard. */
#define STRING(name, presence, check, doc) char *name;
#define INT(name, presence, min, max, doc) int64_t name;
#define BOOL(name, doc) bool name;
#define STRINGS(name, presence, check, doc) struct strings name;
#define MAP(name, check, doc) struct string_map name;
#define SPEC(name, doc) struct container_spec name;
#define MOUNTS(name, doc) struct objects name;
