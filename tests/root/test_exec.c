/* SPDX-License-Identifier: Apache-2.0 */
/* One more command in a container, on the real kernel: its start, its end, and crashes on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/root/host_fixture.h"

/* A container that stays, and one exec's id. */
struct place {
    char id[CONTAINER_ID_SIZE];
    char exec[CONTAINER_ID_SIZE];
    struct container_spec spec;
    pid_t pid;
};

static struct place place_make(struct fixture *f)
{
    struct place place = {.spec = spec_of("exec sleep 100000")};
    fixture_new_id(f, place.id);
    fixture_new_id(f, place.exec);
    fixture_launch(f, place.id, 1, &place.spec);
    assert_true(f->result.ok);
    place.pid = (pid_t)f->result.pid;
    return place;
}

static void execute(struct fixture *f, const struct place *place, const char *script)
{
    fixture_exec(f, place->id, 1, place->exec, &place->spec, script);
}

static void place_remove(struct fixture *f, struct place *place)
{
    fixture_remove(f, place->id);
    spec_release(&place->spec);
}

static void wait_for_process(pid_t pid)
{
    auto_fd int fd = pidfd_open(pid, 0);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (fd >= 0)
        assert_int_equal(poll(&wait, 1, 10000), 1);
}

static bool is_in_store(const struct fixture *f, const char *id)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/containers/%s", f->state_dir, id);
    return access(path, F_OK) == 0;
}

static size_t count_descriptors(void)
{
    auto_dir DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    return n;
}

/* A runtime that starts anew, and what it finds of the exec. */
static struct host_observation restart(struct fixture *f, const char *exec_id)
{
    struct err err = ERR_INIT;
    struct host_observation *all = NULL, found = {.found = HOST_INTERRUPTED};
    size_t n = 0, n_found = 0;
    if (f->host != NULL)
        fixture_close_host(f);
    fixture_open_host(f);
    assert_int_equal(host_observe(f->host, &all, &n, &err), 0);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i].exec_id, exec_id) != 0)
            continue;
        found = all[i];
        n_found++;
    }
    free(all);
    assert_int_equal(n_found, 1);
    return found;
}

static void it_runs_where_the_container_runs(void **state)
{
    struct fixture *f = *state;
    struct place place = place_make(f);
    size_t before = count_descriptors();
    for (int i = 0; i < 5; i++) {
        execute(
            f, &place,
            "for n in ipc mnt net pid uts; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] "
            "|| exit 1; done; cmp /proc/1/cgroup /proc/self/cgroup || exit 2; exec ls /proc/self/fd");
        assert_true(f->result.ok);
        assert_string_equal(f->result.container_id, place.id);
        assert_string_equal(f->result.exec_id, place.exec);
        fixture_wait_exit(f);
        assert_string_equal(f->exit.exec_id, place.exec);
        assert_string_equal(f->exit.container_id, place.id);
        assert_int_equal(f->exit.exit_code, 0);
        auto_free char *open = fixture_log(f, place.exec);
        assert_string_equal(open, "0\n1\n2\n3\n"); /* the last is how ls lists them */
        host_forget_exit(f->host, place.exec, 1);
        fixture_remove(f, place.exec);
        assert_false(is_in_store(f, place.exec));
    }
    /* One that each exec leaves would make five. What is deleted behind a removal's answer has some for a
     * moment; for seconds where a disk is slow. */
    for (int i = 0; i < 6000 && count_descriptors() >= before + 5; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        poll(NULL, 0, 5);
    }
    assert_true(count_descriptors() < before + 5);
    place_remove(f, &place);
}

static void second_runtime_adopts_it(void **state)
{
    struct fixture *f = *state;
    struct err err = ERR_INIT;
    struct place place = place_make(f);
    execute(f, &place, "exec sleep 100000");
    struct host_launched first = f->result;
    struct host_observation found = restart(f, place.exec);
    assert_int_equal(found.found, HOST_RUNNING);
    assert_string_equal(found.container_id, place.id);
    assert_int_equal(found.pid, first.pid);
    assert_int_equal(found.command_offset, 9);
    /* asked again, it is the same one */
    execute(f, &place, "exit 1");
    assert_true(f->result.ok);
    assert_int_equal(f->result.pid, first.pid);
    assert_int_equal(f->result.started_at_ns, first.started_at_ns);
    assert_int_equal(host_signal(f->host, place.exec, 1, SIGTERM, &err), 0);
    fixture_wait_exit(f);
    assert_string_equal(f->exit.exec_id, place.exec);
    assert_string_equal(f->exit.reason, "signaled");
    assert_int_equal(f->exit.signal, SIGTERM);
    host_forget_exit(f->host, place.exec, 1);
    fixture_remove(f, place.exec);
    place_remove(f, &place);
}

