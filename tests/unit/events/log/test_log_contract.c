/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What log.h promises, checked of every implementation by the same tests: memory and SQLite always, Kafka
 * when WHARF_TEST_KAFKA=HOST:PORT names a broker that the tests may create topics on. What only one
 * implementation can suffer (torn files, a stopped broker) is in test_log_sqlite.c and test_log_kafka.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "tests/support/log_driver.h"

struct fixture {
    const char *kind;
    char url[256];
    char dir[64];
    struct driver driver;
    struct log *log;
};

static const char *current_kind; /* which implementation the group that runs is for */

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->kind = current_kind;
    char id[UUID_TEXT_SIZE];
    assert_int_equal(uuid_v7_now(id, NULL), 0);
    if (strcmp(f->kind, "memory") == 0) {
        snprintf(f->url, sizeof(f->url), "memory:%s", id);
    } else if (strcmp(f->kind, "sqlite") == 0) {
        strcpy(f->dir, "/tmp/wharf-log-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->url, sizeof(f->url), "sqlite:%s/log", f->dir);
    } else {
        snprintf(f->url, sizeof(f->url), "kafka://%s/%s", getenv("WHARF_TEST_KAFKA"), id);
    }
    driver_init(&f->driver);
    f->log = driver_open(&f->driver, f->url, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->log != NULL)
        driver_close(&f->driver, f->log);
    driver_release(&f->driver);
    if (f->dir[0] != '\0')
        assert_int_equal(fs_remove_tree(-100 /* AT_FDCWD */, f->dir, NULL), 0);
    free(f);
    return 0;
}

static void append_numbers(struct fixture *f, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++) {
        char text[32];
        snprintf(text, sizeof(text), "record %zu", i);
        assert_int_equal(driver_append_text(&f->driver, f->log, LOG_EVENTS, text), (int64_t)i);
    }
}

static void assert_numbers(const struct collector *collector, int64_t from)
{
    for (size_t i = 0; i < collector->n; i++) {
        char text[32];
        snprintf(text, sizeof(text), "record %lld", (long long)from + (long long)i);
        assert_string_equal(collector->items[i].value, text);
        assert_int_equal(collector->items[i].offset, from + (int64_t)i);
        assert_null(collector->items[i].damage);
    }
}

static void test_reads_what_was_appended_in_order(void **state)
{
    struct fixture *f = *state;
    struct collector collector;
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, 0);
    collector_await_caught_up(&collector, 0);
    append_numbers(f, 0, 20);
    collector_await(&collector, 20);
    assert_numbers(&collector, 0);
    collector_await_caught_up(&collector, 20);
    assert_int_equal(driver_end(&f->driver, f->log, LOG_EVENTS), 20);
    assert_int_equal(driver_end(&f->driver, f->log, LOG_COMMANDS), 0);
    collector_release(&collector, true);
}

static void test_a_batch_is_contiguous(void **state)
{
    struct fixture *f = *state;
    struct log_entry entries[5];
    char texts[5][32];
    for (size_t i = 0; i < 5; i++) {
        snprintf(texts[i], sizeof(texts[i]), "record %zu", i);
        entries[i] = (struct log_entry){.value = texts[i], .value_size = strlen(texts[i])};
    }
    assert_int_equal(driver_append(&f->driver, f->log, LOG_EVENTS, entries, 3, NULL), 0);
    assert_int_equal(driver_append(&f->driver, f->log, LOG_EVENTS, entries + 3, 2, NULL), 3);
    struct collector collector;
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, 0);
    collector_await(&collector, 5);
    assert_numbers(&collector, 0);
    collector_release(&collector, true);
}

static void test_acknowledged_is_seen_by_others(void **state)
{
    struct fixture *f = *state;
    append_numbers(f, 0, 3);
    struct log *other = driver_open(&f->driver, f->url, &(struct log_options){.append_topics = 0});
    assert_int_equal(driver_end(&f->driver, other, LOG_EVENTS), 3);
    struct collector collector;
    collector_open(&collector, &f->driver, other, LOG_EVENTS, 0);
    collector_await(&collector, 3);
    assert_numbers(&collector, 0);
    append_numbers(f, 3, 2);
    collector_await(&collector, 5);
    collector_release(&collector, true);
    driver_close(&f->driver, other);
}

