/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "writer/placement.h"

#include <stdlib.h>
#include <string.h>

#include "writer/admit.h"

static struct placement_node *find_node(const struct placement *placement, const char *name)
{
    struct placement_node *node;
    HASH_FIND_STR(placement->nodes, name, node);
    return node;
}

struct placement_node *placement_add_node(struct placement *placement, const char *name, uint32_t partition,
                                          struct err *err)
{
    struct placement_node *node = find_node(placement, name);
    if (node != NULL)
        return node;
    node = calloc(1, sizeof(*node));
    if (node != NULL && (node->name = strdup(name)) != NULL) {
        node->partition = partition;
        HASH_ADD_KEYPTR(hh, placement->nodes, node->name, strlen(node->name), node);
        if (node->hh.tbl != NULL) /* HASH_NONFATAL_OOM: it may be that it could not be added */
            return node;
        free(node->name);
    }
    free(node);
    err_nomem(err, "noting a node");
    return NULL;
}

static void free_container(struct placement_container *container)
{
    free(container->name);
    free(container);
}

static void remove_container(struct placement *placement, const char *id)
{
    struct placement_container *container;
    HASH_FIND_STR(placement->containers, id, container);
    if (container == NULL)
        return;
    container->node->n_containers--;
    HASH_DEL(placement->containers, container);
    free_container(container);
}

int placement_add_container(struct placement *placement, const char *id, const char *name,
                            const char *node_name, struct err *err)
{
    struct placement_node *node = find_node(placement, node_name);
    if (node == NULL || !container_id_is_valid(id))
        return 0;
    remove_container(placement, id);
    struct placement_container *container = calloc(1, sizeof(*container));
    if (container == NULL || (container->name = strdup(name)) == NULL) {
        free(container);
        return err_nomem(err, "noting a container");
    }
    memcpy(container->id, id, sizeof(container->id));
    container->node = node;
    HASH_ADD_STR(placement->containers, id, container);
    if (container->hh.tbl == NULL) {
        free_container(container);
        return err_nomem(err, "noting a container");
    }
    node->n_containers++;
    return 0;
}

/* False if the event does not count. A node that has not joined yet has nothing to compare with. */
static bool follow_epoch(struct placement *placement, const struct event *event)
{
    struct placement_node *node = find_node(placement, event->envelope.node);
    return node == NULL ||
           envelope_standing(&event->envelope, &node->epoch, &node->nodeseq) == STANDING_COUNTS;
}

int placement_apply(struct placement *placement, const struct event *event, bool *ret_counts, struct err *err)
{
    const struct envelope *envelope = &event->envelope;
    if (event->type == EVENT_NODE_JOINED &&
        placement_add_node(placement, envelope->node, (uint32_t)event->data.node_joined.partition, err) ==
            NULL)
        return -1;
    *ret_counts = follow_epoch(placement, event);
    if (!*ret_counts)
        return 0;
    if (event->type == EVENT_CONTAINER_CREATED)
        return placement_add_container(placement, envelope->subject, event->data.container_created.name,
                                       envelope->node, err);
    if (event->type == EVENT_CONTAINER_REMOVED)
        remove_container(placement, envelope->subject);
    return 0;
}

void placement_release(struct placement *placement)
{
    struct placement_container *container, *next_container;
    HASH_ITER(hh, placement->containers, container, next_container)
    {
        HASH_DEL(placement->containers, container);
        free_container(container);
    }
    struct placement_node *node, *next_node;
    HASH_ITER(hh, placement->nodes, node, next_node)
    {
        HASH_DEL(placement->nodes, node);
        free(node->name);
        free(node);
    }
}

static const struct placement_node *emptiest(const struct placement *placement)
{
    const struct placement_node *best = placement->nodes;
    for (const struct placement_node *node = best; node != NULL; node = node->hh.next)
        if (node->n_containers < best->n_containers ||
            (node->n_containers == best->n_containers && strcmp(node->name, best->name) < 0))
            best = node;
    return best;
}

/* The node of the container that `ref` means; NULL if none does, or containers of several nodes do. */
static const struct placement_node *node_of(const struct placement *placement, const char *ref)
{
    struct placement_container *exact;
    HASH_FIND_STR(placement->containers, ref, exact);
    if (exact != NULL)
        return exact->node;
    const struct placement_node *found = NULL;
    size_t size = strlen(ref);
    for (const struct placement_container *at = placement->containers; at != NULL; at = at->hh.next) {
        if (strcmp(at->name, ref) != 0 && strncmp(at->id, ref, size) != 0)
            continue;
        if (found != NULL && found != at->node)
            return NULL;
        found = at->node;
    }
    return found;
}

static bool is_about_container(enum command_type type)
{
    return type != COMMAND_IMAGE_IMPORT && type != COMMAND_IMAGE_REMOVE && type != COMMAND_VOLUME_CREATE &&
           type != COMMAND_VOLUME_REMOVE && type != COMMAND_OCI_REPORT;
}

enum placement_result placement_choose(const struct placement *placement, const struct command *command,
                                       const struct placement_node **ret_node)
{
    const char *wanted = command->envelope.node;
    const struct placement_node *node = NULL;
    if (placement->nodes == NULL)
        return PLACEMENT_NO_NODE;
    if (wanted != NULL) {
        node = find_node(placement, wanted);
        if (node == NULL)
            return PLACEMENT_UNKNOWN;
    } else if (HASH_COUNT(placement->nodes) == 1) {
        node = placement->nodes;
    } else if (admit_makes_container(command->type)) {
        node = emptiest(placement);
    } else if (is_about_container(command->type)) {
        node = node_of(placement, command->envelope.subject);
    }
    if (node == NULL)
        return PLACEMENT_AMBIGUOUS;
    *ret_node = node;
    return PLACEMENT_OK;
}
