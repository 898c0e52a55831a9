/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/log_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_KEY_SIZE 96

static void give_up(const struct err *err)
{
    fprintf(stderr, "log feed: %s\n", err->message);
    abort();
}

void log_feed_open_partitions(struct log_feed *feed, const char *url, uint32_t partitions)
{
    struct err err = ERR_INIT;
    struct log_options options = {.append_topics = 1u << LOG_EVENTS, .partitions = partitions};
    *feed = (struct log_feed){0};
    uv_loop_init(&feed->loop);
    if (log_open(&feed->log, &feed->loop, url, &options, &err) < 0)
        give_up(&err);
}

void log_feed_open(struct log_feed *feed, const char *url)
{
    log_feed_open_partitions(feed, url, 0);
}

static void on_appended(struct log_append *append, int64_t first_offset, const struct err *err)
{
    (void)first_offset;
    if (err != NULL)
        give_up(err);
    *(bool *)append->data = true;
}

/* The subject, as a runtime has it; garbage has none. */
static void key_of(char ret[LOG_KEY_SIZE], const char *value, size_t size)
{
    static const char member[] = "\"subject\":\"";
    const char *at = memmem(value, size, member, strlen(member));
    snprintf(ret, LOG_KEY_SIZE, "n1");
    if (at == NULL)
        return;
    at += strlen(member);
    size_t length = strcspn(at, "\"");
    snprintf(ret, LOG_KEY_SIZE, "%.*s", (int)length, at);
}

void log_feed_append_to(struct log_feed *feed, uint32_t partition, char *const *values, const size_t *sizes,
                        size_t n)
{
    struct err err = ERR_INIT;
    bool done = false;
    struct log_append append = {.data = &done};
    struct log_entry *entries = calloc(n, sizeof(*entries));
    char(*keys)[LOG_KEY_SIZE] = calloc(n, sizeof(*keys));
    for (size_t i = 0; entries != NULL && keys != NULL && i < n; i++) {
        key_of(keys[i], values[i], sizes[i]);
        entries[i] = (struct log_entry){.key = keys[i], .value = values[i], .value_size = sizes[i]};
    }
    if (entries == NULL || keys == NULL ||
        log_append(feed->log, &append, LOG_EVENTS, partition, entries, n, on_appended, &err) < 0)
        give_up(&err);
    while (!done)
        uv_run(&feed->loop, UV_RUN_ONCE);
    free(entries);
    free(keys);
    feed->n_appended += (int64_t)n;
}

void log_feed_append(struct log_feed *feed, char *const *values, const size_t *sizes, size_t n)
{
    log_feed_append_to(feed, 0, values, sizes, n);
}

struct end {
    int64_t value;
    bool done;
};

static void on_end(struct log_query *query, int64_t value, const struct err *err)
{
    if (err != NULL)
        give_up(err);
    *(struct end *)query->data = (struct end){.value = value, .done = true};
}

int64_t log_feed_end(struct log_feed *feed, enum log_topic topic)
{
    struct err err = ERR_INIT;
    struct end end = {0};
    struct log_query query = {.data = &end};
    if (log_end(feed->log, &query, topic, 0, on_end, &err) < 0)
        give_up(&err);
    while (!end.done)
        uv_run(&feed->loop, UV_RUN_ONCE);
    return end.value;
}

void log_feed_close(struct log_feed *feed)
{
    log_close(feed->log, NULL, NULL);
    uv_run(&feed->loop, UV_RUN_DEFAULT);
    uv_loop_close(&feed->loop);
}
