/* SPDX-License-Identifier: Apache-2.0 */
/* Starting, ending and failing to start on the real kernel; limits; the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/root/host_fixture.h"

static void runs_a_command_to_its_exit_code(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = spec_of("echo hello; exit 3");
    int64_t before = clock_realtime_ns();
    fixture_launch(f, id, 1, &spec);
    if (!f->result.ok)
        fail_msg("%s", f->result.message);
    assert_true(f->result.pid > 1);
    assert_true(f->result.shim_pid > 1);
    fixture_wait_exit(f);
    assert_string_equal(f->exit.container_id, id);
    assert_int_equal(f->exit.incarnation, 1);
    assert_string_equal(f->exit.reason, "exited");
    assert_int_equal(f->exit.exit_code, 3);
    assert_int_equal(f->exit.signal, 0);
    assert_true(f->result.started_at_ns >= before);
    assert_true(f->exit.finished_at_ns >= f->result.started_at_ns);
    assert_true(f->exit.finished_at_ns <= clock_realtime_ns());
    auto_free char *log = fixture_log(f, id);
    assert_string_equal(log, "hello\n");
    fixture_remove(f, id);
    spec_release(&spec);
}

static void signals_end_it(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    struct err err = ERR_INIT;
    fixture_new_id(f, id);
    struct container_spec spec =
        spec_of("trap 'exit 9' TERM; echo ready; while :; do read x </dev/zero & wait; done");
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    assert_int_equal(host_signal(f->host, id, 2, SIGKILL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(host_signal(f->host, id, 1, SIGKILL, &err), 0);
    fixture_wait_exit(f);
    assert_string_equal(f->exit.reason, "signaled");
    assert_int_equal(f->exit.signal, SIGKILL);
    assert_int_equal(f->exit.exit_code, 137);
    assert_int_equal(host_signal(f->host, id, 1, SIGKILL, &err), -1);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void says_why_a_command_cannot_run(void **state)
{
    static const struct {
        const char *command;
        int exit_code;
        const char *code, *message;
    } CASES[] = {
        {"foo", 127, "command-not-found", "cannot run 'foo': not found in the image's PATH"},
        {"/bin/foo", 127, "command-not-found",
         "cannot run '/bin/foo': the image has no such file, or not the interpreter it needs"},
        {"/bin/plain", 126, "not-executable",
         "cannot run '/bin/plain': it is not an executable file, or the user may not execute it"},
        {"/bin", 126, "not-executable",
         "cannot run '/bin': it is not an executable file, or the user may not execute it"},
        {"noexec-format", 126, "not-executable",
         "cannot run 'noexec-format': it is neither a program for this machine nor a script that begins with "
         "#!"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char id[CONTAINER_ID_SIZE];
        fixture_new_id(f, id);
        struct container_spec spec = spec_of_words(CASES[i].command, NULL);
        for (int round = 0; round < 2; round++) { /* the same answer when it is asked again */
            fixture_launch(f, id, 1, &spec);
            assert_false(f->result.ok);
            assert_int_equal(f->result.exit_code, CASES[i].exit_code);
            assert_string_equal(f->result.code, CASES[i].code);
            assert_string_equal(f->result.message, CASES[i].message);
        }
        auto_free char *record = fixture_read("%s/containers/%s/shim", f->state_dir, id);
        assert_null(record);
        fixture_remove(f, id);
        spec_release(&spec);
    }
    assert_int_equal(f->n_exits, 0);
}

static void says_what_is_wrong_with_the_setup(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = spec_of("true");
    spec.user = strdup("nobody-here");
    fixture_launch(f, id, 1, &spec);
    assert_false(f->result.ok);
    assert_int_equal(f->result.exit_code, 125);
    assert_string_equal(f->result.code, "unknown-user");
    assert_string_equal(f->result.message, "the user 'nobody-here' is not in the image's /etc/passwd");
    fixture_remove(f, id);
    spec_release(&spec);
    char *digest = f->image.digest;
    f->image.digest = strdup("sha256:0000000000000000000000000000000000000000000000000000000000000000");
    spec = spec_of("true");
    fixture_launch(f, id, 1, &spec);
    assert_false(f->result.ok);
    assert_int_equal(f->result.exit_code, 125);
    assert_string_equal(f->result.code, "image-missing");
    assert_non_null(strstr(f->result.message, "'busybox:latest' (sha256:0000"));
    assert_non_null(strstr(f->result.message, ") are not on this host: import it again"));
    free(f->image.digest);
    f->image.digest = digest;
    fixture_remove(f, id);
    spec_release(&spec);
}

