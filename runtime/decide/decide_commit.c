/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of containers. A commit is an image operation, as an import is, so that no contents are deleted
 * meanwhile; and an operation of the container, so that nothing else is done to it. It may end meanwhile;
 * what follows from that waits.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/decide/core.h"

static int replace_words(struct strings *ret, const struct strings *words)
{
    return strings_say_none(words) ? 0 : strings_copy(ret, words);
}

static int replace_text(char **ret, const char *asked, const char *before)
{
    const char *text = asked != NULL ? asked : before;
    *ret = text != NULL ? strdup(text) : NULL;
    return text != NULL && *ret == NULL ? -1 : 0;
}

/* A health check is replaced as a whole. */
static int replace_health(struct image_import_command *ret, const struct container_spec *spec,
                          const struct container_commit_command *asked)
{
    const struct schema *import = command_types[COMMAND_IMAGE_IMPORT].schema();
    const struct schema *commit = command_types[COMMAND_CONTAINER_COMMIT].schema();
    if (asked->health_command.n == 0)
        return copy_health(import, ret, &container_spec_schema, spec);
    return strings_say_none(&asked->health_command) ? 0 : copy_health(import, ret, commit, asked);
}

/* The container's configuration with the changes, by docker's rule that an entrypoint drops the command that
 * was made for the one before. */
static int configure(struct image_import_command *ret, const struct container_spec *spec,
                     const struct container_commit_command *asked)
{
    static const struct strings nothing = {.n = 0};
    bool own_entrypoint = asked->entrypoint.n > 0;
    const struct strings *command = asked->command.n > 0 ? &asked->command
                                    : own_entrypoint     ? &nothing
                                                         : &spec->command;
    if (replace_words(&ret->entrypoint, own_entrypoint ? &asked->entrypoint : &spec->entrypoint) < 0 ||
        replace_words(&ret->command, command) < 0 || merge_env(&ret->env, &asked->env, &spec->env) < 0 ||
        replace_text(&ret->workdir, asked->workdir, spec->workdir) < 0 ||
        replace_text(&ret->user, asked->user, spec->user) < 0 ||
        replace_text(&ret->stop_signal, asked->stop_signal, spec->stop_signal) < 0 ||
        string_map_copy(&ret->labels, &asked->labels) < 0 ||
        string_map_add_missing(&ret->labels, &spec->labels) < 0 || replace_health(ret, spec, asked) < 0)
        return -1;
    return replace_text(&ret->reference, asked->reference, NULL);
}

void decide_commit(struct core *core, const struct container *container, const struct command *command,
                   struct cause *cause_take, int64_t now_ns, struct decision *ret)
{
    const struct container_commit_command *asked = &command->data.container_commit;
    struct image_operation *image = calloc(1, sizeof(*image));
    struct cause none = {.command_offset = -1};
    if (image == NULL) {
        core->failed = true;
        return;
    }
    schema_init(command_types[COMMAND_IMAGE_IMPORT].schema(), &image->command);
    image->author = core_strdup(core, asked->author);
    image->message = core_strdup(core, asked->message);
    image->pauses = !asked->no_pause;
    memcpy(image->container_id, container->id, sizeof(image->container_id));
    core->failed = core->failed || configure(&image->command, &container->spec, asked) < 0;
    image_command_settle(&image->command);
    if (!schema_fits(command_types[COMMAND_IMAGE_IMPORT].schema(), &image->command, MESSAGE_DATA_LIMIT)) {
        emit_refused(core, ret, container->id, cause_take, now_ns, "bad-configuration",
                     "container '%s': its configuration would be too large for an image", container->name);
        image_operation_free(image);
        return;
    }
    operation_begin(core, container->id, OPERATION_COMMIT, &none);
    image_operation_begin_take(core, image, command->envelope.id, cause_take, ret);
}

void emit_committed(struct core *core, const struct image_operation *operation, const char *reference,
                    const char *digest, int64_t now_ns, struct decision *ret)
{
    struct event event;
    event_init(&event, EVENT_CONTAINER_COMMITTED);
    struct container_committed_event *data = &event.data.container_committed;
    data->reference = core_strdup(core, reference);
    data->digest = core_strdup(core, digest);
    data->author = core_strdup(core, operation->author);
    data->message = core_strdup(core, operation->message);
    emit_take(core, ret, &event, operation->container_id, &operation->cause, OUTCOME_NONE, now_ns);
}

void decide_commit_over(struct core *core, const char *container_id, int64_t now_ns, struct decision *ret)
{
    struct operation *operation = operation_find(core, container_id);
    if (operation == NULL || operation->kind != OPERATION_COMMIT)
        return;
    struct waiting_command *waiting = operation_end(core, operation);
    const struct container *container = node_state_container(&core->state, container_id);
    /* A restart may have been due, and a removal at its end too: both found the container taken. */
    if (container != NULL && container->state == CONTAINER_RESTARTING)
        wait_for_restart(core, container, ret);
    remove_at_end(core, container_id, ret);
    operation_resume_waiting(core, container_id, waiting, now_ns, ret);
}
