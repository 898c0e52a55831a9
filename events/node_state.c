/* SPDX-License-Identifier: Apache-2.0 */
#define HASH_NONFATAL_OOM 1
#include "events/node_state.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"

/* A container that ran for so long has recovered: the back-off of its restart policy starts again (docker's
 * rule). */
#define RECOVERED_AFTER_NS (10LL * 1000000000LL)

/* The shortest prefix of an id that is looked up. */
#define ID_PREFIX_MIN 1

int node_state_init(struct node_state *state, const char *node_name)
{
    *state = (struct node_state){.partition = -1, .answered_through = -1};
    state->name = strdup(node_name);
    return state->name != NULL ? 0 : -1;
}

static void container_free(struct container *container)
{
    if (container == NULL)
        return;
    free(container->name);
    free(container->image_digest);
    schema_release(&container_spec_schema, &container->spec);
    free(container);
}

static void image_free(struct image *image)
{
    if (image == NULL)
        return;
    free(image->reference);
    free(image->digest);
    schema_release(&image_config_schema, &image->config);
    free(image);
}

static void volume_free(struct volume *volume)
{
    if (volume == NULL)
        return;
    free(volume->name);
    string_map_release(&volume->labels);
    free(volume);
}

void node_state_release(struct node_state *state)
{
    struct container *container, *next_container;
    HASH_CLEAR(hh_name, state->names);
    HASH_ITER(hh, state->containers, container, next_container)
    {
        HASH_DEL(state->containers, container);
        container_free(container);
    }
    execs_release(state, NULL);
    struct image *image, *next_image;
    HASH_ITER(hh, state->images, image, next_image)
    {
        HASH_DEL(state->images, image);
        image_free(image);
    }
    struct volume *volume, *next_volume;
    HASH_ITER(hh, state->volumes, volume, next_volume)
    {
        HASH_DEL(state->volumes, volume);
        volume_free(volume);
    }
    struct answer *answer, *next_answer;
    HASH_ITER(hh, state->answers, answer, next_answer)
    {
        HASH_DEL(state->answers, answer);
        free(answer);
    }
    struct answered_offset *offset, *next_offset;
    HASH_ITER(hh, state->answered, offset, next_offset)
    {
        HASH_DEL(state->answered, offset);
        free(offset);
    }
    free(state->name);
    free(state->boot_id);
    buf_release(&state->newest);
    *state = (struct node_state){.partition = -1, .answered_through = -1};
}

void node_state_prevhash(const struct node_state *state, char ret[SHA256_HEX_SIZE])
{
    if (state->newest.size == 0) {
        memset(ret, '0', SHA256_HEX_SIZE - 1);
        ret[SHA256_HEX_SIZE - 1] = '\0';
    } else {
        sha256_hex(ret, state->newest.data, state->newest.size);
    }
}

struct container *node_state_container(const struct node_state *state, const char *id)
{
    struct container *found = NULL;
    HASH_FIND_STR(state->containers, id, found);
    return found;
}

struct container *node_state_by_name(const struct node_state *state, const char *name)
{
    struct container *found = NULL;
    HASH_FIND(hh_name, state->names, name, strlen(name), found);
    return found;
}

struct container *node_state_resolve(const struct node_state *state, const char *ref, struct err *err)
{
    struct container *found = node_state_container(state, ref);
    if (found == NULL)
        found = node_state_by_name(state, ref);
    if (found != NULL)
        return found;
    size_t size = strlen(ref);
    for (struct container *each = state->containers; size >= ID_PREFIX_MIN && each != NULL;
         each = each->hh.next) {
        if (strncmp(each->id, ref, size) != 0)
            continue;
        if (found != NULL) {
            err_set(err, ERR_CONFLICT, "more than one container's id starts with '%s': give more of it", ref);
            return NULL;
        }
        found = each;
    }
    if (found == NULL)
        err_set(err, ERR_NOT_FOUND, "no container has the id or name '%s' on node '%s'", ref, state->name);
    return found;
}