static void memory_limit_and_oom_kill(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = spec_of_words("tail", "/dev/zero", NULL); /* keeps an endless line */
    spec.memory = 16 << 20;
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    fixture_wait_exit(f);
    assert_string_equal(f->exit.reason, "oom-killed");
    assert_true(f->exit.oom_killed);
    assert_int_equal(f->exit.exit_code, 137);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void pids_limit(void **state)
{
    struct fixture *f = *state;
    struct container_spec spec = spec_of("for i in 1 2 3 4 5 6 7 8; do cat /dev/zero >/dev/null 2>&1 & done "
                                         "2>&1 | grep -c 'fork'; kill -9 -1");
    spec.pids_limit = 5;
    auto_free char *output = fixture_output(f, &spec);
    assert_string_equal(output, "1\n");
    spec_release(&spec);
}

/* The limits as the kernel has them, wherever the controllers are mounted. */
static void limits_reach_the_kernel(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    struct err err = ERR_INIT;
    fixture_new_id(f, id);
    struct container_spec spec = spec_of("cat /dev/zero >/dev/null");
    spec.memory = 64 << 20;
    spec.cpu_millis = 250;
    spec.pids_limit = 33;
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    auto_free char *v2 = fixture_read("/sys/fs/cgroup/%s/%s/memory.max", f->cgroup_parent, id);
    if (v2 != NULL) {
        auto_free char *cpu = fixture_read("/sys/fs/cgroup/%s/%s/cpu.max", f->cgroup_parent, id);
        auto_free char *pids = fixture_read("/sys/fs/cgroup/%s/%s/pids.max", f->cgroup_parent, id);
        assert_string_equal(v2, "67108864\n");
        assert_string_equal(cpu, "25000 100000\n");
        assert_string_equal(pids, "33\n");
    } else {
        auto_free char *memory =
            fixture_read("/sys/fs/cgroup/memory/%s/%s/memory.limit_in_bytes", f->cgroup_parent, id);
        auto_free char *cpu = fixture_read("/sys/fs/cgroup/cpu/%s/%s/cpu.cfs_quota_us", f->cgroup_parent, id);
        auto_free char *pids = fixture_read("/sys/fs/cgroup/pids/%s/%s/pids.max", f->cgroup_parent, id);
        auto_free char *devices =
            fixture_read("/sys/fs/cgroup/devices/%s/%s/devices.list", f->cgroup_parent, id);
        assert_string_equal(memory, "67108864\n");
        assert_string_equal(cpu, "25000\n");
        assert_string_equal(pids, "33\n");
        assert_null(strstr(devices, "a *:* rwm"));
    }
    assert_int_equal(host_signal(f->host, id, 1, SIGKILL, &err), 0);
    fixture_wait_exit(f);
    assert_false(f->exit.oom_killed);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void log_is_in_cri_format(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = spec_of("printf 'out\\n'; printf 'err\\n' >&2; printf tail");
    fixture_launch(f, id, 1, &spec);
    fixture_wait_exit(f);
    auto_free char *text = fixture_read("%s/containers/%s/log", f->state_dir, id);
    assert_non_null(text);
    size_t seen = 0;
    for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1) {
        int64_t time_ns;
        char time[TIMESTAMP_SIZE];
        snprintf(time, sizeof(time), "%s", at);
        assert_int_equal(timestamp_parse(time, &time_ns, NULL), 0);
        assert_true(time_ns >= f->result.started_at_ns);
        const char *rest = at + TIMESTAMP_SIZE - 1;
        if (strncmp(rest, " stdout F out\n", 14) == 0)
            seen |= 1;
        if (strncmp(rest, " stderr F err\n", 14) == 0)
            seen |= 2;
        if (strncmp(rest, " stdout P tail\n", 15) == 0)
            seen |= 4;
    }
    assert_int_equal(seen, 7);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void log_is_rotated_and_bounded(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    /* 60 MiB in lines of 100 bytes, which would be five files. */
    struct container_spec spec = spec_of("yes \"$(printf '%099d' 7)\" | head -c 62914560");
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    fixture_wait_exit(f);
    assert_string_equal(f->exit.observed, "");
    static const char *const FILES[] = {"log", "log.1", "log.2"};
    for (size_t i = 0; i < 3; i++) {
        auto_free char *text = fixture_read("%s/containers/%s/%s", f->state_dir, id, FILES[i]);
        assert_non_null(text);
        size_t size = strlen(text);
        assert_true(size <= 10 << 20);
        assert_true(i == 0 || size > (10 << 20) - 65536);
        assert_int_equal(text[size - 1], '\n');
        assert_int_equal(text[4], '-'); /* begins with a whole entry */
    }
    auto_free char *fourth = fixture_read("%s/containers/%s/log.3", f->state_dir, id);
    assert_null(fourth);
    fixture_remove(f, id);
    spec_release(&spec);
}

/* Whether the shim watches a file of its log for readers that leave. */
static bool shim_waits_for_a_reader(int64_t shim_pid)
{
    char path[64], target[32];
    for (int fd = 3; fd < 64; fd++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)shim_pid, fd);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        if (strcmp(target, "anon_inode:inotify") == 0)
            return true;
    }
    return false;
}

