/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/chaos/watch.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/timestamp.h"

static void add_record(struct records *records, const struct log_record *record)
{
    if (records->n == records->capacity) {
        records->capacity = records->capacity == 0 ? 1024 : records->capacity * 2;
        records->items = realloc(records->items, records->capacity * sizeof(*records->items));
    }
    char *bytes = malloc(record->value_size + 1);
    if (records->items == NULL || bytes == NULL)
        abort();
    memcpy(bytes, record->value, record->value_size);
    bytes[record->value_size] = '\0';
    records->items[records->n++] =
        (struct record){.offset = record->offset, .bytes = bytes, .size = record->value_size};
}

static struct watched *container_get(struct watch *watch, const char *id)
{
    struct watched *container;
    HASH_FIND_STR(watch->containers, id, container);
    if (container != NULL)
        return container;
    container = calloc(1, sizeof(*container));
    if (container == NULL)
        abort();
    snprintf(container->id, sizeof(container->id), "%s", id);
    HASH_ADD_STR(watch->containers, id, container);
    return container;
}

static bool is_type(const char *type, const char *name)
{
    char whole[64];
    snprintf(whole, sizeof(whole), "wharf.container.%s.v1", name);
    return strcmp(type, whole) == 0;
}

static void started(struct watched *container, int64_t incarnation, const json_t *data)
{
    container->newest = incarnation;
    container->running = true;
    container->restarting = false;
    if (incarnation >= WATCH_INCARNATIONS)
        return;
    container->incarnations[incarnation].shim_pid = json_integer_value(json_object_get(data, "shim_pid"));
    timestamp_parse(json_string_value(json_object_get(data, "started_at")),
                    &container->incarnations[incarnation].started_ns, NULL);
}

static void note_event(struct watch *watch, const struct record *record)
{
    json_auto_t *event = json_loadb(record->bytes, record->size, 0, NULL);
    const char *type = json_string_value(json_object_get(event, "type"));
    const char *subject = json_string_value(json_object_get(event, "subject"));
    const json_t *data = json_object_get(event, "data");
    int64_t incarnation = json_integer_value(json_object_get(data, "incarnation"));
    if (type == NULL || subject == NULL || strncmp(type, "wharf.container.", 16) != 0)
        return;
    struct watched *container = container_get(watch, subject);
    bool kept = incarnation > 0 && incarnation < WATCH_INCARNATIONS;
    if (is_type(type, "started")) {
        started(container, incarnation, data);
    } else if (is_type(type, "start_failed")) {
        container->newest = incarnation;
        container->restarting = false;
        container->incarnations[kept ? incarnation : 0].failed = true;
    } else if (is_type(type, "exited")) {
        container->running = false;
        container->incarnations[kept ? incarnation : 0].exited = true;
    } else if (is_type(type, "exec_started")) {
        container->execs++;
    } else if (is_type(type, "exec_exited")) {
        container->execs--;
    } else if (is_type(type, "restarting")) {
        container->restarting = true;
    } else if (is_type(type, "restart_canceled")) {
        container->restarting = false;
    } else if (is_type(type, "removed")) {
        container->removed = true;
    }
}

static void on_records(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    struct watch *watch = data;
    (void)reader;
    pthread_mutex_lock(&watch->mutex);
    for (size_t i = 0; i < n; i++) {
        bool event = records[i].topic == LOG_EVENTS;
        struct records *to = event ? &watch->events : &watch->commands;
        if (records[i].damage != NULL)
            report_fail(watch->report, "log", "record %lld of %s is damaged: %s",
                        (long long)records[i].offset, log_topic_name(records[i].topic), records[i].damage);
        add_record(to, &records[i]);
        if (event)
            note_event(watch, &to->items[to->n - 1]);
    }
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->mutex);
}

static void on_lost(struct log_reader *reader, const struct err *err, void *data)
{
    (void)reader;
    report_fail(((struct watch *)data)->report, "log", "the log cannot be followed any more: %s",
                err->message);
}

static void on_stop(uv_async_t *async)
{
    struct watch *watch = async->data;
    for (int i = 0; i < 2; i++)
        log_reader_close(watch->readers[i]);
    log_close(watch->log, NULL, NULL);
    uv_close((uv_handle_t *)async, NULL);
}

static void on_trouble(const struct log_trouble *trouble, void *data)
{
    struct watch *watch = data;
    report_note(watch->report, "log: %s", trouble->message);
    if (trouble->kind == LOG_LOSS || trouble->kind == LOG_DAMAGED)
        report_fail(watch->report, "log", "%s", trouble->message);
}

static void *run(void *data)
{
    struct watch *watch = data;
    uv_run(&watch->loop, UV_RUN_DEFAULT);
    uv_loop_close(&watch->loop);
    return NULL;
}

int watch_start(struct watch *watch, struct report *report, const char *log_url, struct err *err)
{
    static const struct log_reader_ops ops = {.on_records = on_records, .on_lost = on_lost};
    static const enum log_topic topics[] = {LOG_COMMANDS, LOG_EVENTS};
    *watch = (struct watch){.report = report};
    struct log_options options = {.on_trouble = on_trouble, .data = watch};
    pthread_mutex_init(&watch->mutex, NULL);
    pthread_cond_init(&watch->changed, NULL);
    uv_loop_init(&watch->loop);
    uv_async_init(&watch->loop, &watch->stop, on_stop);
    watch->stop.data = watch;
    if (log_open(&watch->log, &watch->loop, log_url, &options, err) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (log_reader_open(&watch->readers[i], watch->log, topics[i], 0, 0, &ops, watch, err) < 0)
            return -1;
    }
    if (pthread_create(&watch->thread, NULL, run, watch) != 0)
        return err_set(err, ERR_SYSTEM, "cannot start a thread");
    return 0;
}

void watch_stop(struct watch *watch)
{
    uv_async_send(&watch->stop);
    pthread_join(watch->thread, NULL);
}

static void release_records(struct records *records)
{
    for (size_t i = 0; i < records->n; i++)
        free(records->items[i].bytes);
    free(records->items);
}

void watch_release(struct watch *watch)
{
    struct watched *container, *next;
    HASH_ITER(hh, watch->containers, container, next)
    {
        HASH_DEL(watch->containers, container);
        free(container);
    }
    release_records(&watch->commands);
    release_records(&watch->events);
}

bool watch_wait(struct watch *watch, const char *id, watched_is is, int64_t arg, int timeout_s,
                struct watched *ret)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += timeout_s;
    bool holds = false, waited = true;
    pthread_mutex_lock(&watch->mutex);
    while (!holds && waited) {
        struct watched *container;
        HASH_FIND_STR(watch->containers, id, container);
        holds = container != NULL && is(container, arg);
        if (container != NULL)
            *ret = *container;
        if (!holds)
            waited = pthread_cond_timedwait(&watch->changed, &watch->mutex, &deadline) == 0;
    }
    pthread_mutex_unlock(&watch->mutex);
    return holds;
}

bool watch_pick_running(struct watch *watch, uint64_t pick, struct watched *ret)
{
    struct watched *container;
    uint64_t n = 0;
    pthread_mutex_lock(&watch->mutex);
    for (container = watch->containers; container != NULL; container = container->hh.next)
        n += container->running ? 1 : 0;
    uint64_t left = n > 0 ? pick % n : 0;
    for (container = watch->containers; container != NULL; container = container->hh.next) {
        if (container->running && left-- == 0) {
            *ret = *container;
            break;
        }
    }
    pthread_mutex_unlock(&watch->mutex);
    return container != NULL;
}
