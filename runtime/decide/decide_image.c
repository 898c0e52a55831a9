/* SPDX-License-Identifier: Apache-2.0 */
/* Images: references are facts of the log, contents are kept by the host as long as a reference or a
 * container needs them. */
#define HASH_NONFATAL_OOM 1
#include <stdlib.h>
#include <string.h>

#include "runtime/decide/core.h"

void image_operation_free(struct image_operation *operation)
{
    cause_release(&operation->cause);
    schema_release(command_types[COMMAND_IMAGE_IMPORT].schema(), &operation->command);
    free(operation->author);
    free(operation->message);
    free(operation);
}

static void forget(struct core *core, struct image_operation *operation)
{
    HASH_DEL(core->image_operations, operation);
    image_operation_free(operation);
}

void image_operations_release(struct core *core)
{
    struct image_operation *operation, *next;
    HASH_ITER(hh, core->image_operations, operation, next)
    forget(core, operation);
}

void image_command_settle(struct image_import_command *command)
{
    struct strings *const lists[] = {&command->entrypoint, &command->command, &command->health_command};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        if (strings_say_none(lists[i]))
            strings_release(lists[i]);
    if (command->health_command.n == 0)
        schema_clear_shared(command_types[COMMAND_IMAGE_IMPORT].schema(), command, &health_config_schema);
}

static void begin_import(struct core *core, struct image_operation *operation, struct decision *ret)
{
    const struct container *container = node_state_container(&core->state, operation->container_id);
    struct effect *effect =
        add_effect(core, ret, container != NULL ? EFFECT_COMMIT : EFFECT_IMPORT, operation->container_id);
    if (effect == NULL)
        return;
    memcpy(effect->command_id, operation->command_id, sizeof(effect->command_id));
    if (container != NULL) {
        effect->digest = core_strdup(core, container->image_digest);
        effect->incarnation = container_state_is_running(container->state) ? container->incarnation : 0;
        effect->pauses = operation->pauses && effect->incarnation > 0 && container->state != CONTAINER_PAUSED;
    } else {
        effect->source = core_strdup(core, operation->command.source);
    }
    operation->begun = true;
}

void image_operations_begin(struct core *core, struct decision *ret)
{
    for (struct image_operation *each = core->image_operations; each != NULL; each = each->hh.next)
        if (!each->begun)
            begin_import(core, each, ret);
}

void image_operation_begin_take(struct core *core, struct image_operation *operation, const char *command_id,
                                struct cause *cause_take, struct decision *ret)
{
    memcpy(operation->command_id, command_id, sizeof(operation->command_id));
    operation->cause = *cause_take;
    *cause_take = (struct cause){.command_offset = -1};
    HASH_ADD_STR(core->image_operations, command_id, operation);
    core->failed = core->failed || operation->hh.tbl == NULL;
    if (core->collection.n_deleting == 0)
        begin_import(core, operation, ret);
}

void decide_image_import(struct core *core, const struct command *command, struct cause *cause_take,
                         struct decision *ret)
{
    struct image_operation *operation = calloc(1, sizeof(*operation));
    if (operation == NULL || schema_copy(command_types[COMMAND_IMAGE_IMPORT].schema(), &operation->command,
                                         &command->data.image_import) < 0) {
        free(operation);
        core->failed = true;
        return;
    }
    image_command_settle(&operation->command);
    image_operation_begin_take(core, operation, command->envelope.id, cause_take, ret);
}

static void emit_imported(struct core *core, struct image_operation *operation,
                          const struct host_imported *imported, const char *reference, int64_t now_ns,
                          struct decision *ret)
{
    struct event event;
    event_init(&event, EVENT_IMAGE_IMPORTED);
    struct image_imported_event *data = &event.data.image_imported;
    if (schema_copy_shared(event_types[EVENT_IMAGE_IMPORTED].schema(), data,
                           command_types[COMMAND_IMAGE_IMPORT].schema(), &operation->command) < 0)
        core->failed = true;
    free(data->reference); /* as it was asked for */
    data->reference = core_strdup(core, reference);
    data->digest = core_strdup(core, imported->digest);
    data->size_bytes = imported->size_bytes;
    emit_take(core, ret, &event, reference, &operation->cause, OUTCOME_OK, now_ns);
}

