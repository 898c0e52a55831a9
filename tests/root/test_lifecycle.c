/* SPDX-License-Identifier: Apache-2.0 */
/* Crashes and restarts: of the shim, of the runtime, in the middle of a start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "runtime/shim/record.h"
#include "tests/root/host_fixture.h"

/* A container that runs until somebody writes to its fifo, and then exits with 6. */
static struct container_spec waiting_spec(void)
{
    return spec_of("echo up; mkfifo /wait; read x </wait; exit 6");
}

static void let_it_end(struct fixture *f, const char *id)
{
    char path[PATH_MAX];
    (void)id;
    snprintf(path, sizeof(path), "/proc/%lld/root/wait", (long long)f->result.pid);
    int fd = -1;
    for (int i = 0; i < 1000 && fd < 0; i++) { /* until the container has made it */
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            poll(NULL, 0, 5);
    }
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x\n", 2), 2);
    close(fd);
}

static void wait_for_process(pid_t pid)
{
    auto_fd int fd = pidfd_open(pid, 0);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (fd >= 0)
        assert_int_equal(poll(&wait, 1, 10000), 1);
}

static const struct host_observation *find(const struct host_observation *all, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i].container_id, id) == 0)
            return &all[i];
    }
    return NULL;
}

/* Forgets the host and opens a new one, as a restarted runtime does. Returns what it finds about `id`. */
static struct host_observation restart(struct fixture *f, const char *id)
{
    struct err err = ERR_INIT;
    struct host_observation *all = NULL;
    size_t n = 0;
    if (f->host != NULL)
        fixture_close_host(f);
    fixture_open_host(f);
    assert_int_equal(host_observe(f->host, &all, &n, &err), 0);
    const struct host_observation *found = find(all, n, id);
    assert_non_null(found);
    struct host_observation copy = *found;
    free(all);
    return copy;
}

static void container_dies_with_its_shim(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = waiting_spec();
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    assert_int_equal(kill((pid_t)f->result.shim_pid, SIGTERM), 0); /* changes nothing */
    assert_int_equal(kill((pid_t)f->result.shim_pid, SIGHUP), 0);
    assert_int_equal(kill((pid_t)f->result.shim_pid, SIGINT), 0);
    assert_int_equal(kill((pid_t)f->result.pid, 0), 0);
    assert_int_equal(kill((pid_t)f->result.shim_pid, SIGKILL), 0);
    fixture_wait_exit(f);
    assert_string_equal(f->exit.reason, "shim-lost");
    assert_int_equal(f->exit.exit_code, -1);
    assert_int_equal(f->exit.finished_at_ns, 0);
    assert_non_null(strstr(f->exit.observed, "without an exit record"));
    wait_for_process((pid_t)f->result.pid);
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_LOST);
    assert_int_equal(found.command_offset, 7);
    fixture_remove(f, id);
    spec_release(&spec);
}

/* Without a runtime that could clean up: the kernel alone does it. */
static void container_dies_with_its_shim_alone(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = waiting_spec();
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    fixture_close_host(f);
    assert_int_equal(kill((pid_t)f->result.shim_pid, SIGKILL), 0);
    wait_for_process((pid_t)f->result.pid);
    assert_int_equal(waitpid((pid_t)f->result.shim_pid, NULL, 0),
                     f->result.shim_pid); /* still this process's child */
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_LOST);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void second_runtime_adopts(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    struct err err = ERR_INIT;
    fixture_new_id(f, id);
    struct container_spec spec = waiting_spec();
    fixture_launch(f, id, 4, &spec);
    assert_true(f->result.ok);
    struct host_launched first = f->result;
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_RUNNING);
    assert_int_equal(found.incarnation, 4);
    assert_int_equal(found.pid, first.pid);
    assert_int_equal(found.shim_pid, first.shim_pid);
    assert_int_equal(found.started_at_ns, first.started_at_ns);
    /* The same start asked again gives the same answer and starts nothing. */
    fixture_launch(f, id, 4, &spec);
    assert_true(f->result.ok);
    assert_int_equal(f->result.pid, first.pid);
    assert_int_equal(f->result.started_at_ns, first.started_at_ns);
    assert_int_equal(host_signal(f->host, id, 4, 0, &err), 0);
    let_it_end(f, id);
    fixture_wait_exit(f);
    assert_string_equal(f->exit.reason, "exited");
    assert_int_equal(f->exit.exit_code, 6);
    fixture_remove(f, id);
    spec_release(&spec);
}

