/* SPDX-License-Identifier: Apache-2.0 */
/* Pausing and limits of containers that run, in whichever cgroup layout the machine has. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "runtime/usage.h"
#include "tests/root/host_fixture.h"

static void on_adjusted(const struct err *err, void *data)
{
    struct fixture *f = data;
    err_clear(&f->done_err);
    if (err != NULL)
        f->done_err = *err;
    f->done = true;
}

/* ERR_NONE, or why not. */
static enum err_code adjust(struct fixture *f, const char *id, int64_t incarnation, enum host_adjustment kind,
                            const struct container_spec *spec, const struct container_spec *before)
{
    struct err err = ERR_INIT;
    f->done = false;
    assert_int_equal(host_adjust(f->host, id, incarnation, kind, spec, before, on_adjusted, f, &err), 0);
    fixture_run_until(f, &f->done);
    return f->done_err.code;
}

/* As the next runtime finds it. */
static struct host_observation look_anew(struct fixture *f)
{
    struct err err = ERR_INIT;
    struct host_observation *all = NULL;
    size_t n = 0;
    fixture_close_host(f);
    fixture_open_host(f);
    assert_int_equal(host_observe(f->host, &all, &n, &err), 0);
    assert_int_equal(n, 1);
    struct host_observation found = all[0];
    free(all);
    return found;
}

static bool is_ready(struct fixture *f, const char *id)
{
    auto_free char *log = fixture_log(f, id);
    return log != NULL && strstr(log, "ready") != NULL;
}

/* A signal that comes while it is paused is heard when it goes on. */
static void paused_until_unpaused(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    char id[CONTAINER_ID_SIZE];
    struct container_spec spec = spec_of("trap 'exit 3' TERM; echo ready; while :; do usleep 1000; done");
    fixture_new_id(f, id);
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    while (!is_ready(f, id))
        continue;
    assert_int_equal(look_anew(f).paused, 0);
    assert_int_equal(adjust(f, id, 1, HOST_PAUSE, &spec, &spec), ERR_NONE);
    assert_int_equal(adjust(f, id, 1, HOST_PAUSE, &spec, &spec), ERR_NONE);
    assert_int_equal(host_signal(f->host, id, 1, SIGTERM, &err), 0);
    struct host_observation found = look_anew(f);
    assert_int_equal(found.found, HOST_RUNNING);
    assert_int_equal(found.paused, 1);
    assert_int_equal(adjust(f, id, 1, HOST_UNPAUSE, &spec, &spec), ERR_NONE);
    fixture_wait_exit(f);
    assert_int_equal(f->exit.exit_code, 3);
    assert_int_equal(adjust(f, id, 1, HOST_PAUSE, &spec, &spec), ERR_NOT_FOUND);
    host_forget_exit(f->host, id, 1);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void a_paused_container_can_be_killed_and_removed(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct container_spec spec = spec_of_words("sleep", "1000", NULL);
    char id[CONTAINER_ID_SIZE], other[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    fixture_launch(f, id, 1, &spec);
    assert_int_equal(adjust(f, id, 1, HOST_PAUSE, &spec, &spec), ERR_NONE);
    assert_int_equal(host_signal(f->host, id, 1, SIGKILL, &err), 0);
    host_thaw(f->host, id);
    fixture_wait_exit(f);
    assert_int_equal(f->exit.signal, SIGKILL);
    host_forget_exit(f->host, id, 1);
    fixture_remove(f, id);
    fixture_new_id(f, other);
    fixture_launch(f, other, 1, &spec);
    assert_int_equal(adjust(f, other, 1, HOST_PAUSE, &spec, &spec), ERR_NONE);
    fixture_remove(f, other); /* that nothing of it is left is the teardown's to see */
    spec_release(&spec);
}

static void limits_of_what_runs(void **state)
{
    struct fixture *f = *state;
    struct usage usage;
    char id[CONTAINER_ID_SIZE];
    struct container_spec spec = spec_of_words("sleep", "1000", NULL), changed;
    spec.memory = 64 << 20;
    spec.pids_limit = 20;
    fixture_new_id(f, id);
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    assert_int_equal(schema_copy(&container_spec_schema, &changed, &spec), 0);
    changed.memory = 256 << 20; /* above the limit on memory and swap of before */
    changed.pids_limit = SCHEMA_ABSENT;
    changed.cpu_millis = 500;
    assert_int_equal(adjust(f, id, 1, HOST_LIMIT, &changed, &spec), ERR_NONE);
    assert_int_equal(usage_read(f->host, id, f->result.pid, &usage, NULL), 0);
    assert_int_equal(usage.memory_limit_bytes, 256 << 20);
    assert_int_equal(usage.pids_limit, 0);
    assert_int_equal(adjust(f, id, 1, HOST_LIMIT, &spec, &changed), ERR_NONE);
    assert_int_equal(usage_read(f->host, id, f->result.pid, &usage, NULL), 0);
    assert_int_equal(usage.memory_limit_bytes, 64 << 20);
    assert_int_equal(usage.pids_limit, 20);
    assert_int_equal(adjust(f, id, 2, HOST_LIMIT, &changed, &spec), ERR_NOT_FOUND); /* another incarnation */
    fixture_remove(f, id);
    spec_release(&changed);
    spec_release(&spec);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(paused_until_unpaused),
        TEST(a_paused_container_can_be_killed_and_removed),
        TEST(limits_of_what_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