static void within_ten_seconds(int64_t began_ns)
{
    assert_true(clock_monotonic_ns() - began_ns < 10000000000LL);
}

/* The kernel tells of a close before it gives up the lock: output goes on even when nothing tells at all. */
static void output_goes_on_once_nobody_holds_its_log(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], oldest[192];
    fixture_new_id(f, id);
    struct container_spec spec =
        spec_of("trap 'head -c 20000000 /dev/zero; exit 4' USR1; head -c 22000000 /dev/zero; "
                "while :; do read x </dev/zero & wait; done");
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    snprintf(oldest, sizeof(oldest), "%s/containers/%s/log.2", f->state_dir, id);
    int64_t began_ns = clock_monotonic_ns();
    auto_fd int reader = -1;
    while ((reader = open(oldest, O_RDWR | O_CLOEXEC)) < 0)
        within_ten_seconds(began_ns);
    assert_int_equal(flock(reader, LOCK_SH), 0);
    assert_int_equal(host_signal(f->host, id, 1, SIGUSR1, NULL), 0);
    while (!shim_waits_for_a_reader(f->result.shim_pid))
        within_ten_seconds(began_ns);
    assert_int_equal(f->n_exits, 0);
    assert_int_equal(flock(reader, LOCK_UN), 0);
    fixture_wait_exit(f);
    assert_int_equal(f->exit.exit_code, 4);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void config_is_kept(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = spec_of("true");
    fixture_launch(f, id, 1, &spec);
    fixture_wait_exit(f);
    auto_free char *config = fixture_read("%s/containers/%s/config.json", f->state_dir, id);
    auto_free char *intent = fixture_read("%s/containers/%s/launch.json", f->state_dir, id);
    assert_non_null(strstr(config, "\"ociVersion\":\"1.2.0\""));
    assert_non_null(strstr(intent, "\"command_offset\":7"));
    fixture_remove(f, id);
    spec_release(&spec);
}

static void keeps_what_it_wrote_until_it_is_removed(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = spec_of("echo x >>/data; wc -l </data");
    for (int64_t i = 1; i <= 3; i++) {
        fixture_launch(f, id, i, &spec);
        assert_true(f->result.ok);
        fixture_wait_exit(f);
        assert_int_equal(f->exit.incarnation, i);
        host_forget_exit(f->host, id, i);
    }
    auto_free char *log = fixture_log(f, id);
    assert_string_equal(log, "1\n2\n3\n");
    fixture_remove(f, id);
    spec_release(&spec);
}

static void many_at_once(void **state)
{
    struct fixture *f = *state;
    struct container_spec spec = spec_of("exit 5");
    char ids[24][CONTAINER_ID_SIZE];
    size_t launched = 0;
    for (size_t i = 0; i < 24; i++) {
        fixture_new_id(f, ids[i]);
        fixture_launch_only(f, ids[i], 1, &spec, &launched);
    }
    while (launched < 24 || f->n_exits < 24)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->exit.exit_code, 5);
    for (size_t i = 0; i < 24; i++)
        fixture_remove(f, ids[i]);
    spec_release(&spec);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(runs_a_command_to_its_exit_code),
        TEST(signals_end_it),
        TEST(says_why_a_command_cannot_run),
        TEST(says_what_is_wrong_with_the_setup),
        TEST(memory_limit_and_oom_kill),
        TEST(pids_limit),
        TEST(limits_reach_the_kernel),
        TEST(log_is_in_cri_format),
        TEST(log_is_rotated_and_bounded),
        TEST(output_goes_on_once_nobody_holds_its_log),
        TEST(config_is_kept),
        TEST(keeps_what_it_wrote_until_it_is_removed),
        TEST(many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