/* Its command may be decided again when the container runs as another incarnation, or not at all. */
static void one_that_ended_while_nobody_watched_is_not_executed_again(void **state)
{
    struct fixture *f = *state;
    struct place place = place_make(f);
    execute(f, &place, "exit 6");
    pid_t shim = (pid_t)f->result.shim_pid;
    fixture_close_host(f);
    f->n_exits = 0;
    f->exited = false;
    wait_for_process(shim);
    assert_int_equal(kill(place.pid, SIGKILL), 0);
    wait_for_process(place.pid);
    struct host_observation found = restart(f, place.exec);
    assert_int_equal(found.found, HOST_EXITED);
    assert_int_equal(found.exit.exit_code, 6);
    assert_string_equal(found.exit.exec_id, place.exec);
    fixture_exec(f, place.id, 2, place.exec, &place.spec, "exit 1");
    assert_true(f->result.ok);
    assert_int_equal(f->result.incarnation, 1);
    fixture_wait_exit(f);
    assert_string_equal(f->exit.exec_id, place.exec);
    assert_int_equal(f->exit.exit_code, 6);
    host_forget_exit(f->host, place.exec, HOST_ANY_INCARNATION);
    fixture_remove(f, place.exec);
    place_remove(f, &place);
}

static void it_dies_with_its_shim(void **state)
{
    struct fixture *f = *state;
    struct place place = place_make(f);
    execute(f, &place, "exec sleep 100000");
    pid_t pid = (pid_t)f->result.pid;
    assert_int_equal(kill((pid_t)f->result.shim_pid, SIGKILL), 0);
    fixture_wait_exit(f);
    assert_string_equal(f->exit.exec_id, place.exec);
    assert_string_equal(f->exit.reason, "shim-lost");
    assert_int_equal(f->exit.exit_code, -1);
    wait_for_process(pid);
    assert_int_equal(kill(place.pid, 0), 0); /* the container does not */
    struct host_observation found = restart(f, place.exec);
    assert_int_equal(found.found, HOST_LOST);
    host_forget_exit(f->host, place.exec, 1);
    fixture_remove(f, place.exec);
    place_remove(f, &place);
}

static void it_dies_with_its_container(void **state)
{
    struct fixture *f = *state;
    struct place place = place_make(f);
    execute(f, &place, "exec sleep 100000");
    pid_t pid = (pid_t)f->result.pid;
    assert_int_equal(kill(place.pid, SIGKILL), 0);
    fixture_wait_exit(f); /* both are told, in any order */
    fixture_wait_exit(f);
    wait_for_process(pid);
    struct host_observation found = restart(f, place.exec);
    assert_int_equal(found.found, HOST_EXITED);
    assert_int_equal(found.exit.signal, SIGKILL);
    host_forget_exit(f->host, place.exec, 1);
    host_forget_exit(f->host, place.id, 1);
    fixture_remove(f, place.exec);
    place_remove(f, &place);
}

static void what_cannot_be_executed_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct place place = place_make(f);
    execute(f, &place, "exit 0");
    fixture_wait_exit(f);
    host_forget_exit(f->host, place.exec, 1);
    fixture_remove(f, place.exec);
    /* in another incarnation than that which runs */
    fixture_exec(f, place.id, 2, place.exec, &place.spec, "exit 0");
    assert_false(f->result.ok);
    assert_int_equal(f->result.exit_code, 125);
    assert_string_equal(f->result.code, "not-running");
    assert_false(is_in_store(f, place.exec));
    /* in a container that was never there */
    fixture_exec(f, place.exec, 1, place.exec, &place.spec, "exit 0");
    assert_string_equal(f->result.code, "not-running");
    assert_false(is_in_store(f, place.exec));
    place_remove(f, &place);
}

/* The intent alone is no start. With the record's name claimed no shim of before may go on. */
static void an_interrupted_one_is_started_anew(void **state)
{
    struct fixture *f = *state;
    struct place place = place_make(f);
    char command[PATH_MAX * 2];
    static const char *const more[] = {"", "; touch $d/shim $d/exit $d/log"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(command, sizeof(command),
                 "set -e; d=%s/containers/%s; mkdir $d; printf '{\"container\":\"%s\",\"exec_of\":\"%s\","
                 "\"incarnation\":1,\"command_offset\":9,\"boot_id\":\"%s\"}' >$d/launch.json%s",
                 f->state_dir, place.exec, place.exec, place.id, host_boot_id(f->host), more[i]);
        assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
        struct host_observation found = restart(f, place.exec);
        assert_int_equal(found.found, HOST_INTERRUPTED);
        assert_string_equal(found.container_id, place.id);
        execute(f, &place, "exit 5");
        assert_true(f->result.ok);
        fixture_wait_exit(f);
        assert_int_equal(f->exit.exit_code, 5);
        host_forget_exit(f->host, place.exec, 1);
        fixture_remove(f, place.exec);
    }
    place_remove(f, &place);
}

/* An orphan: removing it kills it, and its container goes on. */
static void removing_one_that_runs_kills_it(void **state)
{
    struct fixture *f = *state;
    struct place place = place_make(f);
    execute(f, &place, "exec sleep 100000");
    pid_t pid = (pid_t)f->result.pid;
    host_forget_exit(f->host, place.exec, HOST_ANY_INCARNATION);
    fixture_remove(f, place.exec);
    wait_for_process(pid);
    assert_int_equal(kill(place.pid, 0), 0);
    assert_false(is_in_store(f, place.exec));
    place_remove(f, &place);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_runs_where_the_container_runs),
        TEST(second_runtime_adopts_it),
        TEST(one_that_ended_while_nobody_watched_is_not_executed_again),
        TEST(it_dies_with_its_shim),
        TEST(it_dies_with_its_container),
        TEST(what_cannot_be_executed_leaves_nothing),
        TEST(an_interrupted_one_is_started_anew),
        TEST(removing_one_that_runs_kills_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