static void test_reopen(void **state)
{
    struct fixture *f = *state;
    struct log *keeper = NULL; /* memory lasts as long as somebody has it open */
    if (strcmp(f->kind, "memory") == 0)
        keeper = driver_open(&f->driver, f->url, NULL);
    append_numbers(f, 0, 4);
    driver_close(&f->driver, f->log);
    f->log = driver_open(&f->driver, f->url, NULL);
    append_numbers(f, 4, 4);
    struct collector collector;
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, 2);
    collector_await(&collector, 6);
    assert_numbers(&collector, 2);
    collector_release(&collector, true);
    if (keeper != NULL)
        driver_close(&f->driver, keeper);
}

static void test_two_readers_at_different_offsets(void **state)
{
    struct fixture *f = *state;
    append_numbers(f, 0, 10);
    struct collector first, second;
    collector_open(&first, &f->driver, f->log, LOG_EVENTS, 0);
    collector_open(&second, &f->driver, f->log, LOG_EVENTS, 7);
    collector_await(&first, 10);
    collector_await(&second, 3);
    assert_numbers(&first, 0);
    assert_numbers(&second, 7);
    collector_release(&first, true);
    append_numbers(f, 10, 1);
    collector_await(&second, 4);
    collector_release(&second, true);
}

static void test_pause_and_resume(void **state)
{
    struct fixture *f = *state;
    struct collector collector;
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, 0);
    collector.pause_after = 1;
    append_numbers(f, 0, 1);
    collector_await(&collector, 1);
    append_numbers(f, 1, 5);
    driver_count_wakeups(&f->driver, 100);
    assert_int_equal(collector.n, 1);
    collector.pause_after = 0;
    log_reader_resume(collector.reader);
    collector_await(&collector, 6);
    assert_numbers(&collector, 0);
    collector_release(&collector, true);
}

static void test_from_end(void **state)
{
    struct fixture *f = *state;
    append_numbers(f, 0, 3);
    struct collector collector;
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, LOG_FROM_END);
    collector_await_caught_up(&collector, 3);
    append_numbers(f, 3, 2);
    collector_await(&collector, 2);
    assert_numbers(&collector, 3);
    collector_release(&collector, true);
}

static void test_a_position_after_the_end_is_lost(void **state)
{
    struct fixture *f = *state;
    append_numbers(f, 0, 3);
    struct collector collector;
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, 5);
    collector_await_lost(&collector);
    assert_int_equal(collector.n, 0);
    assert_non_null(strstr(collector.lost_err.message, "wharf.events"));
    collector_release(&collector, true);
}

static void test_keys_headers_and_bytes_survive(void **state)
{
    struct fixture *f = *state;
    const struct log_header headers[] = {{"content-type", "application/cloudevents+json"},
                                         {"quote\"d", "back\\slash \n \xc3\xbc"},
                                         {"empty", ""}};
    const struct log_entry entries[] = {
        {.key = "0123", .value = "a\0b\xff", .value_size = 4, .headers = headers, .n_headers = 3},
        {.key = NULL, .value = "", .value_size = 0},
        {.key = "",
         .value = "{\"a\":\"\xe2\x82\xac\"}",
         .value_size = 11,
         .headers = headers,
         .n_headers = 1},
    };
    int64_t before_ms = clock_realtime_ns() / 1000000;
    driver_append(&f->driver, f->log, LOG_EVENTS, entries, 3, NULL);
    struct collector collector;
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, 0);
    collector_await(&collector, 3);
    const struct collected *got = collector.items;
    assert_string_equal(got[0].key, "0123");
    assert_int_equal(got[0].value_size, 4);
    assert_memory_equal(got[0].value, "a\0b\xff", 4);
    assert_string_equal(got[0].headers, "content-type=application/cloudevents+json;"
                                        "quote\"d=back\\slash \n \xc3\xbc;empty=;");
    assert_in_range(got[0].time_ms, before_ms, clock_realtime_ns() / 1000000);
    assert_null(got[1].key);
    assert_int_equal(got[1].value_size, 0);
    assert_string_equal(got[1].headers, "");
    assert_string_equal(got[2].key, "");
    assert_string_equal(got[2].value, "{\"a\":\"\xe2\x82\xac\"}");
    for (size_t i = 0; i < 3; i++)
        assert_null(got[i].damage);
    collector_release(&collector, true);
}