void decide_imported(struct core *core, const struct input *input, struct decision *ret)
{
    struct image_operation *operation = NULL;
    HASH_FIND_STR(core->image_operations, input->imported.command_id, operation);
    if (operation == NULL)
        return;
    char reference[512], container_id[CONTAINER_ID_SIZE];
    const char *asked = operation->command.reference;
    memcpy(container_id, operation->container_id, sizeof(container_id));
    bool commits = container_id[0] != '\0';
    if (input->imported.imported == NULL) {
        emit_failed(core, ret, commits ? container_id : asked, &operation->cause, input->now_ns,
                    commits ? "commit-failed" : "import-failed", input->imported.err->message);
    } else if (image_reference_normalize(asked, reference, sizeof(reference)) < 0) {
        emit_refused(core, ret, asked, &operation->cause, input->now_ns, "bad-reference",
                     "the image reference '%.100s' is too long", asked);
    } else {
        const struct image *before = node_state_image(&core->state, reference);
        char *replaced = before != NULL ? core_strdup(core, before->digest) : NULL;
        if (commits)
            emit_committed(core, operation, reference, input->imported.imported->digest, input->now_ns, ret);
        emit_imported(core, operation, input->imported.imported, reference, input->now_ns, ret);
        if (replaced != NULL)
            collect_image(core, replaced, ret);
        free(replaced);
    }
    forget(core, operation);
    collect_import_ended(core, ret);
    if (commits)
        decide_commit_over(core, container_id, input->now_ns, ret);
}

/* A container that stands in the way of removing the image, a running one first. */
static const struct container *user_of_image(const struct core *core, const char *digest)
{
    const struct container *found = NULL;
    for (const struct container *each = core->state.containers; each != NULL; each = each->hh.next) {
        if (strcmp(each->image_digest, digest) != 0)
            continue;
        if (container_state_is_running(each->state))
            return each;
        found = each;
    }
    return found;
}

static bool is_last_reference(const struct core *core, const struct image *image)
{
    for (const struct image *each = core->state.images; each != NULL; each = each->hh.next)
        if (each != image && strcmp(each->digest, image->digest) == 0)
            return false;
    return true;
}

void decide_image_remove(struct core *core, const struct command *command, const struct cause *cause,
                         int64_t now_ns, struct decision *ret)
{
    const char *asked = command->data.image_remove.image;
    const struct image *image = node_state_image(&core->state, asked);
    if (image == NULL) {
        emit_refused(core, ret, asked, cause, now_ns, "unknown-image", "no image '%s' on node '%s'", asked,
                     core->state.name);
        return;
    }
    bool last = is_last_reference(core, image);
    const struct container *user = last ? user_of_image(core, image->digest) : NULL;
    if (user != NULL && (container_state_is_running(user->state) || !command->data.image_remove.force)) {
        emit_refused(core, ret, image->reference, cause, now_ns, "image-in-use",
                     "image '%s' is used by container '%s': remove the container first", image->reference,
                     user->name);
        return;
    }
    char *digest = core_strdup(core, image->digest);
    char *reference = core_strdup(core, image->reference);
    if (digest != NULL && reference != NULL) {
        struct event event;
        event_init(&event, EVENT_IMAGE_REMOVED);
        event.data.image_removed.reference = core_strdup(core, reference);
        event.data.image_removed.digest = core_strdup(core, digest);
        event.data.image_removed.last = last;
        emit_take(core, ret, &event, reference, cause, OUTCOME_OK, now_ns);
        collect_image(core, digest, ret);
    }
    free(digest);
    free(reference);
}