/* A runtime of its own process that is killed outright. */
static void container_survives_its_runtimes_death(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = waiting_spec();
    fixture_close_host(f);
    int channel[2];
    assert_int_equal(pipe(channel), 0);
    fflush(stdout);
    pid_t runtime = fork();
    if (runtime == 0) {
        assert_int_equal(uv_loop_fork(&f->loop), 0);
        fixture_open_host(f);
        fixture_launch(f, id, 1, &spec);
        if (write(channel[1], &f->result, sizeof(f->result)) == (ssize_t)sizeof(f->result))
            raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(read(channel[0], &f->result, sizeof(f->result)), sizeof(f->result));
    close(channel[0]);
    close(channel[1]);
    int status;
    assert_int_equal(waitpid(runtime, &status, 0), runtime);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(f->result.ok);
    assert_int_equal(kill((pid_t)f->result.pid, 0), 0);
    /* It ends while nobody watches. */
    int64_t before = clock_realtime_ns();
    let_it_end(f, id);
    wait_for_process((pid_t)f->result.shim_pid);
    int64_t after = clock_realtime_ns();
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_EXITED);
    assert_string_equal(found.exit.reason, "exited");
    assert_int_equal(found.exit.exit_code, 6);
    assert_true(found.exit.finished_at_ns >= before && found.exit.finished_at_ns <= after);
    /* The start that lost its answer is answered now, and the exit follows. */
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    fixture_wait_exit(f);
    assert_int_equal(f->exit.exit_code, 6);
    host_forget_exit(f->host, id, 1);
    found = restart(f, id);
    assert_int_equal(found.found, HOST_INTERRUPTED);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void interrupted_start_is_undone(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], path[PATH_MAX], command[PATH_MAX * 2];
    struct err err = ERR_INIT;
    fixture_new_id(f, id);
    /* What a kill -9 leaves after the intent, the layers and one cgroup. */
    snprintf(path, sizeof(path), "%s/containers/%s/upper", f->state_dir, id);
    assert_int_equal(fs_mkdirs(AT_FDCWD, path, 0755, &err), 0);
    snprintf(command, sizeof(command),
             "printf '{\"container\":\"%s\",\"incarnation\":2,\"command_offset\":11,\"boot_id\":\"%s\"}' "
             ">%s/containers/%s/launch.json; for d in $(find /sys/fs/cgroup -maxdepth 2 -type d -name %s | "
             "head -1); "
             "do mkdir $d/%s; done",
             id, host_boot_id(f->host), f->state_dir, id, f->cgroup_parent, id);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_INTERRUPTED);
    assert_int_equal(found.incarnation, 2);
    assert_int_equal(found.command_offset, 11);
    assert_non_null(strstr(found.what, "cgroup"));
    struct container_spec spec = spec_of("exit 0");
    fixture_launch(f, id, 2, &spec);
    assert_true(f->result.ok);
    fixture_wait_exit(f);
    assert_int_equal(f->exit.exit_code, 0);
    fixture_remove(f, id);
    spec_release(&spec);
}

static bool is_in_store(const struct fixture *f, const char *prefix, const char *id)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/containers/%s%s", f->state_dir, prefix, id);
    return access(path, F_OK) == 0;
}