static void test_what_cannot_be_stored_is_refused(void **state)
{
    struct fixture *f = *state;
    struct log_header twice[] = {{"a", "1"}, {"a", "2"}}, own[] = {{"blake2b", "00"}},
                      bad[] = {{"a", "\xff"}};
    struct {
        struct log_entry entry;
        enum err_code code;
    } cases[] = {
        {{.value = "", .headers = twice, .n_headers = 2}, ERR_INVALID},
        {{.value = "", .headers = own, .n_headers = 1}, ERR_INVALID},
        {{.value = "", .headers = bad, .n_headers = 1}, ERR_INVALID},
        {{.value = "", .key = "\xc0\x80"}, ERR_INVALID},
        {{.value = calloc(1, LOG_ENTRY_LIMIT + 1), .value_size = LOG_ENTRY_LIMIT + 1}, ERR_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(driver_append(&f->driver, f->log, LOG_EVENTS, &cases[i].entry, 1, &err), -1);
        assert_int_equal(err.code, cases[i].code);
    }
    free((void *)cases[4].entry.value);
    struct log *reading =
        driver_open(&f->driver, f->url, &(struct log_options){.append_topics = 1u << LOG_COMMANDS});
    struct err err = ERR_INIT;
    assert_int_equal(
        driver_append(&f->driver, reading, LOG_EVENTS, &(struct log_entry){.value = ""}, 1, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    driver_close(&f->driver, reading);
}

static void test_large_records(void **state)
{
    struct fixture *f = *state;
    size_t size = 900 * 1024;
    char *large = malloc(size);
    assert_non_null(large);
    for (size_t i = 0; i < size; i++)
        large[i] = (char)('a' + i % 23);
    struct log_entry entry = {.value = large, .value_size = size};
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(driver_append(&f->driver, f->log, LOG_EVENTS, &entry, 1, NULL), i);
    struct collector collector;
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, 0);
    collector_await(&collector, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(collector.items[i].value_size, size);
        assert_memory_equal(collector.items[i].value, large, size);
    }
    collector_release(&collector, true);
    free(large);
}

#define IN_FLIGHT 3000

struct in_flight {
    struct log_append append;
    size_t index;
    struct in_flight_counter *counter;
};

struct in_flight_counter {
    size_t n_done;
    size_t n_failed;
};

static void on_in_flight(struct log_append *append, int64_t first_offset, const struct err *err)
{
    struct in_flight *one = append->data;
    assert_int_equal(one->index, one->counter->n_done); /* the k-th acknowledgement is of the k-th append */
    one->counter->n_done++;
    if (err != NULL) {
        assert_int_equal(first_offset, -1);
        one->counter->n_failed++;
    } else {
        assert_int_equal(first_offset, (int64_t)one->index);
    }
}

static bool all_done(void *data)
{
    return ((struct in_flight_counter *)data)->n_done == IN_FLIGHT;
}

static struct in_flight *start_in_flight(struct fixture *f, struct in_flight_counter *counter)
{
    struct in_flight *all = calloc(IN_FLIGHT, sizeof(*all));
    assert_non_null(all);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        char text[32];
        snprintf(text, sizeof(text), "record %zu", i);
        all[i].append.data = &all[i];
        all[i].index = i;
        all[i].counter = counter;
        struct log_entry entry = {.value = text, .value_size = strlen(text)};
        assert_int_equal(log_append(f->log, &all[i].append, LOG_EVENTS, 0, &entry, 1, on_in_flight, NULL), 0);
    }
    assert_int_equal(counter->n_done, 0);
    return all;
}

static void test_many_in_flight(void **state)
{
    struct fixture *f = *state;
    struct in_flight_counter counter = {.n_done = 0};
    struct in_flight *all = start_in_flight(f, &counter);
    driver_run_until(&f->driver, all_done, &counter, 30000);
    assert_int_equal(counter.n_failed, 0);
    struct collector collector;
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, 0);
    collector_await(&collector, IN_FLIGHT);
    assert_numbers(&collector, 0);
    collector_release(&collector, true);
    free(all);
}

static void test_close_with_appends_outstanding(void **state)
{
    struct fixture *f = *state;
    struct in_flight_counter counter = {.n_done = 0};
    struct in_flight *all = start_in_flight(f, &counter);
    driver_close(&f->driver, f->log);
    f->log = NULL;
    assert_int_equal(counter.n_done, IN_FLIGHT);
    free(all);
}

