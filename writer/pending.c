/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "writer/pending.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "writer/admit.h"

void pending_init(struct pending *pending, size_t commands_max, size_t event_bytes_max)
{
    *pending = (struct pending){.commands_max = commands_max, .event_bytes_max = event_bytes_max};
}

static void free_command(struct pending_command *entry)
{
    free(entry->node);
    free(entry->event);
    free(entry);
}

void pending_release(struct pending *pending)
{
    struct pending_command *entry, *next;
    HASH_ITER(hh, pending->commands, entry, next)
    {
        HASH_DEL(pending->commands, entry);
        free_command(entry);
    }
    pending->event_bytes = 0;
}

struct pending_command *pending_find(const struct pending *pending, const char *id)
{
    struct pending_command *entry;
    HASH_FIND_STR(pending->commands, id, entry);
    return entry;
}

void pending_forget(struct pending *pending, struct pending_command *entry)
{
    pending->event_bytes -= entry->event_size;
    HASH_DEL(pending->commands, entry);
    free_command(entry);
}

static bool is_full(const struct pending *pending)
{
    return HASH_COUNT(pending->commands) > pending->commands_max ||
           pending->event_bytes > pending->event_bytes_max;
}

/* Lets go of the oldest until the bounds hold, passing over `except` and those in use, which only time can
 * settle. */
static void make_room(struct pending *pending, const struct pending_command *except)
{
    struct pending_command *at = pending->commands;
    while (at != NULL && is_full(pending)) {
        struct pending_command *next = at->hh.next;
        if (at != except && !at->appending && at->n_waiting == 0)
            pending_forget(pending, at);
        at = next;
    }
}

struct pending_command *pending_note(struct pending *pending, const char *id)
{
    struct pending_command *entry = pending_find(pending, id);
    if (entry != NULL)
        return entry;
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return NULL;
    memcpy(entry->id, id, UUID_TEXT_SIZE);
    entry->offset = -1;
    HASH_ADD_STR(pending->commands, id, entry);
    if (entry->hh.tbl == NULL) { /* HASH_NONFATAL_OOM: it could not be added */
        free(entry);
        return NULL;
    }
    make_room(pending, entry);
    return entry;
}

static int fill_node(struct pending_command *entry, const char *node, struct err *err)
{
    if (entry->node == NULL && node != NULL && (entry->node = strdup(node)) == NULL)
        return err_nomem(err, "noting a command");
    return 0;
}

void pending_name_made(struct pending_command *entry, const struct command *command)
{
    const char *subject = command->envelope.subject;
    if (admit_makes_container(command->type) && subject != NULL && container_id_is_valid(subject))
        memcpy(entry->container, subject, sizeof(entry->container));
    if (command->type == COMMAND_CONTAINER_EXEC)
        container_id_from_command(entry->exec, command->envelope.id);
}

int pending_fill(struct pending_command *entry, const struct command *command, uint32_t partition,
                 int64_t offset, struct err *err)
{
    if (fill_node(entry, command->envelope.node, err) < 0)
        return -1;
    if (entry->fingerprint[0] == '\0' && admit_fingerprint(command, entry->fingerprint, err) < 0)
        return -1;
    pending_name_made(entry, command);
    if (entry->offset < 0) {
        entry->partition = partition;
        entry->offset = offset;
    }
    return 0;
}

struct pending_command *pending_settle(struct pending *pending, const struct event *event, uint32_t partition,
                                       int64_t offset, const void *bytes, size_t size, struct err *err)
{
    if (event->envelope.outcome == OUTCOME_NONE || event->envelope.causationid[0] == '\0')
        return NULL;
    struct pending_command *entry = pending_note(pending, event->envelope.causationid);
    char *copy = entry != NULL ? malloc(size + 1) : NULL;
    if (copy == NULL || fill_node(entry, event->envelope.node, err) < 0) {
        free(copy);
        err_nomem(err, "noting an outcome");
        return NULL;
    }
    if (entry->outcome != OUTCOME_NONE && event->envelope.epoch <= entry->epoch) {
        free(copy);
        return entry;
    }
    pending->event_bytes -= entry->event_size;
    free(entry->event);
    memcpy(copy, bytes, size);
    copy[size] = '\0';
    entry->outcome = event->envelope.outcome;
    entry->epoch = event->envelope.epoch;
    entry->event = copy;
    entry->event_size = size;
    entry->event_offset = offset;
    if (entry->offset < 0 && !entry->appending) {
        entry->partition = partition;
        entry->offset = event->envelope.commandoffset;
    }
    pending->event_bytes += size;
    make_room(pending, entry);
    return entry;
}

int64_t pending_oldest_outcome(const struct pending *pending, uint32_t partition, int64_t otherwise)
{
    int64_t oldest = otherwise;
    for (const struct pending_command *at = pending->commands; at != NULL; at = at->hh.next)
        if (at->outcome != OUTCOME_NONE && at->partition == partition && at->event_offset < oldest)
            oldest = at->event_offset;
    return oldest;
}