static void removal_keeps_an_exit_until_it_is_on_the_log(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    struct container_spec spec = spec_of("exit 3");
    fixture_new_id(f, id);
    fixture_launch(f, id, 1, &spec);
    fixture_wait_exit(f);
    fixture_remove(f, id);
    assert_false(is_in_store(f, "", id));
    /* The runtime ends before the exit is on the log: the next one finds it. */
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_EXITED);
    assert_int_equal(found.exit.exit_code, 3);
    fixture_remove(f, id);
    /* On the log: nothing is left. */
    fixture_new_id(f, id);
    fixture_launch(f, id, 1, &spec);
    fixture_wait_exit(f);
    fixture_remove(f, id);
    assert_true(is_in_store(f, ".removing-", id));
    host_forget_exit(f->host, id, 1);
    fixture_close_host(f); /* waits for the deletion */
    assert_false(is_in_store(f, ".removing-", id));
    assert_false(is_in_store(f, "", id));
    fixture_open_host(f);
    spec_release(&spec);
}

/* So does a start of the next incarnation, and what host_observe has shown is kept like what on_exit has
 * told. */
static void start_waits_until_the_exit_is_on_the_log(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], other[CONTAINER_ID_SIZE];
    struct container_spec spec = spec_of("exit 3");
    size_t n_launched = 0;
    fixture_new_id(f, id);
    fixture_new_id(f, other);
    fixture_launch(f, id, 1, &spec);
    fixture_wait_exit(f);
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_EXITED);
    host_keep_exit(f->host, id, 1);
    fixture_launch_only(f, id, 2, &spec, &n_launched);
    fixture_launch(f, other, 1, &spec); /* which was asked for later, and is done before */
    fixture_wait_exit(f);
    assert_int_equal(n_launched, 0);
    auto_free char *record = fixture_read("%s/containers/%s/exit", f->state_dir, id);
    assert_non_null(strstr(record, "incarnation=1 exit_code=3"));
    host_forget_exit(f->host, id, 1);
    fixture_wait_exit(f);
    assert_int_equal(n_launched, 1);
    assert_int_equal(f->exit.incarnation, 2);
    host_forget_exit(f->host, id, 2);
    host_forget_exit(f->host, other, 1);
    fixture_remove(f, id);
    fixture_remove(f, other);
    spec_release(&spec);
}

/* A recovery that removes a container before the exit it has found is on the log. */
/* The shim of a start that was cut off with its runtime is known by its lock alone until it gives up. */
static void start_waits_for_one_that_was_interrupted(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], other[CONTAINER_ID_SIZE], path[192];
    size_t n_launched = 0;
    fixture_new_id(f, id);
    fixture_new_id(f, other);
    struct container_spec spec = spec_of("exit 3");
    snprintf(path, sizeof(path), "%s/containers/%s", f->state_dir, id);
    assert_int_equal(mkdir(path, 0710), 0);
    auto_fd int shim = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(shim, LOCK_EX), 0);
    fixture_launch_only(f, id, 1, &spec, &n_launched);
    fixture_launch(f, other, 1, &spec); /* which was asked for later, and is done before */
    fixture_wait_exit(f);
    assert_string_equal(f->exit.container_id, other);
    assert_int_equal(n_launched, 0);
    close(steal_fd(&shim));
    fixture_wait_exit(f);
    assert_string_equal(f->exit.container_id, id);
    assert_int_equal(n_launched, 1);
    fixture_remove(f, id);
    fixture_remove(f, other);
    spec_release(&spec);
}

