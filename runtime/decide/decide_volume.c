/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes: data that outlives containers. That one exists is a fact of the log; its directory is the host's,
 * made when it is first mounted.
 *
 * A removal begins with the host, and is a fact when the directory is gone: cut off in between, the command
 * is decided again, and a volume that goes with its container (`doomed`) is found by the next recovery. A
 * directory that the log does not know is never deleted: it becomes a volume, and says that it was found.
 */
#define HASH_NONFATAL_OOM 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "runtime/decide/core.h"

/* No container's id and no image's name is like this. */
#define SUBJECT_SIZE 160
static void subject_of(char ret[SUBJECT_SIZE], const char *name)
{
    snprintf(ret, SUBJECT_SIZE, "volume/%s", name);
}

static bool is_volume(const struct container_mount *mount)
{
    return strcmp(mount->type, "volume") == 0;
}

static struct volume_operation *find_operation(const struct core *core, const char *name)
{
    struct volume_operation *found = NULL;
    HASH_FIND_STR(core->volume_operations, name, found);
    return found;
}

static void operation_free(struct core *core, struct volume_operation *operation)
{
    HASH_DEL(core->volume_operations, operation);
    cause_release(&operation->cause);
    free(operation->name);
    free(operation);
}

void volume_operations_release(struct core *core)
{
    struct volume_operation *operation, *next;
    HASH_ITER(hh, core->volume_operations, operation, next)
    operation_free(core, operation);
}

static void begin_removal(struct core *core, const char *name, struct cause *cause_take, struct decision *ret)
{
    struct volume_operation *operation = calloc(1, sizeof(*operation));
    struct effect *effect = add_effect(core, ret, EFFECT_VOLUME_REMOVE, "");
    if (operation == NULL || effect == NULL || (operation->name = core_strdup(core, name)) == NULL) {
        free(operation);
        core->failed = true;
        return;
    }
    effect->volume = core_strdup(core, name);
    operation->cause = *cause_take;
    *cause_take = (struct cause){.command_offset = -1};
    HASH_ADD_KEYPTR(hh, core->volume_operations, operation->name, strlen(operation->name), operation);
    core->failed = core->failed || operation->hh.tbl == NULL;
}

static void emit_created(struct core *core, const char *name, const struct string_map *labels,
                         const char *found, const struct cause *cause, enum outcome outcome, int64_t now_ns,
                         struct decision *ret)
{
    char subject[SUBJECT_SIZE];
    struct event event;
    event_init(&event, EVENT_VOLUME_CREATED);
    struct volume_created_event *data = &event.data.volume_created;
    data->name = core_strdup(core, name);
    data->found = core_strdup(core, found);
    if (labels != NULL && string_map_copy(&data->labels, labels) < 0)
        core->failed = true;
    subject_of(subject, name);
    emit_take(core, ret, &event, subject, cause, outcome, now_ns);
}

static bool is_going(const struct core *core, const char *name)
{
    const struct volume *volume = node_state_volume(&core->state, name);
    return volume != NULL && (volume->doomed || find_operation(core, name) != NULL);
}

void decide_volume_create(struct core *core, const struct command *command, const struct cause *cause,
                          int64_t now_ns, struct decision *ret)
{
    const struct volume_create_command *data = &command->data.volume_create;
    char subject[SUBJECT_SIZE];
    subject_of(subject, data->name);
    if (is_going(core, data->name))
        emit_refused(core, ret, subject, cause, now_ns, "volume-going",
                     "the volume '%s' is being removed: try again when it is gone", data->name);
    else if (node_state_volume(&core->state, data->name) != NULL)
        emit_done(core, ret, subject, cause, now_ns, "the volume exists already");
    else
        emit_created(core, data->name, &data->labels, NULL, cause, OUTCOME_OK, now_ns, ret);
}

void decide_volume_remove(struct core *core, const struct command *command, struct cause *cause_take,
                          int64_t now_ns, struct decision *ret)
{
    const char *name = command->data.volume_remove.volume;
    const struct container *user = node_state_volume_user(&core->state, name);
    char subject[SUBJECT_SIZE];
    subject_of(subject, name);
    if (node_state_volume(&core->state, name) == NULL && command->data.volume_remove.force)
        emit_done(core, ret, subject, cause_take, now_ns, "there is no such volume");
    else if (node_state_volume(&core->state, name) == NULL)
        emit_refused(core, ret, subject, cause_take, now_ns, "unknown-volume", "no volume '%s' on node '%s'",
                     name, core->state.name);
    else if (is_going(core, name))
        emit_refused(core, ret, subject, cause_take, now_ns, "volume-going",
                     "the volume '%s' is being removed already", name);
    else if (user != NULL)
        emit_refused(core, ret, subject, cause_take, now_ns, "volume-in-use",
                     "the volume '%s' is used by container '%s': remove the container first", name,
                     user->name);
    else
        begin_removal(core, name, cause_take, ret);
}

