/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/log_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

#define PATIENCE_MS 30000

void driver_init(struct driver *driver)
{
    memset(driver, 0, sizeof(*driver));
    assert_int_equal(uv_loop_init(&driver->loop), 0);
}

void driver_release(struct driver *driver)
{
    uv_run(&driver->loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&driver->loop), 0);
}

static void on_flag_timer(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    handle->data = NULL;
}

/* The timer is on the stack: it must be gone before its function returns. */
static void close_timer(struct driver *driver, uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, on_timer_closed);
    while (timer->data != NULL)
        uv_run(&driver->loop, UV_RUN_NOWAIT);
}

void driver_run_until(struct driver *driver, bool (*done)(void *data), void *data, uint64_t timeout_ms)
{
    bool late = false;
    uv_timer_t timer;
    uv_timer_init(&driver->loop, &timer);
    timer.data = &late;
    uv_update_time(&driver->loop);
    uv_timer_start(&timer, on_flag_timer, timeout_ms, 0);
    while (!done(data) && !late)
        uv_run(&driver->loop, UV_RUN_ONCE);
    bool ended = done(data);
    uv_timer_stop(&timer);
    close_timer(driver, &timer);
    if (!ended)
        fail_msg("nothing happened for %llu ms; last trouble: '%s'", (unsigned long long)timeout_ms,
                 driver->last_trouble);
}

unsigned driver_count_wakeups(struct driver *driver, uint64_t duration_ms)
{
    bool over = false;
    unsigned n = 0;
    uv_timer_t timer;
    uv_timer_init(&driver->loop, &timer);
    timer.data = &over;
    uv_update_time(&driver->loop);
    uv_timer_start(&timer, on_flag_timer, duration_ms, 0);
    while (!over) {
        uv_run(&driver->loop, UV_RUN_ONCE);
        n++;
    }
    close_timer(driver, &timer);
    return n - 1;
}

static void on_trouble(const struct log_trouble *trouble, void *data)
{
    struct driver *driver = data;
    driver->troubles[trouble->kind]++;
    snprintf(driver->last_trouble, sizeof(driver->last_trouble), "%s", trouble->message);
}

int driver_try_open(struct driver *driver, struct log **ret, const char *url,
                    const struct log_options *options, struct err *err)
{
    struct log_options all = {.append_topics = (1u << LOG_TOPICS) - 1};
    if (options != NULL)
        all = *options;
    all.on_trouble = on_trouble;
    all.data = driver;
    return log_open(ret, &driver->loop, url, &all, err);
}

struct log *driver_open(struct driver *driver, const char *url, const struct log_options *options)
{
    struct log *log = NULL;
    struct err err = ERR_INIT;
    if (driver_try_open(driver, &log, url, options, &err) < 0)
        fail_msg("%s", err.message);
    return log;
}

static void set_flag(void *data)
{
    *(bool *)data = true;
}

static bool is_set(void *data)
{
    return *(bool *)data;
}

void driver_close(struct driver *driver, struct log *log)
{
    bool closed = false;
    log_close(log, set_flag, &closed);
    assert_false(closed);
    driver_run_until(driver, is_set, &closed, PATIENCE_MS);
}

struct awaited_trouble {
    struct driver *driver;
    enum log_trouble_kind kind;
    unsigned n;
};

static bool trouble_came(void *data)
{
    const struct awaited_trouble *awaited = data;
    return awaited->driver->troubles[awaited->kind] >= awaited->n;
}

void driver_await_trouble(struct driver *driver, enum log_trouble_kind kind, unsigned n)
{
    struct awaited_trouble awaited = {.driver = driver, .kind = kind, .n = n};
    driver_run_until(driver, trouble_came, &awaited, PATIENCE_MS);
}

struct waited {
    bool done;
    int64_t value;
    struct err err;
};

static void on_appended(struct log_append *append, int64_t first_offset, const struct err *err)
{
    struct waited *waited = append->data;
    waited->done = true;
    waited->value = first_offset;
    if (err != NULL)
        waited->err = *err;
}

static bool wait_over(void *data)
{
    return ((struct waited *)data)->done;
}

int64_t driver_append(struct driver *driver, struct log *log, enum log_topic topic,
                      const struct log_entry *entries, size_t n, struct err *ret_err)
{
    struct waited waited = {.done = false};
    struct log_append append = {.data = &waited};
    if (log_append(log, &append, topic, 0, entries, n, on_appended, &waited.err) < 0) {
        waited.done = true;
        waited.value = -1;
    } else {
        assert_false(waited.done);
    }
    driver_run_until(driver, wait_over, &waited, PATIENCE_MS);
    if (ret_err != NULL)
        *ret_err = waited.err;
    else if (waited.value < 0)
        fail_msg("%s", waited.err.message);
    return waited.value;
}