static void removal_keeps_an_observed_exit(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    struct container_spec spec = spec_of("exit 5");
    fixture_new_id(f, id);
    fixture_launch(f, id, 1, &spec);
    fixture_wait_exit(f);
    struct host_observation found = restart(f, id);
    host_keep_exit(f->host, id, 1);
    fixture_remove(f, id);
    assert_false(is_in_store(f, "", id));
    found = restart(f, id);
    assert_int_equal(found.found, HOST_EXITED);
    assert_int_equal(found.exit.exit_code, 5);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void note_removed(const struct err *err, void *data)
{
    assert_null(err);
    *(bool *)data = true;
}

/* A power cut may take the shim's record, which is not synced; the exit record is, and says the same of it.
 */
static void exit_record_alone_says_who_ran(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], path[256];
    struct container_spec spec = spec_of("exit 6");
    fixture_new_id(f, id);
    fixture_launch(f, id, 1, &spec);
    struct host_launched first = f->result;
    fixture_wait_exit(f);
    snprintf(path, sizeof(path), "%s/containers/%s/shim", f->state_dir, id);
    assert_int_equal(unlink(path), 0);
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_EXITED);
    fixture_launch(f, id, 1, &spec); /* the command is decided again: its start has been */
    assert_true(f->result.ok);
    assert_int_equal(f->result.pid, first.pid);
    assert_int_equal(f->result.shim_pid, first.shim_pid);
    assert_int_equal(f->result.started_at_ns, first.started_at_ns);
    fixture_wait_exit(f);
    assert_int_equal(f->exit.exit_code, 6);
    host_forget_exit(f->host, id, 1);
    fixture_remove(f, id);
    spec_release(&spec);
}

/* What was observed of the container is gone with it: the start does not answer for it, and tells its own
 * end. */
static void start_behind_a_removal_is_a_new_one(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    struct container_spec spec = spec_of("exit 8");
    struct err err = ERR_INIT;
    bool removed = false;
    fixture_new_id(f, id);
    fixture_launch(f, id, 1, &spec);
    struct host_launched first = f->result;
    fixture_wait_exit(f);
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_EXITED);
    assert_int_equal(host_remove(f->host, id, note_removed, &removed, &err), 0);
    fixture_launch(f, id, 1, &spec);
    assert_true(removed);
    assert_true(f->result.ok);
    assert_int_not_equal(f->result.pid, first.pid);
    fixture_wait_exit(f);
    assert_int_equal(f->exit.exit_code, 8);
    host_forget_exit(f->host, id, 1);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void torn_records_are_no_records(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], path[PATH_MAX];
    fixture_new_id(f, id);
    struct container_spec spec = spec_of("exit 4");
    fixture_launch(f, id, 1, &spec);
    fixture_wait_exit(f);
    snprintf(path, sizeof(path), "%s/containers/%s/exit", f->state_dir, id);
    assert_int_equal(truncate(path, 60), 0);
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_LOST);
    assert_int_equal(found.exit.exit_code, -1);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void earlier_boot_is_a_host_restart(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    char path[PATH_MAX], bytes[RECORD_BYTES];
    struct err err = ERR_INIT;
    struct shim_record record = {
        .incarnation = 3, .shim_pid = 1, .shim_start = 1, .pid = 1, .boot_id = "another-boot"};
    shim_record_format(bytes, &record);
    snprintf(path, sizeof(path), "%s/containers/%s", f->state_dir, id);
    assert_int_equal(fs_mkdirs(AT_FDCWD, path, 0755, &err), 0);
    snprintf(path, sizeof(path), "%s/containers/%s/shim", f->state_dir, id);
    assert_int_equal(fs_write_file(AT_FDCWD, path, 0600, bytes, sizeof(bytes), false, &err), 0);
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_HOST_RESTARTED);
    assert_string_equal(found.exit.reason, "host-restart");
    assert_int_equal(found.incarnation, 3);
    fixture_remove(f, id);
}

static enum host_identity identify(struct fixture *f, const char *node)
{
    enum host_identity identity;
    struct err err = ERR_INIT;
    if (host_identify(f->host, node, &identity, &err) < 0)
        fail_msg("%s", err.message);
    return identity;
}

