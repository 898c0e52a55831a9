/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scripts.h - what Redis must do in one step, as Lua (redis.io/docs/manual/programmability). Each script
 * touches keys of one partition only, which share a hash tag, so all of them run on Redis Cluster. Constant
 * data.
 */
#ifndef WHARF_PROJECTOR_SCRIPTS_H
#define WHARF_PROJECTOR_SCRIPTS_H

/* KEYS[1] meta, ARGV[1] the offset a batch starts from. Runs between WATCH and MULTI: if the stored offset is
 * another one it changes meta, and the change makes EXEC refuse the transaction. So the check costs no round
 * trip. */
extern const char script_guard[];

/* KEYS[1] meta; ARGV: prefix, schema, "1" to start afresh, then the fields wanted of each container. Deletes
 * a view that is absent, incomplete, or of another schema, and begins it. Returns {meta fields, nodes,
 * containers}, see load_reply. */
extern const char script_load[];

/* KEYS[1] live meta; ARGV: live prefix, side prefix, "1" to swap even if the side is behind. Puts the side in
 * the place of the live view. Returns "swapped", or the live offset if the side is behind it. */
extern const char script_swap[];

/* KEYS[1] live meta; ARGV: live prefix, side prefix, limit. Returns {live offset, side offset} when they
 * differ or the live view is absent (""), else {offset, offset, differences ...}. */
extern const char script_compare[];

/* KEYS[1] meta; ARGV: prefix. Deletes the view. */
extern const char script_drop[];

#endif
