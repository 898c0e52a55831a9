/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scripts.h - the read-only Lua of the query role: one round trip a partition for each question. KEYS[1] is
 * the partition's meta, ARGV[1] its prefix. The first element of every reply is the view's offset, nil if
 * there is no view of this layout. Constant data.
 */
#ifndef WHARF_PROJECTOR_QUERY_SCRIPTS_H
#define WHARF_PROJECTOR_QUERY_SCRIPTS_H

/* ARGV: 2 limit, 3 cursor's microseconds or "", 4 cursor's id, 5 node or "", 6 part of the name or "", 7 how
 * many states, 8 how many sets to intersect, then states, sets. Reply: {offset, 1 if there are more, cursor,
 * JSON, ...}, a cursor and a text for each container, newest first; or {offset, "all"} when every container
 * is wanted: HVALS gives them several times faster than Lua can. */
extern const char query_script_list[];

/* ARGV: 2 reference, 3 "row" or "history". "history" also knows removed containers. Reply:
 * {offset, rank, ids at that rank, first id, {its JSON} or its offsets}; the lower the rank, the better:
 * 1 id, 2 name, 3 past name, 4 prefix, 9 none. */
extern const char query_script_resolve[];

/* ARGV: 2 "images" or "nodes". Reply: {offset, JSON, ...}. */
extern const char query_script_values[];

/* Reply: {offset, parked, fenced, ignored, events, state, how many, ...}. ARGV from 2: the states. */
extern const char query_script_status[];

#endif