struct image *node_state_image(const struct node_state *state, const char *reference)
{
    struct image *found = NULL;
    char normal[512];
    if (image_reference_normalize(reference, normal, sizeof(normal)) < 0)
        return NULL;
    HASH_FIND_STR(state->images, normal, found);
    const char *hex = reference + (strncmp(reference, "sha256:", 7) == 0 ? 7 : 0);
    size_t size = strlen(hex);
    if (found != NULL || size < IMAGE_ID_SIZE_MIN || strspn(hex, "0123456789abcdef") != size)
        return found;
    for (struct image *each = state->images; each != NULL; each = each->hh.next) {
        if (strncmp(each->digest + strlen("sha256:"), hex, size) != 0)
            continue;
        if (found != NULL && strcmp(found->digest, each->digest) != 0)
            return NULL;
        found = each;
    }
    return found;
}

struct volume *node_state_volume(const struct node_state *state, const char *name)
{
    struct volume *found = NULL;
    HASH_FIND_STR(state->volumes, name, found);
    return found;
}

static bool mounts_volume(const struct container_mount *mount, const char *name)
{
    return strcmp(mount->type, "volume") == 0 && mount->source != NULL && strcmp(mount->source, name) == 0;
}

const struct container *node_state_volume_user(const struct node_state *state, const char *name)
{
    for (const struct container *each = state->containers; each != NULL; each = each->hh.next)
        for (size_t i = 0; i < each->spec.mounts.n; i++)
            if (mounts_volume(container_spec_mount(&each->spec, i), name))
                return each;
    return NULL;
}

bool node_state_is_answered(const struct node_state *state, int64_t command_offset, const char *command_id)
{
    if (command_offset <= state->answered_through)
        return true;
    struct answered_offset *offset = NULL;
    HASH_FIND(hh, state->answered, &command_offset, sizeof(command_offset), offset);
    struct answer *answer = NULL;
    HASH_FIND_STR(state->answers, command_id, answer);
    return offset != NULL || answer != NULL;
}

int node_state_skip_offset(struct node_state *state, int64_t command_offset)
{
    if (command_offset <= state->answered_through)
        return 0;
    struct answered_offset *found = NULL;
    HASH_FIND(hh, state->answered, &command_offset, sizeof(command_offset), found);
    if (found == NULL) {
        found = calloc(1, sizeof(*found));
        if (found == NULL)
            return -1;
        found->offset = command_offset;
        HASH_ADD(hh, state->answered, offset, sizeof(found->offset), found);
        if (found->hh.tbl == NULL) {
            free(found);
            return -1;
        }
    }
    for (;;) {
        int64_t next = state->answered_through + 1;
        HASH_FIND(hh, state->answered, &next, sizeof(next), found);
        if (found == NULL)
            return 0;
        HASH_DEL(state->answered, found);
        free(found);
        state->answered_through = next;
    }
}

int node_state_add_answer(struct node_state *state, const char command_id[UUID_TEXT_SIZE],
                          int64_t command_offset)
{
    struct answer *answer = NULL;
    HASH_FIND_STR(state->answers, command_id, answer);
    if (answer != NULL)
        return 0;
    answer = calloc(1, sizeof(*answer));
    if (answer == NULL)
        return -1;
    memcpy(answer->command_id, command_id, sizeof(answer->command_id));
    answer->command_offset = command_offset;
    HASH_ADD_STR(state->answers, command_id, answer);
    if (answer->hh.tbl == NULL) {
        free(answer);
        return -1;
    }
    return 0;
}

static int remember_answer(struct node_state *state, const struct envelope *envelope)
{
    if (node_state_add_answer(state, envelope->causationid, envelope->commandoffset) < 0)
        return -1;
    if (HASH_COUNT(state->answers) > NODE_ANSWERS_KEPT) {
        struct answer *oldest = state->answers;
        HASH_DEL(state->answers, oldest);
        free(oldest);
    }
    return node_state_skip_offset(state, envelope->commandoffset);
}