static void test_an_idle_reader_sleeps(void **state)
{
    struct fixture *f = *state;
    struct collector collector;
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, 0);
    append_numbers(f, 0, 3);
    collector_await(&collector, 3);
    driver_count_wakeups(&f->driver, 2500); /* longer than the after-effects of a write */
    unsigned n = driver_count_wakeups(&f->driver, 1000);
    assert_in_range(n, 0, 2);
    append_numbers(f, 3, 1);
    collector_await(&collector, 4);
    collector_release(&collector, true);
}

static void count_partitions(struct log_query *query, int64_t value, const struct err *err)
{
    assert_null(err);
    *(int64_t *)query->data = value;
}

static bool counted(void *data)
{
    return *(int64_t *)data >= 0;
}

static void test_partitions_are_separate(void **state)
{
    struct fixture *f = *state;
    char url[300];
    snprintf(url, sizeof(url), "%s.three", f->url);
    struct log *log = driver_open(
        &f->driver, url, &(struct log_options){.partitions = 3, .append_topics = (1u << LOG_TOPICS) - 1});
    driver_append_text(&f->driver, log, LOG_EVENTS, "in 0");
    int64_t n = -1;
    struct log_query query = {.data = &n};
    assert_int_equal(log_partitions(log, &query, LOG_EVENTS, count_partitions, NULL), 0);
    driver_run_until(&f->driver, counted, &n, 10000);
    assert_int_equal(n, 3);
    n = -1;
    assert_int_equal(log_end(log, &query, LOG_EVENTS, 2, count_partitions, NULL), 0);
    driver_run_until(&f->driver, counted, &n, 10000);
    assert_int_equal(n, 0);
    driver_close(&f->driver, log);
}

struct closer {
    struct log_reader *reader;
    bool closed;
};

static void close_yourself(struct log_reader *reader, const struct log_record *records, size_t n, void *data)
{
    (void)records;
    (void)n;
    struct closer *closer = data;
    assert_false(closer->closed);
    closer->closed = true;
    log_reader_close(reader);
}

static bool closer_closed(void *data)
{
    return ((struct closer *)data)->closed;
}

static void test_a_reader_may_close_itself(void **state)
{
    struct fixture *f = *state;
    append_numbers(f, 0, 3);
    struct closer closer = {.closed = false};
    static const struct log_reader_ops ops = {.on_records = close_yourself};
    assert_int_equal(log_reader_open(&closer.reader, f->log, LOG_EVENTS, 0, 0, &ops, &closer, NULL), 0);
    driver_run_until(&f->driver, closer_closed, &closer, 10000);
    append_numbers(f, 3, 1);
}

static void test_close_with_readers_open(void **state)
{
    struct fixture *f = *state;
    struct collector collector;
    append_numbers(f, 0, 3);
    collector_open(&collector, &f->driver, f->log, LOG_EVENTS, 0);
    driver_close(&f->driver, f->log);
    f->log = NULL;
    collector_release(&collector, false);
}

#define CONTRACT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_contract(const char *kind)
{
    const struct CMUnitTest tests[] = {
        CONTRACT(test_reads_what_was_appended_in_order),
        CONTRACT(test_a_batch_is_contiguous),
        CONTRACT(test_acknowledged_is_seen_by_others),
        CONTRACT(test_reopen),
        CONTRACT(test_two_readers_at_different_offsets),
        CONTRACT(test_pause_and_resume),
        CONTRACT(test_from_end),
        CONTRACT(test_a_position_after_the_end_is_lost),
        CONTRACT(test_keys_headers_and_bytes_survive),
        CONTRACT(test_what_cannot_be_stored_is_refused),
        CONTRACT(test_large_records),
        CONTRACT(test_many_in_flight),
        CONTRACT(test_close_with_appends_outstanding),
        CONTRACT(test_an_idle_reader_sleeps),
        CONTRACT(test_partitions_are_separate),
        CONTRACT(test_a_reader_may_close_itself),
        CONTRACT(test_close_with_readers_open),
    };
    current_kind = kind;
    return cmocka_run_group_tests_name(kind, tests, NULL, NULL);
}

int main(void)
{
    int failed = run_contract("memory") + run_contract("sqlite");
    if (getenv("WHARF_TEST_KAFKA") != NULL)
        failed += run_contract("kafka");
    return failed;
}
