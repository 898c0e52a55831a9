/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement.h - which node a command goes to: the fold of what the events say about nodes and about which
 * containers they have. A hint only: the node's runtime is who knows, and refuses what does not fit.
 *
 * Pure apart from allocation; one thread at a time.
 */
#ifndef WHARF_WRITER_PLACEMENT_H
#define WHARF_WRITER_PLACEMENT_H

#include <uthash.h>

#include "events/message.h"

struct placement_node {
    char *name; /* key */
    uint32_t partition;
    int64_t epoch; /* of its newest event that counted, and that event's number */
    int64_t nodeseq;
    size_t n_containers;
    UT_hash_handle hh;
};

struct placement_container {
    char id[CONTAINER_ID_SIZE]; /* key */
    char *name;
    struct placement_node *node;
    UT_hash_handle hh;
};

struct placement {
    struct placement_node *nodes;
    struct placement_container *containers; /* created and not removed */
};

#define PLACEMENT_INIT                                                                                       \
    {                                                                                                        \
        .nodes = NULL                                                                                        \
    }

void placement_release(struct placement *placement);

/* Takes note of node.joined, container.created and container.removed; others only move their node's epoch and
 * number on. A node keeps the partition it was given first. What does not count (envelope_standing) changes
 * nothing, and so says ret_counts. -1 when memory runs out. */
int placement_apply(struct placement *placement, const struct event *event, bool *ret_counts,
                    struct err *err);

/* The two additions behind it, for placement_file.h: a node that is there stays as it is, a container is
 * replaced; a container of a node that is not there is not added. -1, or NULL, when memory runs out. */
struct placement_node *placement_add_node(struct placement *placement, const char *name, uint32_t partition,
                                          struct err *err);
int placement_add_container(struct placement *placement, const char *id, const char *name,
                            const char *node_name, struct err *err);

enum placement_result {
    PLACEMENT_OK,
    PLACEMENT_NO_NODE,   /* none has joined yet */
    PLACEMENT_UNKNOWN,   /* the command names a node that has not joined */
    PLACEMENT_AMBIGUOUS, /* there are several and the command does not say which */
};

/*
 * The node for a command: the one it names; else the only one there is; else, for a new container, the one
 * with the fewest containers (of those the first by name), and for an existing container the one that has it,
 * by id, name, or prefix of an id. `ret_node` is borrowed.
 */
enum placement_result placement_choose(const struct placement *placement, const struct command *command,
                                       const struct placement_node **ret_node);

#endif