static void note_event(struct container *container, const struct envelope *envelope)
{
    container->version = envelope->streamversion;
    memcpy(container->last_event_id, envelope->id, sizeof(container->last_event_id));
    memcpy(container->correlationid, envelope->correlationid, sizeof(container->correlationid));
}

static struct container *container_new(const struct event *event)
{
    const struct container_created_event *created = &event->data.container_created;
    struct container *container = calloc(1, sizeof(*container));
    if (container == NULL)
        return NULL;
    snprintf(container->id, sizeof(container->id), "%s", event->envelope.subject);
    container->name = strdup(created->name);
    container->image_digest = strdup(created->image_digest);
    container->state = CONTAINER_CREATED;
    note_event(container, &event->envelope);
    memcpy(container->created_by, event->envelope.causationid, sizeof(container->created_by));
    container->created_at_ns = event->envelope.time_ns;
    container->exit_code = SCHEMA_ABSENT;
    if (container->name == NULL || container->image_digest == NULL ||
        schema_copy(&container_spec_schema, &container->spec, &created->spec) < 0) {
        container_free(container);
        return NULL;
    }
    return container;
}

int node_state_add_container_take(struct node_state *state, struct container *container)
{
    HASH_ADD_STR(state->containers, id, container);
    if (container->hh.tbl == NULL) {
        container_free(container);
        return -1;
    }
    HASH_ADD_KEYPTR(hh_name, state->names, container->name, strlen(container->name), container);
    if (container->hh_name.tbl == NULL) {
        HASH_DEL(state->containers, container);
        container_free(container);
        return -1;
    }
    return 0;
}

/* Volumes whose names were made up for the container are its own. */
static void own_volumes(struct node_state *state, const struct container *container)
{
    for (size_t i = 0; i < container->spec.mounts.n; i++) {
        const struct container_mount *mount = container_spec_mount(&container->spec, i);
        struct volume *volume =
            mount->anonymous && mount->source != NULL ? node_state_volume(state, mount->source) : NULL;
        if (volume != NULL)
            memcpy(volume->owner, container->id, sizeof(volume->owner));
    }
}

/* After the container has been taken out: what others use stays. */
static void doom_volumes(struct node_state *state, const char *container_id)
{
    for (struct volume *each = state->volumes; each != NULL; each = each->hh.next)
        if (strcmp(each->owner, container_id) == 0 && node_state_volume_user(state, each->name) == NULL)
            each->doomed = true;
}

static enum apply_result apply_created(struct node_state *state, const struct event *event)
{
    if (node_state_container(state, event->envelope.subject) != NULL ||
        node_state_by_name(state, event->data.container_created.name) != NULL ||
        !container_id_is_valid(event->envelope.subject))
        return APPLY_ILLEGAL;
    struct container *container = container_new(event);
    if (container == NULL || node_state_add_container_take(state, container) < 0)
        return APPLY_NOMEM;
    own_volumes(state, container);
    return APPLY_DONE;
}

static int64_t time_or_zero(const char *text)
{
    int64_t ns = 0;
    if (text != NULL)
        timestamp_parse(text, &ns, NULL); /* the decoder has checked it */
    return ns;
}

