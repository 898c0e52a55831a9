/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order of events: ask the log how many partitions there are -> read the dead letters that exist (so that
 * nothing is parked twice) -> open a struct partition each -> tell them when Redis comes and goes. Redis
 * connects meanwhile.
 *
 * Closing goes backwards: dead letter reader, partitions (which wait for what they have under way), Redis,
 * log.
 */
#include "projector/projector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/say.h"

#define TOUCH_INTERVAL_MS 1000
/* Partitions may be added to a topic, and a topic may be made after we started: asked again every so many
 * touches. */
#define TOUCHES_PER_ASK 5

struct projector {
    struct projector_options options;
    uv_loop_t *loop;
    struct log *log;
    struct redis *redis;
    struct log_query query;
    bool query_under_way;
    struct log_reader *letters;
    int64_t *parked_through; /* by partition */
    struct partition **partitions;
    bool *caught_up;
    size_t n_partitions;
    size_t n_caught_up;
    size_t n_open; /* partitions not yet closed */
    unsigned n_touches;
    bool redis_away_told;
    bool closing;
    uv_timer_t touch;
    void (*on_closed)(void *data);
    void *closed_data;
};

static void close_partitions(struct projector *projector);

static void fail(struct projector *projector, const struct err *err)
{
    if (projector->options.on_failed != NULL && !projector->closing)
        projector->options.on_failed(err, projector->options.data);
}

static void on_caught_up(struct partition *partition, int64_t log_end, void *data)
{
    struct projector *projector = data;
    uint32_t number = partition_number(partition);
    if (projector->options.on_caught_up != NULL)
        projector->options.on_caught_up(partition, log_end, projector->options.data);
    if (projector->caught_up[number])
        return;
    projector->caught_up[number] = true;
    if (++projector->n_caught_up == projector->n_partitions && projector->options.on_ready != NULL)
        projector->options.on_ready(projector->options.data);
}

static int open_partition(struct projector *projector, uint32_t number, struct err *err)
{
    struct partition_options options = {.log = projector->log,
                                        .redis = projector->redis,
                                        .loop = projector->loop,
                                        .number = number,
                                        .base = projector->options.base,
                                        .fresh = projector->options.fresh,
                                        .park = projector->options.park,
                                        .parked_through = projector->parked_through[number],
                                        .events = {.on_caught_up = on_caught_up},
                                        .data = projector};
    if (partition_open(&projector->partitions[number], &options, err) < 0)
        return -1;
    projector->n_open++;
    if (redis_is_up(projector->redis))
        partition_redis_up(projector->partitions[number]);
    return 0;
}

static void open_partitions(struct projector *projector, size_t first)
{
    struct err err = ERR_INIT;
    for (size_t i = first; i < projector->n_partitions; i++) {
        if (open_partition(projector, (uint32_t)i, &err) < 0) {
            fail(projector, &err);
            return;
        }
    }
}

/* --- the dead letters that exist --- */

/* A letter's key is TOPIC/PARTITION/OFFSET. */
static bool parse_key(const char *key, uint32_t *ret_partition, int64_t *ret_offset)
{
    static const char topic[] = "wharf.events/";
    char *end;
    if (key == NULL || strncmp(key, topic, sizeof(topic) - 1) != 0)
        return false;
    *ret_partition = (uint32_t)strtoul(key + sizeof(topic) - 1, &end, 10);
    if (*end != '/')
        return false;
    *ret_offset = strtoll(end + 1, &end, 10);
    return *end == '\0';
}

/* Letters of a partition are appended in the order of its records.
 */
static void on_letters(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    (void)reader;
    struct projector *projector = data;
    for (size_t i = 0; i < n; i++) {
        uint32_t partition;
        int64_t offset;
        if (parse_key(records[i].key, &partition, &offset) && partition < projector->n_partitions &&
            offset > projector->parked_through[partition])
            projector->parked_through[partition] = offset;
    }
}

static void on_letters_read(struct log_reader *reader, int64_t end_offset, void *data)
{
    (void)end_offset;
    struct projector *projector = data;
    projector->letters = NULL;
    log_reader_close(reader);
    open_partitions(projector, 0);
}

static void on_letters_lost(struct log_reader *reader, const struct err *err, void *data)
{
    (void)err; /* a retention has removed the first ones: those that are left begin later, none matters */
    on_letters_read(reader, 0, data);
}

static void read_letters(struct projector *projector)
{
    static const struct log_reader_ops ops = {
        .on_records = on_letters, .on_caught_up = on_letters_read, .on_lost = on_letters_lost};
    struct err err = ERR_INIT;
    if (!projector->options.park)
        open_partitions(projector, 0);
    else if (log_reader_open(&projector->letters, projector->log, LOG_DEADLETTERS, 0, 0, &ops, projector,
                             &err) < 0)
        fail(projector, &err);
}

/* --- how many partitions --- */

static void ask_partitions(struct projector *projector);

static void on_ask_again(uv_timer_t *timer)
{
    ask_partitions(timer->data);
}

static void on_touch(uv_timer_t *timer)
{
    struct projector *projector = timer->data;
    for (size_t i = 0; i < projector->n_partitions; i++)
        if (projector->partitions[i] != NULL)
            partition_touch(projector->partitions[i]);
    if (++projector->n_touches % TOUCHES_PER_ASK == 0 && !projector->query_under_way &&
        projector->letters == NULL)
        ask_partitions(projector);
}

