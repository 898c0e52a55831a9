/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/event_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

#define START_NS 1767225600000000000LL /* 2026-01-01T00:00:00Z */
#define DIGEST "sha256:0000000000000000000000000000000000000000000000000000000000000001"

static void *checked(void *p)
{
    if (p == NULL) {
        perror("event writer");
        abort();
    }
    return p;
}

static char *dup(const char *text)
{
    return checked(strdup(text));
}

/* splitmix64 (Steele, Lea, Flood 2014): small, and any seed is good. */
static uint64_t next_random(struct event_writer *writer)
{
    uint64_t z = (writer->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void event_writer_init(struct event_writer *writer, const char *node, uint64_t seed, size_t max_containers)
{
    *writer = (struct event_writer){.epoch = 1, .time_ns = START_NS, .random = seed};
    writer->max_containers = max_containers;
    writer->containers = checked(calloc(max_containers, sizeof(*writer->containers)));
    snprintf(writer->node, sizeof(writer->node), "%s", node);
    snprintf(writer->source, sizeof(writer->source), "/wharf/node/%s", node);
    memset(writer->prevhash, '0', sizeof(writer->prevhash) - 1);
}

void event_writer_release(struct event_writer *writer)
{
    free(writer->containers);
    *writer = (struct event_writer){0};
}

static void fresh_uuid(struct event_writer *writer, char ret[UUID_TEXT_SIZE])
{
    uint64_t words[2] = {next_random(writer), next_random(writer)};
    uint8_t bytes[UUID_RANDOM_BYTES];
    memcpy(bytes, words, sizeof(bytes));
    uuid_v7(ret, writer->time_ns, bytes);
}

char *event_writer_encode(struct event_writer *writer, struct event *event, const char *subject,
                          int64_t streamversion, size_t *ret_size)
{
    struct envelope *envelope = &event->envelope;
    writer->time_ns += 1000003;
    writer->nodeseq++;
    fresh_uuid(writer, envelope->id);
    fresh_uuid(writer, envelope->correlationid);
    envelope->source = dup(writer->source);
    envelope->subject = dup(subject);
    envelope->node = dup(writer->node);
    envelope->actor = dup("unix:uid=0");
    envelope->time_ns = writer->time_ns;
    envelope->streamversion = streamversion;
    envelope->nodeseq = writer->nodeseq;
    envelope->epoch = writer->epoch;
    memcpy(envelope->prevhash, writer->prevhash, sizeof(envelope->prevhash));
    struct err err = ERR_INIT;
    char *text = event_encode(event, ret_size, &err);
    if (text == NULL) {
        fprintf(stderr, "event writer: %s\n", err.message);
        abort();
    }
    sha256_hex(writer->prevhash, text, *ret_size);
    event_release(event);
    return text;
}

static char *encode_node_event(struct event_writer *writer, size_t *ret_size)
{
    struct event event;
    if (writer->nodeseq == 0) {
        event_init(&event, EVENT_NODE_JOINED);
        event.data.node_joined.partition = 0;
    } else {
        event_init(&event, EVENT_NODE_STARTED);
        event.data.node_started.boot_id = dup("11111111-2222-3333-4444-555555555555");
        event.data.node_started.kernel = dup("6.1.0");
        event.data.node_started.version = dup("0.1");
        event.data.node_started.pid = 100;
    }
    return event_writer_encode(writer, &event, writer->node, writer->nodeseq + 1, ret_size);
}

static void add_label(struct string_map *map, const char *key, const char *value)
{
    map->items = checked(reallocarray(map->items, map->n + 1, sizeof(*map->items)));
    map->items[map->n++] = (struct string_pair){dup(key), dup(value)};
}

static void fill_created(struct event_writer *writer, struct event *event, const char *name)
{
    static const char *const tiers[] = {"front", "back", "db"};
    static const char *const images[] = {"busybox", "debian:12", "registry.example/app:7"};
    struct container_created_event *data = &event->data.container_created;
    data->name = dup(name);
    data->image_digest = dup(DIGEST);
    data->spec.image = dup(images[next_random(writer) % 3]);
    data->spec.name = dup(name);
    data->spec.restart = dup("always");
    data->spec.memory = 64 << 20;
    add_label(&data->spec.labels, "tier", tiers[next_random(writer) % 3]);
    if (next_random(writer) % 2 == 0)
        add_label(&data->spec.labels, "canary", "");
}

static void fill_time(struct event_writer *writer, char **ret)
{
    char text[TIMESTAMP_SIZE];
    timestamp_format(text, writer->time_ns);
    *ret = dup(text);
}

static void fill_exited(struct event_writer *writer, struct event *event, int64_t incarnation)
{
    struct container_exited_event *data = &event->data.container_exited;
    bool known = next_random(writer) % 8 != 0;
    data->incarnation = incarnation;
    data->reason = dup(known ? "exited" : "host-restart");
    if (known) {
        data->exit_code = (int64_t)(next_random(writer) % 256);
        fill_time(writer, &data->finished_at);
    }
}

static void fill_exec(struct event_writer *writer, struct event *event, struct written_container *container)
{
    uint64_t bytes[4] = {next_random(writer), next_random(writer), next_random(writer), next_random(writer)};
    char id[CONTAINER_ID_SIZE];
    container_id_format(id, (const uint8_t *)bytes);
    if (event->type == EVENT_CONTAINER_EXEC_STARTED) {
        struct container_exec_started_event *data = &event->data.container_exec_started;
        data->exec = dup(id);
        data->incarnation = container->incarnation;
        data->pid = 1000 + (int64_t)(next_random(writer) % 30000);
        data->tty = next_random(writer) % 2 == 0;
        strings_add(&data->command, "date");
        memcpy(container->exec, id, sizeof(container->exec));
    } else if (event->type == EVENT_CONTAINER_EXEC_FAILED) {
        struct container_exec_failed_event *data = &event->data.container_exec_failed;
        data->exec = dup(id);
        data->exit_code = 127;
        data->code = dup("command-not-found");
        data->message = dup("no such command");
        strings_add(&data->command, "data");
    } else {
        struct container_exec_exited_event *data = &event->data.container_exec_exited;
        data->exec = dup(container->exec);
        data->incarnation = container->incarnation;
        data->reason = dup("exited");
        data->exit_code = (int64_t)(next_random(writer) % 256);
        container->exec[0] = '\0';
    }
}

static void fill_files(struct event_writer *writer, struct event *event)
{
    if (event->type == EVENT_CONTAINER_COPIED) {
        event->data.container_copied.direction = dup(next_random(writer) % 2 == 0 ? "in" : "out");
        event->data.container_copied.path = dup("/etc/hosts");
        return;
    }
    event->data.container_committed.reference = dup("made:latest");
    event->data.container_committed.digest =
        dup("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

/* Data of an event about a container that exists. */
static void fill(struct event_writer *writer, struct event *event, struct written_container *container)
{
    int64_t pid = 1000 + (int64_t)(next_random(writer) % 30000);
    switch ((int)event->type) {
    case EVENT_CONTAINER_STARTED:
        event->data.container_started.incarnation = ++container->incarnation;
        event->data.container_started.pid = pid;
        event->data.container_started.shim_pid = pid - 1;
        fill_time(writer, &event->data.container_started.started_at);
        event->data.container_started.health_checked = pid % 2 == 0;
        break;
    case EVENT_CONTAINER_START_FAILED:
        event->data.container_start_failed.incarnation = ++container->incarnation;
        event->data.container_start_failed.exit_code = 127;
        event->data.container_start_failed.code = dup("command-not-found");
        event->data.container_start_failed.message = dup("no such command");
        break;
    case EVENT_CONTAINER_ADOPTED:
        event->data.container_adopted.incarnation = container->incarnation;
        event->data.container_adopted.pid = pid;
        event->data.container_adopted.shim_pid = pid - 1;
        break;
    case EVENT_CONTAINER_SIGNALED:
        event->data.container_signaled.signal = dup("SIGHUP");
        break;
    case EVENT_CONTAINER_STOPPING:
        event->data.container_stopping.signal = dup("SIGTERM");
        event->data.container_stopping.timeout_s = 10;
        break;
    case EVENT_CONTAINER_EXITED:
        fill_exited(writer, event, container->incarnation);
        break;
    case EVENT_CONTAINER_RESTARTING:
        event->data.container_restarting.attempt = 1;
        event->data.container_restarting.delay_ms = 100;
        fill_time(writer, &event->data.container_restarting.due_at);
        break;
    case EVENT_CONTAINER_RENAMED:
        event->data.container_renamed.before = dup(container->name);
        snprintf(container->name, sizeof(container->name), "c%llu",
                 (unsigned long long)writer->n_made++ % 50000);
        event->data.container_renamed.name = dup(container->name);
        break;
    case EVENT_CONTAINER_UPDATED:
        event->data.container_updated.memory = (int64_t)(next_random(writer) % 64 + 1) << 23;
        if (next_random(writer) % 2 == 0)
            event->data.container_updated.restart = dup("on-failure");
        break;
    case EVENT_CONTAINER_HEALTH_CHANGED:
        event->data.container_health_changed.incarnation = container->incarnation;
        event->data.container_health_changed.health = dup(pid % 2 == 0 ? "healthy" : "unhealthy");
        event->data.container_health_changed.failures = pid % 2;
        break;
    case EVENT_CONTAINER_EXEC_STARTED:
    case EVENT_CONTAINER_EXEC_FAILED:
    case EVENT_CONTAINER_EXEC_EXITED:
        fill_exec(writer, event, container);
        break;
    case EVENT_CONTAINER_ATTACHED:
        event->data.container_attached.incarnation = container->incarnation > 0 ? container->incarnation : 1;
        break;
    case EVENT_CONTAINER_COPIED:
    case EVENT_CONTAINER_COMMITTED:
        fill_files(writer, event);
        break;
    case EVENT_CONTAINER_REMOVED:
        event->data.container_removed.name = dup(container->name);
        break;
    default:
        break;
    }
}

static char *encode_created(struct event_writer *writer, size_t *ret_size)
{
    struct written_container *container = &writer->containers[writer->n_containers++];
    *container = (struct written_container){.state = CONTAINER_CREATED, .version = 1};
    uint64_t bytes[4] = {next_random(writer), next_random(writer), next_random(writer), next_random(writer)};
    container_id_format(container->id, (const uint8_t *)bytes);
    snprintf(container->name, sizeof(container->name), "c%llu", (unsigned long long)writer->n_made++ % 50000);
    struct event event;
    event_init(&event, EVENT_CONTAINER_CREATED);
    fill_created(writer, &event, container->name);
    return event_writer_encode(writer, &event, container->id, 1, ret_size);
}

/* A random event that the state allows. */
static enum event_type choose(struct event_writer *writer, const struct written_container *container)
{
    for (;;) {
        enum event_type type = (enum event_type)(next_random(writer) % EVENT_TYPES);
        enum container_state next;
        bool runs_exec = container->exec[0] != '\0', was_started = container->incarnation > 0;
        if ((type == EVENT_CONTAINER_EXEC_STARTED && (runs_exec || !was_started)) ||
            (type == EVENT_CONTAINER_EXEC_EXITED && !runs_exec))
            continue;
        if (container_state_next(container->state, type, &next))
            return type;
    }
}

char *event_writer_next(struct event_writer *writer, size_t *ret_size)
{
    if (writer->nodeseq < 2)
        return encode_node_event(writer, ret_size);
    bool full = writer->n_containers == writer->max_containers;
    if (!full && (writer->n_containers == 0 || next_random(writer) % 4 == 0))
        return encode_created(writer, ret_size);
    struct written_container *container = &writer->containers[next_random(writer) % writer->n_containers];
    struct event event;
    event_init(&event, choose(writer, container));
    container_state_next(container->state, event.type, &container->state);
    fill(writer, &event, container);
    char id[CONTAINER_ID_SIZE];
    memcpy(id, container->id, sizeof(id));
    int64_t version = ++container->version;
    if (container->state == CONTAINER_ABSENT)
        *container = writer->containers[--writer->n_containers];
    return event_writer_encode(writer, &event, id, version, ret_size);
}