int64_t driver_append_text(struct driver *driver, struct log *log, enum log_topic topic, const char *text)
{
    struct log_entry entry = {.value = text, .value_size = strlen(text)};
    return driver_append(driver, log, topic, &entry, 1, NULL);
}

static void on_answer(struct log_query *query, int64_t value, const struct err *err)
{
    struct waited *waited = query->data;
    waited->done = true;
    waited->value = value;
    if (err != NULL)
        waited->err = *err;
}

int64_t driver_end(struct driver *driver, struct log *log, enum log_topic topic)
{
    struct waited waited = {.done = false};
    struct log_query query = {.data = &waited};
    if (log_end(log, &query, topic, 0, on_answer, &waited.err) < 0)
        fail_msg("%s", waited.err.message);
    assert_false(waited.done);
    driver_run_until(driver, wait_over, &waited, PATIENCE_MS);
    if (waited.value < 0)
        fail_msg("%s", waited.err.message);
    return waited.value;
}

static char *copy(const void *bytes, size_t size)
{
    char *text = malloc(size + 1);
    assert_non_null(text);
    if (size > 0)
        memcpy(text, bytes, size);
    text[size] = '\0';
    return text;
}

static void collect(struct collector *collector, const struct log_record *record)
{
    if (collector->n == collector->capacity) {
        collector->capacity = collector->capacity == 0 ? 64 : collector->capacity * 2;
        collector->items = realloc(collector->items, collector->capacity * sizeof(*collector->items));
        assert_non_null(collector->items);
    }
    struct buf headers = BUF_INIT;
    for (size_t i = 0; i < record->n_headers; i++)
        buf_printf(&headers, "%s=%s;", record->headers[i].name, record->headers[i].value);
    collector->items[collector->n++] = (struct collected){
        .offset = record->offset,
        .time_ms = record->time_ms,
        .key = record->key != NULL ? copy(record->key, strlen(record->key)) : NULL,
        .value = copy(record->value, record->value_size),
        .value_size = record->value_size,
        .headers = buf_take(&headers, NULL),
        .damage = record->damage != NULL ? copy(record->damage, strlen(record->damage)) : NULL,
    };
}

static void on_records(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    struct collector *collector = data;
    assert_ptr_equal(reader, collector->reader);
    assert_true(n >= 1);
    for (size_t i = 0; i < n; i++)
        collect(collector, &records[i]);
    if (collector->pause_after > 0 && collector->n >= collector->pause_after)
        log_reader_pause(reader);
}

static void on_caught_up(struct log_reader *reader, int64_t end_offset, void *data)
{
    (void)reader;
    struct collector *collector = data;
    collector->n_caught_up++;
    collector->caught_up_at = end_offset;
}

static void on_lost(struct log_reader *reader, const struct err *err, void *data)
{
    (void)reader;
    struct collector *collector = data;
    assert_false(collector->lost);
    collector->lost = true;
    collector->lost_err = *err;
}

void collector_open(struct collector *collector, struct driver *driver, struct log *log, enum log_topic topic,
                    int64_t from_offset)
{
    static const struct log_reader_ops ops = {
        .on_records = on_records, .on_caught_up = on_caught_up, .on_lost = on_lost};
    memset(collector, 0, sizeof(*collector));
    collector->driver = driver;
    collector->caught_up_at = -1;
    struct err err = ERR_INIT;
    if (log_reader_open(&collector->reader, log, topic, 0, from_offset, &ops, collector, &err) < 0)
        fail_msg("%s", err.message);
}

struct awaited_records {
    struct collector *collector;
    size_t n;
    int64_t end;
};

static bool records_came(void *data)
{
    const struct awaited_records *awaited = data;
    return awaited->collector->n >= awaited->n;
}

void collector_await(struct collector *collector, size_t n)
{
    struct awaited_records awaited = {.collector = collector, .n = n};
    driver_run_until(collector->driver, records_came, &awaited, PATIENCE_MS);
    assert_int_equal(collector->n, n);
}

static bool end_came(void *data)
{
    const struct awaited_records *awaited = data;
    return awaited->collector->caught_up_at >= awaited->end;
}

void collector_await_caught_up(struct collector *collector, int64_t end)
{
    struct awaited_records awaited = {.collector = collector, .end = end};
    driver_run_until(collector->driver, end_came, &awaited, PATIENCE_MS);
}

static bool was_lost(void *data)
{
    return ((struct collector *)data)->lost;
}

void collector_await_lost(struct collector *collector)
{
    driver_run_until(collector->driver, was_lost, collector, PATIENCE_MS);
}

void collector_release(struct collector *collector, bool close)
{
    if (close)
        log_reader_close(collector->reader);
    for (size_t i = 0; i < collector->n; i++) {
        free(collector->items[i].key);
        free(collector->items[i].value);
        free(collector->items[i].headers);
        free(collector->items[i].damage);
    }
    free(collector->items);
    memset(collector, 0, sizeof(*collector));
}