void decide_volume_removed(struct core *core, const struct input *input, struct decision *ret)
{
    struct volume_operation *operation = find_operation(core, input->volume_removed.name);
    char subject[SUBJECT_SIZE];
    if (operation == NULL)
        return;
    subject_of(subject, operation->name);
    if (input->volume_removed.err == NULL) {
        struct event event;
        event_init(&event, EVENT_VOLUME_REMOVED);
        event.data.volume_removed.name = core_strdup(core, operation->name);
        emit_take(core, ret, &event, subject, &operation->cause, outcome_for(&operation->cause, OUTCOME_OK),
                  input->now_ns);
    } else if (operation->cause.command_offset >= 0) {
        emit_failed(core, ret, subject, &operation->cause, input->now_ns, "remove-failed",
                    input->volume_removed.err->message);
    }
    operation_free(core, operation);
}

void volumes_name(struct core *core, struct container_spec *spec, const char *container_id)
{
    for (size_t i = 0; i < spec->mounts.n; i++) {
        struct container_mount *mount = container_spec_mount(spec, i);
        char text[CONTAINER_ID_SIZE + 4096], name[SHA256_HEX_SIZE];
        if (!is_volume(mount) || mount->source != NULL)
            continue;
        int size = snprintf(text, sizeof(text), "%s%s", container_id, mount->target);
        sha256_hex(name, text, (size_t)size);
        mount->source = core_strdup(core, name);
        mount->anonymous = true;
    }
}

void volumes_make(struct core *core, const struct container_spec *spec, const struct cause *cause,
                  int64_t now_ns, struct decision *ret)
{
    for (size_t i = 0; i < spec->mounts.n && !core->failed; i++) {
        const struct container_mount *mount = container_spec_mount(spec, i);
        if (is_volume(mount) && node_state_volume(&core->state, mount->source) == NULL)
            emit_created(core, mount->source, NULL, NULL, cause, OUTCOME_NONE, now_ns, ret);
    }
}

bool volumes_are_owned(const struct container *container)
{
    for (size_t i = 0; i < container->spec.mounts.n; i++)
        if (container_spec_mount(&container->spec, i)->anonymous)
            return true;
    return false;
}

const char *volume_that_goes(const struct core *core, const struct container_spec *spec)
{
    for (size_t i = 0; i < spec->mounts.n; i++) {
        const struct container_mount *mount = container_spec_mount(spec, i);
        if (is_volume(mount) && mount->source != NULL && is_going(core, mount->source))
            return mount->source;
    }
    return NULL;
}

/* The story goes on, but the command that may have begun it is settled. */
static struct cause follow(struct core *core, const struct cause *cause)
{
    struct cause next = {.command_offset = -1};
    memcpy(next.causationid, cause->causationid, sizeof(next.causationid));
    memcpy(next.correlationid, cause->correlationid, sizeof(next.correlationid));
    next.actor = core_strdup(core, cause->actor);
    return next;
}

void volumes_remove_doomed(struct core *core, const struct cause *cause, struct decision *ret)
{
    for (const struct volume *each = core->state.volumes; each != NULL; each = each->hh.next) {
        if (!each->doomed || find_operation(core, each->name) != NULL)
            continue;
        struct cause next = follow(core, cause);
        begin_removal(core, each->name, &next, ret);
        cause_release(&next);
    }
}

void core_recover_volumes(struct core *core, int64_t now_ns, const struct strings *names,
                          struct decision *ret)
{
    struct cause cause = {.command_offset = -1, .actor = core_strdup(core, ACTOR_RECOVERY)};
    for (size_t i = 0; i < names->n; i++)
        if (check_volume_name(names->items[i]) == NULL &&
            node_state_volume(&core->state, names->items[i]) == NULL)
            emit_created(core, names->items[i], NULL,
                         "a directory among the node's volumes that the log does not know", &cause,
                         OUTCOME_NONE, now_ns, ret);
    volumes_remove_doomed(core, &cause, ret);
    cause_release(&cause);
}
