/* SPDX-License-Identifier: Apache-2.0 */
/* Included after a .def file: forgets the row macros. No include guard. */
#undef COMMAND
#undef EVENT
#undef RECORD
#undef END
#undef STRING
#undef INT
#undef BOOL
#undef STRINGS
#undef MAP
#undef SPEC
#undef MOUNTS
