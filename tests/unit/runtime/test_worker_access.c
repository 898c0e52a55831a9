/* SPDX-License-Identifier: Apache-2.0 */
/* Who asked for a container's files hears that they may have them when the log has it, and not before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/cleanup.h"
#include "runtime/worker_impl.h"
#include "tests/support/event_writer.h"
#include "tests/support/log_driver.h"

struct sample {
    struct driver driver;
    struct log *log;
    struct worker worker;
    char id[CONTAINER_ID_SIZE];
};

struct told {
    struct worker *worker;
    int n;
};

static void on_event(const struct decided_event *event, const struct container *container, void *data)
{
    (void)event;
    (void)container;
    (void)data;
}

static void on_stopped(const struct err *err, void *data)
{
    (void)data;
    fail_msg("%s", err->message);
}

static void on_durable(void *data)
{
    struct told *told = data;
    told->n++;
    assert_true(told->worker->durable_batches >= told->n);
}

static bool is_told(void *data)
{
    return ((struct told *)data)->n == 2;
}

static void apply_next(struct sample *sample, struct event_writer *writer)
{
    struct event event;
    size_t size;
    auto_free char *text = event_writer_next(writer, &size);
    assert_int_equal(event_decode(&event, text, size, NULL), 0);
    assert_int_equal(node_state_apply(&sample->worker.core.state, &event, text, size), APPLY_DONE);
    event_release(&event);
}

/* A worker that serves a node with one container. */
static void sample_init(struct sample *sample)
{
    static const uint8_t seed[DECIDE_SEED_SIZE] = {1};
    struct event_writer writer;
    memset(sample, 0, sizeof(*sample));
    driver_init(&sample->driver);
    sample->log = driver_open(&sample->driver, "memory:", NULL);
    sample->worker.phase = WORKER_SERVING;
    sample->worker.loop = &sample->driver.loop;
    sample->worker.options = (struct worker_options){
        .log = sample->log, .node = "n", .on_event = on_event, .on_stopped = on_stopped};
    assert_int_equal(core_init(&sample->worker.core, "n", seed), 0);
    event_writer_init(&writer, "n", 7, 1);
    for (int i = 0; i < 3; i++)
        apply_next(sample, &writer);
    sample->worker.core.epoch = sample->worker.core.state.epoch;
    sample->worker.core.state.partition = 0;
    assert_non_null(sample->worker.core.state.containers);
    memcpy(sample->id, sample->worker.core.state.containers->id, sizeof(sample->id));
    event_writer_release(&writer);
}

static void sample_release(struct sample *sample)
{
    while (sample->worker.batches != NULL) {
        struct append_batch *batch = sample->worker.batches;
        sample->worker.batches = batch->next;
        decision_release(&batch->decision);
        free(batch);
    }
    worker_access_close(&sample->worker);
    core_release(&sample->worker.core);
    driver_close(&sample->driver, sample->log);
    driver_release(&sample->driver);
}

static void nobody_is_told_before_the_log_has_it(void **state)
{
    struct sample sample;
    struct told told = {.worker = &sample.worker};
    struct err err = ERR_INIT;
    struct collector collector;
    (void)state;
    sample_init(&sample);
    struct access access = {
        .container_id = sample.id, .access = ACCESS_COPY_OUT, .path = "/etc", .actor = "unix:uid=7"};
    assert_int_equal(worker_access(&sample.worker, &access, on_durable, &told, &err), 0);
    access.access = ACCESS_EXPORT;
    assert_int_equal(worker_access(&sample.worker, &access, on_durable, &told, &err), 0);
    assert_int_equal(told.n, 0);
    driver_run_until(&sample.driver, is_told, &told, 5000);
    assert_int_equal(driver_end(&sample.driver, sample.log, LOG_EVENTS), 2);
    collector_open(&collector, &sample.driver, sample.log, LOG_EVENTS, 0);
    collector_await(&collector, 2);
    assert_non_null(strstr(collector.items[0].value, "\"direction\":\"out\""));
    assert_non_null(strstr(collector.items[0].value, "\"actor\":\"unix:uid=7\""));
    assert_non_null(strstr(collector.items[1].value, "wharf.container.exported.v1"));
    collector_release(&collector, true);
    sample_release(&sample);
}

static void what_is_not_there_or_not_ready_is_refused(void **state)
{
    struct sample sample;
    struct told told = {.worker = &sample.worker};
    struct err err = ERR_INIT;
    (void)state;
    sample_init(&sample);
    struct access access = {.container_id = "none", .access = ACCESS_EXPORT, .actor = "unix:uid=7"};
    assert_int_equal(worker_access(&sample.worker, &access, on_durable, &told, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    err_clear(&err);
    access.container_id = sample.id;
    sample.worker.phase = WORKER_BEGINNING;
    assert_int_equal(worker_access(&sample.worker, &access, on_durable, &told, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(sample.worker.decided_batches, 0);
    sample_release(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_told_before_the_log_has_it),
        cmocka_unit_test(what_is_not_there_or_not_ready_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