static int grow(struct projector *projector, size_t n, struct err *err)
{
    struct partition **partitions = reallocarray(projector->partitions, n, sizeof(struct partition *));
    if (partitions != NULL)
        projector->partitions = partitions;
    bool *caught_up = reallocarray(projector->caught_up, n, sizeof(*caught_up));
    if (caught_up != NULL)
        projector->caught_up = caught_up;
    int64_t *parked_through = reallocarray(projector->parked_through, n, sizeof(*parked_through));
    if (parked_through != NULL)
        projector->parked_through = parked_through;
    if (partitions == NULL || caught_up == NULL || parked_through == NULL)
        return err_nomem(err, "opening the partitions");
    for (; projector->n_partitions < n; projector->n_partitions++) {
        partitions[projector->n_partitions] = NULL;
        caught_up[projector->n_partitions] = false;
        parked_through[projector->n_partitions] = -1;
    }
    return 0;
}

static void on_partitions(struct log_query *query, int64_t n, const struct err *err)
{
    struct projector *projector = query->data;
    struct err why = ERR_INIT;
    size_t before = projector->n_partitions;
    projector->query_under_way = false;
    if (projector->closing) {
        close_partitions(projector);
        return;
    }
    if (before == 0 && (err != NULL || n <= 0)) { /* the topic is made by the runtime: it may come later */
        uv_timer_start(&projector->touch, on_ask_again, TOUCH_INTERVAL_MS, 0);
        return;
    }
    if (err != NULL || n <= (int64_t)before)
        return;
    if (grow(projector, (size_t)n, &why) < 0) {
        fail(projector, &why);
    } else if (before > 0) {
        open_partitions(projector, before);
    } else {
        if (projector->options.touch)
            uv_timer_start(&projector->touch, on_touch, TOUCH_INTERVAL_MS, TOUCH_INTERVAL_MS);
        read_letters(projector);
    }
}

static void ask_partitions(struct projector *projector)
{
    projector->query.data = projector;
    struct err err = ERR_INIT;
    if (log_partitions(projector->log, &projector->query, LOG_EVENTS, on_partitions, &err) < 0)
        fail(projector, &err);
    else
        projector->query_under_way = true;
}

/* --- Redis and the log come and go --- */

static void on_redis_up(void *data)
{
    struct projector *projector = data;
    if (projector->redis_away_told)
        say_info("Redis is back");
    projector->redis_away_told = false;
    for (size_t i = 0; i < projector->n_partitions; i++)
        if (projector->partitions[i] != NULL)
            partition_redis_up(projector->partitions[i]);
}

static void on_redis_down(const struct err *err, void *data)
{
    struct projector *projector = data;
    if (!projector->redis_away_told && !projector->closing)
        say_warning("%s; waiting for it", err->message);
    projector->redis_away_told = true;
    for (size_t i = 0; i < projector->n_partitions; i++)
        if (projector->partitions[i] != NULL)
            partition_redis_down(projector->partitions[i]);
}

static void on_trouble(const struct log_trouble *trouble, void *data)
{
    (void)data;
    if (trouble->kind == LOG_BACK)
        say_info("%s", trouble->message);
    else
        say_warning("%s", trouble->message);
}

/* --- opening and closing --- */

int projector_open(struct projector **ret, uv_loop_t *loop, const struct projector_options *options,
                   struct err *err)
{
    static const struct redis_events redis_events = {.on_up = on_redis_up, .on_down = on_redis_down};
    struct projector *projector = calloc(1, sizeof(*projector));
    if (projector == NULL)
        return err_nomem(err, "starting the projector");
    projector->options = *options;
    projector->loop = loop;
    struct log_options log = options->log;
    log.on_trouble = on_trouble;
    log.append_topics = options->park ? 1u << LOG_DEADLETTERS : 0;
    if (log_open(&projector->log, loop, options->log_url, &log, err) < 0) {
        free(projector);
        return -1;
    }
    if (redis_open(&projector->redis, loop, options->redis_url, &redis_events, projector, err) < 0) {
        log_close(projector->log, NULL, NULL);
        free(projector);
        return -1;
    }
    uv_timer_init(loop, &projector->touch);
    projector->touch.data = projector;
    ask_partitions(projector);
    *ret = projector;
    return 0;
}

size_t projector_partitions(const struct projector *projector)
{
    return projector->n_partitions;
}

struct redis *projector_redis(const struct projector *projector)
{
    return projector->redis;
}

static void on_log_closed(void *data)
{
    struct projector *projector = data;
    void (*on_closed)(void *) = projector->on_closed;
    void *closed_data = projector->closed_data;
    free(projector->partitions);
    free(projector->caught_up);
    free(projector->parked_through);
    free(projector);
    if (on_closed != NULL)
        on_closed(closed_data);
}

static void on_redis_closed(void *data)
{
    struct projector *projector = data;
    log_close(projector->log, on_log_closed, projector);
}

static void on_partition_closed(void *data)
{
    struct projector *projector = data;
    if (--projector->n_open == 0)
        redis_close(projector->redis, on_redis_closed, projector);
}

static void on_touch_closed(uv_handle_t *handle)
{
    on_partition_closed(handle->data);
}

static void close_partitions(struct projector *projector)
{
    projector->n_open++; /* the timer counts as one */
    for (size_t i = 0; i < projector->n_partitions; i++)
        if (projector->partitions[i] != NULL)
            partition_close(projector->partitions[i], on_partition_closed, projector);
    uv_close((uv_handle_t *)&projector->touch, on_touch_closed);
}

void projector_close(struct projector *projector, void (*on_closed)(void *data), void *data)
{
    projector->closing = true;
    projector->on_closed = on_closed;
    projector->closed_data = data;
    log_reader_close(projector->letters);
    projector->letters = NULL;
    uv_timer_stop(&projector->touch);
    if (!projector->query_under_way)
        close_partitions(projector);
}
