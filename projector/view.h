/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.h - what the projector must remember of a partition's view to move it on by one event: which sets a
 * container stands in, the newest position, the newest epoch of each node.
 *
 * It is a fold of the log, so it can be had in two ways: by projecting from the beginning, or by reading it
 * back from Redis, where all of it is stored. Pure; one thread at a time.
 */
#ifndef WHARF_PROJECTOR_VIEW_H
#define WHARF_PROJECTOR_VIEW_H

#ifndef HASH_NONFATAL_OOM
#define HASH_NONFATAL_OOM 1
#endif
#include <uthash.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/id.h"
#include "events/container_state.h"
#include "events/schema.h"
#include "projector/row.h"

/* Number of the layout of the keys; a view of another layout is thrown away and rebuilt. */
#define VIEW_SCHEMA 4

/* Removed containers of a partition whose histories Redis keeps. */
#define VIEW_PAST_KEPT 10000

struct view_container {
    char id[CONTAINER_ID_SIZE]; /* key */
    char *node;
    char *qualified_name; /* node/name */
    char *image;          /* name:tag */
    struct string_map labels;
    enum container_state state;
    int64_t version;
    int64_t restarts;
    char *values[ROW_FIELDS];           /* of its hash in Redis */
    bool changed;                       /* since the last project_flush: stands in view.changed */
    struct view_container *prev, *next; /* in view.changed, by utlist */
    UT_hash_handle hh;                  /* by id */
    UT_hash_handle hh_name;             /* by qualified name */
};

struct view_node {
    char *name; /* key */
    int64_t partition;
    int64_t epoch;
    int64_t nodeseq;
    char *boot_id; /* these may be NULL */
    char *kernel;
    char *version;
    int64_t joined_at_ns;  /* 0: not known */
    int64_t started_at_ns; /* 0: not known */
    bool changed;          /* since the last project_flush */
    UT_hash_handle hh;
};

struct view_past; /* past.h */

struct view {
    struct view_container *containers; /* uthash by id */
    struct view_container *names;      /* the same structs by node/name */
    struct view_container *changed;    /* those whose JSON is to be written; DL of utlist */
    struct view_past *past;            /* containers that are no more, uthash by id, oldest first */
    struct view_past *past_names;      /* the same structs by node/name */
    unsigned past_kept;                /* at most so many: VIEW_PAST_KEPT */
    struct view_node *nodes;           /* uthash by name */
    int64_t offset;                    /* of the newest record that the view contains; -1 at first */
    char digest[SHA256_HEX_SIZE]; /* of that record's bytes: that it is still the same log; "" at first */
    int64_t events;               /* records that were events, whatever came of them */
    int64_t parked;               /* records that were none */
    int64_t fenced;               /* events of a lower epoch */
    int64_t ignored;              /* events seen before, and illegal moves */
};

void view_init(struct view *view);
void view_release(struct view *view);

struct view_container *view_container(const struct view *view, const char *id);
struct view_container *view_by_name(const struct view *view, const char *qualified_name);
struct view_node *view_node(const struct view *view, const char *name);

/* Adds a container, whose `values` are all given; takes nothing, copies everything. -1 when memory runs out.
 */
int view_add_container(struct view *view, const struct view_container *like);
/* Puts it under another qualified name, which is free. -1 when memory runs out. */
int view_rename(struct view *view, struct view_container *container, const char *qualified_name);
void view_remove_container(struct view *view, struct view_container *container);

/* The node, added if it is new. NULL when memory runs out. */
struct view_node *view_ensure_node(struct view *view, const char *name);

/* Sets one field of the container's hash and notes that the container changed. -1 when memory runs out. */
int view_set(struct view *view, struct view_container *container, enum row_field field, const char *text);

/* Puts the container among those that changed, and empties that list. */
void view_note_changed(struct view *view, struct view_container *container);
void view_clear_changed(struct view *view);

/* One container from the values of row_fields. ERR_CORRUPT when they cannot be ours. */
int view_load_container(struct view *view, const char *const values[ROW_FIELDS], struct err *err);

/* One node from its JSON, and the JSON of a node (to be freed; NULL when memory runs out). */
int view_load_node(struct view *view, const char *name, const char *json, struct err *err);
char *view_node_json(const struct view_node *node);

#endif
