/* SPDX-License-Identifier: Apache-2.0 */
/* Included before a .def file where only its COMMAND or EVENT rows matter: field rows expand to nothing. No
 * include guard. */
#define STRING(name, presence, check, doc)
#define INT(name, presence, min, max, doc)
#define BOOL(name, doc)
#define STRINGS(name, presence, check, doc)
#define MAP(name, check, doc)
#define SPEC(name, doc)
#define MOUNTS(name, doc)
#define END(member)
