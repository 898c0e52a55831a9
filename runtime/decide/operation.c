/* SPDX-License-Identifier: Apache-2.0 */
/* The operations under way, one a container, and the commands that wait for them. */
#define HASH_NONFATAL_OOM 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/decide/core.h"

struct operation *operation_find(const struct core *core, const char *container_id)
{
    struct operation *found = NULL;
    HASH_FIND_STR(core->operations, container_id, found);
    return found;
}

static void waiting_free(struct waiting_command *waiting)
{
    while (waiting != NULL) {
        struct waiting_command *next = waiting->next;
        command_release(&waiting->command);
        free(waiting);
        waiting = next;
    }
}

static void operation_free(struct core *core, struct operation *operation)
{
    HASH_DEL(core->operations, operation);
    waiting_free(operation->waiting);
    cause_release(&operation->cause);
    update_free(operation->update);
    exec_command_free(operation->exec);
    free(operation);
}

struct operation *operation_begin(struct core *core, const char *container_id, enum operation_kind kind,
                                  struct cause *cause_take)
{
    struct operation *operation = calloc(1, sizeof(*operation));
    if (operation != NULL) {
        snprintf(operation->container_id, sizeof(operation->container_id), "%s", container_id);
        operation->kind = kind;
        HASH_ADD_STR(core->operations, container_id, operation);
    }
    if (operation == NULL || operation->hh.tbl == NULL) {
        free(operation);
        cause_release(cause_take);
        core->failed = true;
        return NULL;
    }
    operation->cause = *cause_take;
    *cause_take = (struct cause){.command_offset = -1};
    return operation;
}

static int command_copy(struct command *ret, const struct command *from)
{
    size_t size;
    char *bytes = command_encode(from, &size, NULL);
    int result = bytes != NULL ? command_decode(ret, bytes, size, NULL) : -1;
    free(bytes);
    return result;
}

void operation_enqueue(struct core *core, struct operation *operation, const struct command *command,
                       int64_t offset)
{
    struct waiting_command *waiting = calloc(1, sizeof(*waiting));
    if (waiting == NULL || command_copy(&waiting->command, command) < 0) {
        free(waiting);
        core->failed = true;
        return;
    }
    waiting->offset = offset;
    struct waiting_command **end = &operation->waiting;
    while (*end != NULL)
        end = &(*end)->next;
    *end = waiting;
}

void operation_resume_waiting(struct core *core, const char *container_id,
                              struct waiting_command *waiting_take, int64_t now_ns, struct decision *ret)
{
    while (waiting_take != NULL) {
        struct operation *next = operation_find(core, container_id);
        if (next != NULL) {
            next->waiting = waiting_take; /* it has just begun, so nothing else waits for it */
            return;
        }
        struct waiting_command *first = waiting_take;
        waiting_take = first->next;
        first->next = NULL;
        decide_command(core, &first->command, first->offset, now_ns, ret);
        waiting_free(first);
    }
}

struct waiting_command *operation_end(struct core *core, struct operation *operation)
{
    struct waiting_command *waiting = operation->waiting;
    operation->waiting = NULL;
    operation_free(core, operation);
    return waiting;
}

int64_t command_under_way(const struct core *core, const char *command_id)
{
    struct image_operation *import = NULL;
    HASH_FIND_STR(core->image_operations, command_id, import);
    if (import != NULL)
        return import->cause.command_offset;
    for (const struct volume_operation *each = core->volume_operations; each != NULL; each = each->hh.next)
        if (each->cause.command_offset >= 0 && strcmp(each->cause.causationid, command_id) == 0)
            return each->cause.command_offset;
    for (const struct operation *each = core->operations; each != NULL; each = each->hh.next) {
        if (each->cause.command_offset >= 0 && strcmp(each->cause.causationid, command_id) == 0)
            return each->cause.command_offset;
        for (const struct waiting_command *waiting = each->waiting; waiting != NULL; waiting = waiting->next)
            if (strcmp(waiting->command.envelope.id, command_id) == 0)
                return waiting->offset;
    }
    return -1;
}

int core_init(struct core *core, const char *node_name, const uint8_t seed[DECIDE_SEED_SIZE])
{
    *core = (struct core){0};
    memcpy(core->seed, seed, DECIDE_SEED_SIZE);
    return node_state_init(&core->state, node_name);
}

void core_release(struct core *core)
{
    struct operation *operation, *next;
    HASH_ITER(hh, core->operations, operation, next)
    operation_free(core, operation);
    image_operations_release(core);
    volume_operations_release(core);
    strings_release(&core->collection.noted);
    unclaimed_release(core);
    healths_release(core);
    node_state_release(&core->state);
}
