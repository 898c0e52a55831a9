/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can happen to a log on Kafka: the broker is down, freezes, restarts, or has other topics than we
 * thought. These need a broker that may be stopped: WHARF_TEST_KAFKA_DIR names the directory that
 * `tests/stack/kafka.sh start` gave it. Without it only what needs no broker is tested.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "events/log/log_kafka.h"
#include "tests/support/log_driver.h"

struct fixture {
    char address[64];
    char prefix[UUID_TEXT_SIZE];
    char url[128];
    struct driver driver;
};

static const struct log_options events_only = {.append_topics = 1u << LOG_EVENTS};

static const char *broker_dir(void)
{
    return getenv("WHARF_TEST_KAFKA_DIR");
}

static void broker(const char *verb)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl("tests/stack/kafka.sh", "kafka.sh", verb, broker_dir(), (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    if (broker_dir() != NULL) {
        char path[4096];
        char *address = NULL;
        snprintf(path, sizeof(path), "%s/address", broker_dir());
        assert_int_equal(fs_read_file(AT_FDCWD, path, sizeof(f->address) - 1, &address, NULL, NULL), 0);
        snprintf(f->address, sizeof(f->address), "%.*s", (int)strcspn(address, "\n"), address);
        free(address);
    }
    assert_int_equal(uuid_v7_now(f->prefix, NULL), 0);
    snprintf(f->url, sizeof(f->url), "kafka://%s/%s", f->address, f->prefix);
    driver_init(&f->driver);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    driver_release(&f->driver);
    free(f);
    return 0;
}

static void test_bad_urls_and_settings(void **state)
{
    struct fixture *f = *state;
    static const char *const urls[] = {
        "kafka://",        "kafka://host",       "kafka://host:",   "kafka://:9092",
        "kafka://h:9,",    "kafka://h:90921x",   "kafka://h:9/a b", "kafka://user@h:9092",
        "kafka://h:9/a/b", "kafka://h:999999/a", "postgres://h:9",  "sqlite:",
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct log *log = NULL;
        struct err err = ERR_INIT;
        if (driver_try_open(&f->driver, &log, urls[i], NULL, &err) == 0)
            fail_msg("'%s' was accepted", urls[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
    const char *const unknown[] = {"security.protocl", "ssl", NULL};
    struct log_options options = {.kafka_properties = unknown};
    struct log *log = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(driver_try_open(&f->driver, &log, "kafka://127.0.0.1:1", &options, &err), -1);
    assert_int_equal(err.code, ERR_INVALID);
    assert_non_null(strstr(err.message, "kafka.security.protocl"));
}

static void test_an_absent_broker_is_trouble_and_not_an_error(void **state)
{
    struct fixture *f = *state;
    struct log *log =
        driver_open(&f->driver, "kafka://127.0.0.1:1",
                    &(struct log_options){.append_topics = 1u << LOG_EVENTS, .append_timeout_ms = 300});
    struct err err = ERR_INIT;
    struct log_entry entry = {.value = "x", .value_size = 1};
    assert_int_equal(driver_append(&f->driver, log, LOG_EVENTS, &entry, 1, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    driver_await_trouble(&f->driver, LOG_AWAY, 1);
    assert_non_null(strstr(f->driver.last_trouble, "kafka://127.0.0.1:1"));
    driver_close(&f->driver, log);
    assert_int_equal(f->driver.troubles[LOG_AWAY], 1);
}

#define N_APPENDS 20

struct pending {
    struct log_append appends[N_APPENDS];
    size_t n_done;
};

static void on_appended(struct log_append *append, int64_t first_offset, const struct err *err)
{
    struct pending *pending = append->data;
    assert_null(err);
    assert_ptr_equal(append, &pending->appends[pending->n_done]);
    pending->n_done++;
    assert_true(first_offset >= 0);
}

static bool all_appended(void *data)
{
    return ((struct pending *)data)->n_done == N_APPENDS;
}

static void start_appends(struct log *log, struct pending *pending)
{
    for (size_t i = 0; i < N_APPENDS; i++) {
        char text[32];
        snprintf(text, sizeof(text), "record %zu", i);
        struct log_entry entry = {.value = text, .value_size = strlen(text)};
        pending->appends[i].data = pending;
        assert_int_equal(log_append(log, &pending->appends[i], LOG_EVENTS, 0, &entry, 1, on_appended, NULL),
                         0);
    }
}

static void assert_each_once(struct fixture *f, struct log *log, struct collector *collector)
{
    assert_int_equal(driver_end(&f->driver, log, LOG_EVENTS), N_APPENDS);
    collector_await(collector, N_APPENDS);
    for (size_t i = 0; i < N_APPENDS; i++) {
        char text[32];
        snprintf(text, sizeof(text), "record %zu", i);
        assert_string_equal(collector->items[i].value, text);
    }
}

static void test_a_broker_that_is_down_at_the_start(void **state)
{
    struct fixture *f = *state;
    broker("stop");
    struct log *log = driver_open(&f->driver, f->url, &events_only);
    struct collector collector;
    struct pending pending = {.n_done = 0};
    collector_open(&collector, &f->driver, log, LOG_EVENTS, 0);
    start_appends(log, &pending);
    driver_await_trouble(&f->driver, LOG_AWAY, 1);
    assert_int_equal(pending.n_done, 0);
    broker("start");
    driver_run_until(&f->driver, all_appended, &pending, 30000);
    assert_each_once(f, log, &collector);
    assert_int_equal(f->driver.troubles[LOG_AWAY], 1);
    assert_int_equal(f->driver.troubles[LOG_BACK], 1);
    collector_release(&collector, true);
    driver_close(&f->driver, log);
}

static void test_a_broker_that_restarts(void **state)
{
    struct fixture *f = *state;
    struct log *log = driver_open(&f->driver, f->url, &events_only);
    struct collector collector;
    struct pending pending = {.n_done = 0};
    collector_open(&collector, &f->driver, log, LOG_EVENTS, 0);
    collector_await_caught_up(&collector, 0);
    broker("stop");
    driver_await_trouble(&f->driver, LOG_AWAY, 1);
    start_appends(log, &pending);
    driver_count_wakeups(&f->driver, 500);
    assert_int_equal(pending.n_done, 0);
    broker("start");
    driver_run_until(&f->driver, all_appended, &pending, 30000);
    assert_each_once(f, log, &collector);
    driver_await_trouble(&f->driver, LOG_BACK, 1);
    assert_int_equal(f->driver.troubles[LOG_AWAY], 1);
    collector_release(&collector, true);
    driver_close(&f->driver, log);
}

static void test_a_broker_that_freezes(void **state)
{
    struct fixture *f = *state;
    struct log *log = driver_open(&f->driver, f->url, &events_only);
    struct collector collector;
    struct pending pending = {.n_done = 0};
    collector_open(&collector, &f->driver, log, LOG_EVENTS, 0);
    collector_await_caught_up(&collector, 0);
    broker("pause");
    start_appends(log, &pending);
    driver_await_trouble(&f->driver, LOG_AWAY, 1);
    assert_int_equal(pending.n_done, 0);
    broker("resume");
    driver_run_until(&f->driver, all_appended, &pending, 30000);
    assert_each_once(f, log, &collector);
    driver_await_trouble(&f->driver, LOG_BACK, 1);
    collector_release(&collector, true);
    driver_close(&f->driver, log);
}

static void test_a_frozen_broker_and_a_time_limit(void **state)
{
    struct fixture *f = *state;
    struct log *log =
        driver_open(&f->driver, f->url,
                    &(struct log_options){.append_topics = 1u << LOG_EVENTS, .append_timeout_ms = 500});
    driver_append_text(&f->driver, log, LOG_EVENTS, "while it works");
    broker("pause");
    struct err err = ERR_INIT;
    struct log_entry entry = {.value = "x", .value_size = 1};
    assert_int_equal(driver_append(&f->driver, log, LOG_EVENTS, &entry, 1, &err), -1);
    assert_true(err.code == ERR_UNAVAILABLE || err.code == ERR_TIMEOUT);
    broker("resume");
    driver_close(&f->driver, log);
}

/* Deletes or creates topics as an administrator would. */
static void administer(struct fixture *f, bool create, const char *retention_ms)
{
    char name[128], why[256];
    snprintf(name, sizeof(name), "%s.wharf.events", f->prefix);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", f->address, why, sizeof(why)),
                     RD_KAFKA_CONF_OK);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    assert_non_null(rk);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    if (create) {
        rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, 1, 1, why, sizeof(why));
        rd_kafka_NewTopic_set_config(topic, "retention.ms", retention_ms);
        rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
        rd_kafka_NewTopic_destroy(topic);
    } else {
        rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
        rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
        rd_kafka_DeleteTopic_destroy(topic);
    }
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 10000);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

static void test_a_topic_that_was_created_anew_loses_its_readers(void **state)
{
    struct fixture *f = *state;
    struct log *log = driver_open(&f->driver, f->url, &events_only);
    struct collector collector;
    for (int i = 0; i < 5; i++)
        driver_append_text(&f->driver, log, LOG_EVENTS, "before");
    collector_open(&collector, &f->driver, log, LOG_EVENTS, 0);
    collector_await(&collector, 5);
    administer(f, false, NULL);
    administer(f, true, "-1");
    collector_await_lost(&collector);
    assert_int_equal(collector.n, 5);
    collector_release(&collector, true);
    driver_close(&f->driver, log);
}

static void test_a_topic_with_a_retention_is_unsafe(void **state)
{
    struct fixture *f = *state;
    administer(f, true, "3600000");
    struct log *log = driver_open(&f->driver, f->url, &events_only);
    driver_await_trouble(&f->driver, LOG_UNSAFE, 1);
    assert_non_null(strstr(f->driver.last_trouble, "retention.ms is 3600000"));
    driver_append_text(&f->driver, log, LOG_EVENTS, "still works");
    driver_close(&f->driver, log);
}

static void test_a_reader_may_be_there_before_the_topic(void **state)
{
    struct fixture *f = *state;
    struct log *reading = driver_open(&f->driver, f->url, &(struct log_options){.append_topics = 0});
    struct collector collector;
    collector_open(&collector, &f->driver, reading, LOG_EVENTS, 0);
    collector_await_caught_up(&collector, 0);
    struct log *log = driver_open(&f->driver, f->url, &events_only);
    driver_append_text(&f->driver, log, LOG_EVENTS, "first");
    collector_await(&collector, 1);
    collector_release(&collector, true);
    driver_close(&f->driver, reading);
    driver_close(&f->driver, log);
}

static void test_a_reader_shares_a_client_when_there_are_many(void **state)
{
    struct fixture *f = *state;
    struct log *log =
        driver_open(&f->driver, f->url, &(struct log_options){.append_topics = (1u << LOG_TOPICS) - 1});
    struct collector collectors[3 * KAFKA_MAX_CONSUMERS];
    for (size_t i = 0; i < 3 * KAFKA_MAX_CONSUMERS; i++)
        collector_open(&collectors[i], &f->driver, log, i % 2 == 0 ? LOG_EVENTS : LOG_COMMANDS, 0);
    driver_append_text(&f->driver, log, LOG_EVENTS, "to all");
    driver_append_text(&f->driver, log, LOG_COMMANDS, "to all");
    for (size_t i = 0; i < 3 * KAFKA_MAX_CONSUMERS; i++) {
        collector_await(&collectors[i], 1);
        collector_release(&collectors[i], true);
    }
    driver_close(&f->driver, log);
}

#define WITH_LOOP(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_bad_urls_and_settings),
        WITH_LOOP(test_an_absent_broker_is_trouble_and_not_an_error),
    };
    const struct CMUnitTest with_broker[] = {
        WITH_LOOP(test_a_reader_may_be_there_before_the_topic),
        WITH_LOOP(test_a_reader_shares_a_client_when_there_are_many),
        WITH_LOOP(test_a_topic_with_a_retention_is_unsafe),
        WITH_LOOP(test_a_topic_that_was_created_anew_loses_its_readers),
        WITH_LOOP(test_a_frozen_broker_and_a_time_limit),
        WITH_LOOP(test_a_broker_that_freezes),
        WITH_LOOP(test_a_broker_that_restarts),
        WITH_LOOP(test_a_broker_that_is_down_at_the_start),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (broker_dir() != NULL)
        failed += cmocka_run_group_tests(with_broker, NULL, NULL);
    return failed;
}