const char *interruption_by_name(const char *name)
{
    static const char *const names[] = {"host-restart", "state-lost", "image-missing"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return names[i];
    return NULL;
}

bool container_is_interrupted(const struct container *container)
{
    return container->interrupted_by != NULL && container->state == CONTAINER_EXITED &&
           !container->spec.auto_remove;
}

static void evolve_started(struct container *container, const struct container_started_event *data)
{
    if (container->state == CONTAINER_RESTARTING)
        container->restarts++;
    else
        container->restart_attempt = 0;
    container->incarnation = data->incarnation;
    container->pid = data->pid != SCHEMA_ABSENT ? data->pid : 0;
    container->shim_pid = data->shim_pid != SCHEMA_ABSENT ? data->shim_pid : 0;
    container->started_at_ns = time_or_zero(data->started_at);
    container->stopped_by_user = false;
    container->interrupted_by = NULL;
    container->health = data->health_checked ? HEALTH_STARTING : HEALTH_NONE;
}

static void evolve_exited(struct container *container, const struct container_exited_event *data)
{
    container->finished_at_ns = time_or_zero(data->finished_at);
    container->exit_code = data->exit_code;
    container->interrupted_by = container->stopped_by_user ? NULL : interruption_by_name(data->reason);
    container->pid = 0;
    container->shim_pid = 0;
    container->health = HEALTH_NONE;
    if (container->finished_at_ns - container->started_at_ns >= RECOVERED_AFTER_NS)
        container->restart_attempt = 0;
}

/* What a person tried to start in vain is as it was. */
static void evolve_start_failed(struct container *container, const struct container_start_failed_event *data)
{
    container->incarnation = data->incarnation;
    if (container->state == CONTAINER_RESTARTING && container->interrupted_by == NULL &&
        strcmp(data->code, "image-missing") == 0)
        container->interrupted_by = interruption_by_name(data->code);
}

/* docker's rule: SIGKILL and the stop signal, sent by hand, mean that the container is to end for good. */
static void evolve_signaled(struct container *container, const struct container_signaled_event *data)
{
    const char *stop_signal = container->spec.stop_signal;
    int number = signal_by_name(data->signal);
    if (number == SIGKILL || number == (stop_signal != NULL ? signal_by_name(stop_signal) : SIGTERM))
        container->stopped_by_user = true;
}

static void change_number(int64_t *member, int64_t value)
{
    if (value != SCHEMA_ABSENT)
        *member = value;
}

/* 0 takes a limit away. */
static void change_limit(int64_t *member, int64_t value)
{
    if (value != SCHEMA_ABSENT)
        *member = value != 0 ? value : SCHEMA_ABSENT;
}

int container_spec_update(struct container_spec *spec, const struct container_updated_event *update)
{
    if (update->restart != NULL) {
        char *restart = strdup(update->restart);
        if (restart == NULL)
            return -1;
        free(spec->restart);
        spec->restart = restart;
    }
    change_number(&spec->memory, update->memory);
    change_number(&spec->memory_swap, update->memory_swap);
    change_number(&spec->memory_reservation, update->memory_reservation);
    change_limit(&spec->cpu_millis, update->cpu_millis);
    change_number(&spec->cpu_shares, update->cpu_shares);
    change_limit(&spec->pids_limit, update->pids_limit);
    change_number(&spec->restart_max, update->restart_max);
    return 0;
}

static enum apply_result evolve_renamed(struct node_state *state, struct container *container,
                                        const char *name)
{
    if (node_state_by_name(state, name) != NULL)
        return APPLY_ILLEGAL;
    char *copy = strdup(name);
    if (copy == NULL)
        return APPLY_NOMEM;
    HASH_DELETE(hh_name, state->names, container);
    free(container->name);
    container->name = copy;
    HASH_ADD_KEYPTR(hh_name, state->names, container->name, strlen(container->name), container);
    return container->hh_name.tbl != NULL ? APPLY_DONE : APPLY_NOMEM;
}

static void evolve_container(struct container *container, const struct event *event)
{
    switch (event->type) {
    case EVENT_CONTAINER_STARTED:
        evolve_started(container, &event->data.container_started);
        break;
    case EVENT_CONTAINER_START_FAILED:
        evolve_start_failed(container, &event->data.container_start_failed);
        break;
    case EVENT_CONTAINER_ADOPTED:
        container->pid = event->data.container_adopted.pid;
        container->shim_pid = event->data.container_adopted.shim_pid;
        break;
    case EVENT_CONTAINER_SIGNALED:
        evolve_signaled(container, &event->data.container_signaled);
        break;
    case EVENT_CONTAINER_STOPPING:
    case EVENT_CONTAINER_RESTART_CANCELED:
        container->stopped_by_user = true;
        container->interrupted_by = NULL;
        break;
    case EVENT_CONTAINER_EXITED:
        evolve_exited(container, &event->data.container_exited);
        break;
    case EVENT_CONTAINER_RESTARTING:
        container->restart_attempt = event->data.container_restarting.attempt;
        container->restart_due_ns = time_or_zero(event->data.container_restarting.due_at);
        break;
    case EVENT_CONTAINER_HEALTH_CHANGED: /* the decoder has checked it */
        container->health =
            (enum container_health)container_health_by_name(event->data.container_health_changed.health);
        break;
    case EVENT_CONTAINER_PAUSED:
    case EVENT_CONTAINER_UNPAUSED:
    case EVENT_CONTAINER_RENAMED:
    case EVENT_CONTAINER_UPDATED:
    case EVENT_CONTAINER_EXEC_STARTED:
    case EVENT_CONTAINER_EXEC_FAILED:
    case EVENT_CONTAINER_EXEC_EXITED:
    case EVENT_CONTAINER_COPIED:
    case EVENT_CONTAINER_EXPORTED:
    case EVENT_CONTAINER_ATTACHED:
    case EVENT_CONTAINER_COMMITTED:
    case EVENT_CONTAINER_CREATED:
    case EVENT_CONTAINER_REMOVED:
    case EVENT_NODE_JOINED:
    case EVENT_NODE_STARTED:
    case EVENT_NODE_ORPHAN_DESTROYED:
    case EVENT_NODE_RECORD_PARKED:
    case EVENT_IMAGE_IMPORTED:
    case EVENT_IMAGE_REMOVED:
    case EVENT_VOLUME_CREATED:
    case EVENT_VOLUME_REMOVED:
    case EVENT_OCI_REPORTED:
    case EVENT_COMMAND_DONE:
    case EVENT_COMMAND_REFUSED:
    case EVENT_COMMAND_FAILED:
    case EVENT_TYPES:
        break;
    }
}

/* What changes more than the container, and can fail. */
static enum apply_result evolve_more(struct node_state *state, struct container *container,
                                     const struct event *event)
{
    if (event->type == EVENT_CONTAINER_RENAMED)
        return evolve_renamed(state, container, event->data.container_renamed.name);
    if (event->type == EVENT_CONTAINER_EXEC_STARTED)
        return apply_exec_started(state, container, event);
    if (event->type == EVENT_CONTAINER_EXEC_EXITED)
        return apply_exec_exited(state, container, event);
    if (event->type == EVENT_CONTAINER_UPDATED &&
        container_spec_update(&container->spec, &event->data.container_updated) < 0)
        return APPLY_NOMEM;
    return APPLY_DONE;
}

static enum apply_result apply_container(struct node_state *state, const struct event *event)
{
    if (event->type == EVENT_CONTAINER_CREATED)
        return apply_created(state, event);
    struct container *container = node_state_container(state, event->envelope.subject);
    enum container_state next;
    if (container == NULL || !container_state_next(container->state, event->type, &next))
        return APPLY_ILLEGAL;
    if (event->type == EVENT_CONTAINER_REMOVED) {
        HASH_DELETE(hh_name, state->names, container);
        HASH_DEL(state->containers, container);
        if (event->data.container_removed.volumes)
            doom_volumes(state, container->id);
        execs_release(state, container);
        container_free(container);
        return APPLY_DONE;
    }
    enum apply_result applied = evolve_more(state, container, event);
    if (applied != APPLY_DONE)
        return applied;
    evolve_container(container, event);
    if (event->type == EVENT_CONTAINER_STARTED || event->type == EVENT_CONTAINER_EXITED ||
        event->type == EVENT_CONTAINER_START_FAILED || event->type == EVENT_CONTAINER_RESTART_CANCELED)
        container->boot = state->boots;
    if (event->type != EVENT_CONTAINER_EXEC_EXITED) /* what follows the container's exit may be yet to come */
        container->just_exited = event->type == EVENT_CONTAINER_EXITED;
    container->state = next;
    note_event(container, &event->envelope);
    return APPLY_DONE;
}

static void forget_image(struct node_state *state, const char *reference)
{
    struct image *image = NULL;
    HASH_FIND_STR(state->images, reference, image);
    if (image != NULL) {
        HASH_DEL(state->images, image);
        image_free(image);
    }
}

struct image *image_new(const char *reference, const char *digest, const struct schema *schema,
                        const void *data)
{
    struct image *image = calloc(1, sizeof(*image));
    if (image == NULL)
        return NULL;
    schema_init(&image_config_schema, &image->config);
    image->reference = strdup(reference);
    image->digest = strdup(digest);
    if (image->reference != NULL && image->digest != NULL &&
        schema_copy_shared(&image_config_schema, &image->config, schema, data) == 0)
        return image;
    image_free(image);
    return NULL;
}

int node_state_add_image_take(struct node_state *state, struct image *image)
{
    HASH_ADD_KEYPTR(hh, state->images, image->reference, strlen(image->reference), image);
    if (image->hh.tbl == NULL) {
        image_free(image);
        return -1;
    }
    return 0;
}

static enum apply_result apply_imported(struct node_state *state, const struct event *event)
{
    const struct image_imported_event *data = &event->data.image_imported;
    struct image *image =
        image_new(data->reference, data->digest, event_types[EVENT_IMAGE_IMPORTED].schema(), data);
    if (image == NULL)
        return APPLY_NOMEM;
    image->size_bytes = data->size_bytes;
    image->imported_at_ns = event->envelope.time_ns;
    forget_image(state, image->reference);
    return node_state_add_image_take(state, image) < 0 ? APPLY_NOMEM : APPLY_DONE;
}

int node_state_add_volume_take(struct node_state *state, struct volume *volume)
{
    HASH_ADD_KEYPTR(hh, state->volumes, volume->name, strlen(volume->name), volume);
    if (volume->hh.tbl == NULL) {
        volume_free(volume);
        return -1;
    }
    return 0;
}

static enum apply_result apply_volume_created(struct node_state *state, const struct event *event)
{
    const struct volume_created_event *data = &event->data.volume_created;
    if (node_state_volume(state, data->name) != NULL)
        return APPLY_ILLEGAL;
    struct volume *volume = calloc(1, sizeof(*volume));
    if (volume == NULL)
        return APPLY_NOMEM;
    volume->name = strdup(data->name);
    volume->found = data->found != NULL;
    volume->created_at_ns = event->envelope.time_ns;
    if (volume->name == NULL || string_map_copy(&volume->labels, &data->labels) < 0) {
        volume_free(volume);
        return APPLY_NOMEM;
    }
    return node_state_add_volume_take(state, volume) < 0 ? APPLY_NOMEM : APPLY_DONE;
}

static enum apply_result apply_volume_removed(struct node_state *state, const struct event *event)
{
    struct volume *volume = node_state_volume(state, event->data.volume_removed.name);
    if (volume == NULL || node_state_volume_user(state, volume->name) != NULL)
        return APPLY_ILLEGAL;
    HASH_DEL(state->volumes, volume);
    volume_free(volume);
    return APPLY_DONE;
}

static enum apply_result apply_node_started(struct node_state *state, const struct event *event)
{
    char *boot_id = strdup(event->data.node_started.boot_id);
    if (boot_id == NULL)
        return APPLY_NOMEM;
    state->boots += state->boot_id == NULL || strcmp(state->boot_id, boot_id) != 0 ? 1 : 0;
    free(state->boot_id);
    state->boot_id = boot_id;
    return APPLY_DONE;
}

/* The container is not changed, but the event is one of its stream. */
static enum apply_result apply_command_outcome(struct node_state *state, const struct event *event)
{
    struct container *container = node_state_container(state, event->envelope.subject);
    if (container != NULL)
        note_event(container, &event->envelope);
    return APPLY_DONE;
}

static enum apply_result evolve(struct node_state *state, const struct event *event)
{
    switch (event->type) {
    case EVENT_NODE_JOINED:
        state->partition = event->data.node_joined.partition;
        return APPLY_DONE;
    case EVENT_NODE_STARTED:
        return apply_node_started(state, event);
    case EVENT_IMAGE_IMPORTED:
        return apply_imported(state, event);
    case EVENT_IMAGE_REMOVED:
        forget_image(state, event->data.image_removed.reference);
        return APPLY_DONE;
    case EVENT_VOLUME_CREATED:
        return apply_volume_created(state, event);
    case EVENT_VOLUME_REMOVED:
        return apply_volume_removed(state, event);
    case EVENT_NODE_ORPHAN_DESTROYED:
    case EVENT_OCI_REPORTED:
        return APPLY_DONE;
    case EVENT_NODE_RECORD_PARKED:
        return node_state_skip_offset(state, event->data.node_record_parked.offset) == 0 ? APPLY_DONE
                                                                                         : APPLY_NOMEM;
    case EVENT_COMMAND_DONE:
    case EVENT_COMMAND_REFUSED:
    case EVENT_COMMAND_FAILED:
        return apply_command_outcome(state, event);
    case EVENT_CONTAINER_CREATED:
    case EVENT_CONTAINER_STARTED:
    case EVENT_CONTAINER_START_FAILED:
    case EVENT_CONTAINER_ADOPTED:
    case EVENT_CONTAINER_SIGNALED:
    case EVENT_CONTAINER_STOPPING:
    case EVENT_CONTAINER_EXITED:
    case EVENT_CONTAINER_RESTARTING:
    case EVENT_CONTAINER_RESTART_CANCELED:
    case EVENT_CONTAINER_REMOVED:
    case EVENT_CONTAINER_PAUSED:
    case EVENT_CONTAINER_UNPAUSED:
    case EVENT_CONTAINER_RENAMED:
    case EVENT_CONTAINER_UPDATED:
    case EVENT_CONTAINER_EXEC_STARTED:
    case EVENT_CONTAINER_EXEC_FAILED:
    case EVENT_CONTAINER_EXEC_EXITED:
    case EVENT_CONTAINER_HEALTH_CHANGED:
    case EVENT_CONTAINER_COPIED:
    case EVENT_CONTAINER_EXPORTED:
    case EVENT_CONTAINER_ATTACHED:
    case EVENT_CONTAINER_COMMITTED:
        return apply_container(state, event);
    case EVENT_TYPES:
        break;
    }
    return APPLY_ILLEGAL;
}

enum apply_result node_state_apply(struct node_state *state, const struct event *event, const void *bytes,
                                   size_t size)
{
    const struct envelope *envelope = &event->envelope;
    if (strcmp(envelope->node, state->name) != 0)
        return APPLY_FOREIGN;
    enum standing standing = envelope_standing(envelope, &state->epoch, &state->nodeseq);
    if (standing == STANDING_FENCED) {
        state->events_fenced++;
        return APPLY_FENCED;
    }
    if (standing == STANDING_STALE) {
        state->events_illegal++;
        return APPLY_ILLEGAL;
    }
    /* An illegal event is still a link of the chain, and still settles its command. */
    buf_reset(&state->newest);
    buf_add(&state->newest, bytes, size);
    if (state->newest.failed || (envelope->outcome != OUTCOME_NONE && remember_answer(state, envelope) < 0))
        return APPLY_NOMEM;
    enum apply_result result = evolve(state, event);
    if (result == APPLY_DONE)
        state->events_applied++;
    else if (result == APPLY_ILLEGAL)
        state->events_illegal++;
    return result;
}