static void a_state_directory_says_whose_it_is(void **state)
{
    struct fixture *f = *state;
    char path[PATH_MAX], id[CONTAINER_ID_SIZE];
    struct err err = ERR_INIT;
    enum host_identity identity;
    assert_int_equal(identify(f, "n1"), HOST_NEW);
    /* made by a wharf that wrote no such file */
    fixture_new_id(f, id);
    snprintf(path, sizeof(path), "%s/containers/%s", f->state_dir, id);
    assert_int_equal(fs_mkdirs(AT_FDCWD, path, 0755, &err), 0);
    assert_int_equal(identify(f, "n1"), HOST_UNCLAIMED);
    fixture_remove(f, id);
    assert_int_equal(identify(f, "n1"), HOST_NEW);
    assert_int_equal(host_claim(f->host, "n1", &err), 0);
    assert_int_equal(identify(f, "n1"), HOST_CLAIMED);
    assert_int_equal(host_identify(f->host, "n2", &identity, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.message, "is of node 'n1', not of 'n2'"));
    snprintf(path, sizeof(path), "%s/node.json", f->state_dir);
    assert_int_equal(fs_write_file(AT_FDCWD, path, 0600, "{", 1, false, &err), 0);
    assert_int_equal(host_identify(f->host, "n1", &identity, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(unlink(path), 0);
}

/* A look beside a runtime: what runs is seen, and neither adopted nor touched; what is not there is not made.
 */
static void a_look_changes_nothing(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE], nowhere[PATH_MAX];
    struct err err = ERR_INIT;
    struct host *look = NULL;
    struct host_observation *seen = NULL;
    size_t n = 0;
    fixture_new_id(f, id);
    struct container_spec spec = spec_of("sleep 1000");
    fixture_launch(f, id, 1, &spec);
    struct host_options options = {.state_dir = f->state_dir, .look_only = true};
    assert_int_equal(host_open(&look, &f->loop, &options, &err), 0);
    assert_int_equal(host_observe(look, &seen, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_string_equal(seen[0].container_id, id);
    assert_int_equal(seen[0].found, HOST_RUNNING);
    assert_true(host_image_exists(look, f->image.digest));
    free(seen);
    host_close(look, NULL, NULL);
    snprintf(nowhere, sizeof(nowhere), "%s/nowhere", f->state_dir);
    options.state_dir = nowhere;
    assert_int_equal(host_open(&look, &f->loop, &options, &err), 0);
    assert_int_equal(host_observe(look, &seen, &n, &err), 0);
    assert_int_equal(n, 0);
    assert_false(host_image_exists(look, f->image.digest));
    free(seen);
    host_close(look, NULL, NULL);
    assert_int_equal(access(nowhere, F_OK), -1);
    /* the one that watches it hears of its end */
    assert_int_equal(host_signal(f->host, id, 1, SIGKILL, &err), 0);
    fixture_wait_exit(f);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void recycled_pid_is_not_adopted(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    char path[PATH_MAX], bytes[RECORD_BYTES];
    struct err err = ERR_INIT;
    /* Our own pid with a start time that is not ours. */
    struct shim_record record = {
        .incarnation = 1, .shim_pid = getpid(), .shim_start = 1, .pid = getpid(), .pid_start = 1};
    snprintf(record.boot_id, sizeof(record.boot_id), "%s", host_boot_id(f->host));
    shim_record_format(bytes, &record);
    snprintf(path, sizeof(path), "%s/containers/%s", f->state_dir, id);
    assert_int_equal(fs_mkdirs(AT_FDCWD, path, 0755, &err), 0);
    snprintf(path, sizeof(path), "%s/containers/%s/shim", f->state_dir, id);
    assert_int_equal(fs_write_file(AT_FDCWD, path, 0600, bytes, sizeof(bytes), false, &err), 0);
    struct host_observation found = restart(f, id);
    assert_int_equal(found.found, HOST_LOST);
    fixture_remove(f, id); /* and does not kill this test */
}

/* A process that has a shim's record, is still the shim's program, and takes its record back in the end. */
static pid_t begin_failing_start(struct fixture *f, const char *id)
{
    char path[PATH_MAX], stat[64], bytes[RECORD_BYTES];
    struct err err = ERR_INIT;
    snprintf(path, sizeof(path), "%s/containers/%s", f->state_dir, id);
    assert_int_equal(fs_mkdirs(AT_FDCWD, path, 0755, &err), 0);
    snprintf(path, sizeof(path), "%s/containers/%s/shim", f->state_dir, id);
    pid_t pid = fork();
    if (pid == 0) {
        poll(NULL, 0, 50); /* however long: nothing depends on it but what is being tested */
        _exit(unlink(path));
    }
    struct shim_record record = {.incarnation = 1, .shim_pid = pid, .pid = pid};
    snprintf(stat, sizeof(stat), "/proc/%d/stat", pid);
    auto_free char *text = fixture_read("%s", stat);
    assert_true(proc_stat_start(text, &record.shim_start));
    record.pid_start = record.shim_start;
    snprintf(record.boot_id, sizeof(record.boot_id), "%s", host_boot_id(f->host));
    shim_record_format(bytes, &record);
    assert_int_equal(fs_write_file(AT_FDCWD, path, 0600, bytes, sizeof(bytes), false, &err), 0);
    return pid;
}

/* A record alone does not say that the command was executed: a runtime that takes over waits until it is
 * known. */
static void unexecuted_start_is_not_adopted(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    pid_t pid = begin_failing_start(f, id);
    struct host_observation found = restart(f, id);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(found.found, HOST_INTERRUPTED);
    pid = begin_failing_start(f, id);
    struct container_spec spec = spec_of("exit 4");
    fixture_launch(f, id, 1, &spec);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(f->result.ok);
    assert_int_not_equal(f->result.shim_pid, pid);
    fixture_wait_exit(f);
    assert_int_equal(f->exit.exit_code, 4);
    fixture_remove(f, id);
    spec_release(&spec);
}

static void removing_a_running_one_kills_it(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec = waiting_spec();
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    fixture_remove(f, id);
    assert_int_equal(kill((pid_t)f->result.pid, 0), -1);
    assert_int_equal(kill((pid_t)f->result.shim_pid, 0), -1);
    assert_false(f->exited);
    fixture_remove(f, id); /* nothing there is fine */
    spec_release(&spec);
}

static void shim_is_small(void **state)
{
    struct fixture *f = *state;
    char id[CONTAINER_ID_SIZE];
    fixture_new_id(f, id);
    struct container_spec spec =
        spec_of("head -c 2000000 /dev/zero | tr '\\0' x; echo; mkfifo /wait; read x </wait");
    fixture_launch(f, id, 1, &spec);
    assert_true(f->result.ok);
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "/proc/%lld/root/wait", (long long)f->result.pid);
    int fd = -1;
    while (fd < 0) {
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            poll(NULL, 0, 5);
    }
    auto_free char *text = fixture_read("/proc/%lld/smaps_rollup", (long long)f->result.shim_pid);
    assert_non_null(text);
    long pss_kb = strtol(strstr(text, "Pss:") + 4, NULL, 10);
    assert_in_range(pss_kb, 1, 300);
    print_message("shim after 2 MB of output: %ld KB PSS\n", pss_kb);
    close(fd);
    fixture_wait_exit(f);
    fixture_remove(f, id);
    spec_release(&spec);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(container_dies_with_its_shim),
        TEST(container_dies_with_its_shim_alone),
        TEST(second_runtime_adopts),
        TEST(container_survives_its_runtimes_death),
        TEST(interrupted_start_is_undone),
        TEST(removal_keeps_an_exit_until_it_is_on_the_log),
        TEST(start_waits_until_the_exit_is_on_the_log),
        TEST(start_waits_for_one_that_was_interrupted),
        TEST(removal_keeps_an_observed_exit),
        TEST(exit_record_alone_says_who_ran),
        TEST(start_behind_a_removal_is_a_new_one),
        TEST(torn_records_are_no_records),
        TEST(earlier_boot_is_a_host_restart),
        TEST(recycled_pid_is_not_adopted),
        TEST(a_state_directory_says_whose_it_is),
        TEST(a_look_changes_nothing),
        TEST(unexecuted_start_is_not_adopted),
        TEST(removing_a_running_one_kills_it),
        TEST(shim_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
