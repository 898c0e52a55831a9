/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec: the process as a plan, wharf-init to join the container (../shim/join.h), an answer that lets it go
 * on, and its execution. It needs no lock: several at once do not meet, and a container that is deleted
 * meanwhile takes its cgroups away, which the process has to join first.
 *
 * Until it was let go our end ends it; from then on it is a process of the container like any other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/oci/cgroups.h"
#include "runtime/oci/console.h"
#include "runtime/oci/create.h"
#include "runtime/oci/exec_process.h"
#include "runtime/oci/follow.h"
#include "runtime/oci/host.h"
#include "runtime/oci/launch.h"
#include "runtime/oci/oci.h"
#include "runtime/oci/report.h"
#include "runtime/oci/state.h"
#include "runtime/oci/wait.h"
#include "runtime/sandbox/oci_json.h"
#include "runtime/sandbox/oci_plan.h"

#define PROCESS_LIMIT (4u << 20)

struct execution {
    const struct oci_options *options;
    struct oci_container container;
    struct oci_cgroups cgroups;
    struct oci_console console;
    struct oci_launch launch;
    struct oci_follow follow;
    struct oci_wait wait;
    struct buf plan;
    json_t *config;
    struct oci_report report;
    int target_fd, master_fd;
};

static int check_status(const struct execution *execution, struct err *err)
{
    const struct oci_container *container = &execution->container;
    enum oci_status status = oci_container_status(container);
    if (status == OCI_PAUSED && !execution->options->ignore_paused)
        return err_set(
            err, ERR_CONFLICT,
            "cannot execute in the container '%s': it is paused; resume it, or let the process wait "
            "for that with --ignore-paused",
            container->id);
    if (status == OCI_STOPPED || status == OCI_CREATING)
        return err_set(err, ERR_CONFLICT, "cannot execute in the container '%s': it is not running but %s",
                       container->id, oci_status_name(status));
    return 0;
}

static int read_given(const char *path, json_t **ret, struct err *err)
{
    auto_free char *text = NULL;
    size_t size = 0;
    json_error_t error;
    if (path == NULL)
        return 0;
    if (fs_read_file(AT_FDCWD, path, PROCESS_LIMIT, &text, &size, err) < 0)
        return -1;
    *ret = oci_json_parse(text, size, &error);
    return *ret == NULL
               ? err_set(err, ERR_INVALID, "'%s' is no JSON: line %d: %s", path, error.line, error.text)
               : 0;
}

static int compile(struct execution *execution, char *const *argv, bool *ret_terminal, struct err *err)
{
    json_auto_t *given = NULL;
    const json_t *config = execution->config = oci_container_config(&execution->container, err);
    if (config == NULL || read_given(execution->options->process, &given, err) < 0)
        return -1;
    json_auto_t *process = oci_exec_process(config, given, execution->options, argv, err);
    if (process == NULL)
        return -1;
    const struct oci_process_input input = {
        .config = config,
        .process = process,
        .n_cgroup_fds = (uint32_t)execution->cgroups.n,
        .grant = {oci_host_capabilities(config), execution->options->warn},
        .lower_limits = true, /* as the container's creation has told */
    };
    if (oci_host_check_process(process, err) < 0)
        return -1;
    *ret_terminal = oci_flag(process, "terminal");
    oci_report_set(&execution->report, "command", json_incref(json_object_get(process, "args")));
    return oci_plan_process(&input, &execution->plan, err);
}

static int prepare(struct execution *execution, char *const *argv, struct err *err)
{
    const struct oci_options *options = execution->options;
    bool terminal = false;
    execution->target_fd = oci_container_process(&execution->container);
    if (check_status(execution, err) < 0)
        return -1;
    if (execution->target_fd < 0)
        return err_set(err, ERR_CONFLICT, "cannot execute in the container '%s': it has just ended",
                       execution->container.id);
    if (oci_cgroups_open(&execution->cgroups, execution->container.document, err) < 0 ||
        compile(execution, argv, &terminal, err) < 0)
        return -1;
    return oci_console_open(&execution->console, options, terminal, !options->detach, err);
}

static int execute(struct execution *execution, struct err *err)
{
    struct oci_launch *launch = &execution->launch;
    const struct oci_options *options = execution->options;
    json_auto_t *state = oci_container_state(&execution->container, OCI_RUNNING);
    if (state == NULL)
        return err_nomem(err, "executing in a container");
    if (oci_follow_begin(&execution->follow, execution->config, err) < 0 ||
        oci_wait_begin(&execution->wait, err) < 0 ||
        oci_launch_begin(launch, &execution->plan, execution->target_fd, -1, execution->console.socket_fd,
                         &execution->cgroups, options->preserve_fds, err) < 0 ||
        oci_launch_answer(launch, "{}", err) < 0 || oci_launch_expect(launch, INIT_CLONED, err) < 0 ||
        oci_launch_answer(launch, "{}", err) < 0 ||
        oci_follow(&execution->follow, launch->sync_fd, launch->pid, state, err) < 0 ||
        oci_console_take(&execution->console, &execution->master_fd, err) < 0)
        return -1;
    return oci_pid_file(options->pid_file, launch->pid, err);
}

static void release(struct execution *execution)
{
    if (execution->target_fd >= 0)
        close(execution->target_fd);
    if (execution->master_fd >= 0)
        close(execution->master_fd);
    oci_launch_close(&execution->launch);
    oci_wait_close(&execution->wait);
    oci_console_close(&execution->console);
    oci_cgroups_close(&execution->cgroups);
    oci_container_release(&execution->container);
    oci_follow_end(&execution->follow);
    buf_release(&execution->plan);
    json_decref(execution->config);
}

static int begin(struct execution *execution, const char *id, char *const *argv, struct err *err)
{
    if (oci_container_open(&execution->container, execution->options->root, id, false, err) < 0 ||
        prepare(execution, argv, err) < 0)
        return -1;
    if (execute(execution, err) == 0)
        return 0;
    oci_launch_abandon(&execution->launch);
    return -1;
}

static int run(struct execution *execution, const char *id, char *const *argv, int *ret_exit_code,
               struct err *err)
{
    const struct oci_options *options = execution->options;
    oci_report_begin(&execution->report, options, "exec", id);
    int result = begin(execution, id, argv, err);
    pid_t pid = execution->launch.pid;
    oci_report_set(&execution->report, "pid", pid > 0 ? json_integer(pid) : NULL);
    if (oci_report_end(&execution->report, "exec", result, err) < 0)
        return -1;
    if (options->detach)
        return 0;
    oci_report_begin(&execution->report, options, "exec", id);
    oci_report_set(&execution->report, "pid", json_integer(pid));
    int code = oci_wait_end(&execution->wait, pid, execution->master_fd, err);
    oci_report_set(&execution->report, "exit_code", code < 0 ? NULL : json_integer(code));
    if (oci_report_end(&execution->report, "exited", code < 0 ? -1 : 0, err) < 0)
        return -1;
    *ret_exit_code = code;
    return 0;
}

int oci_exec(const struct oci_options *options, const char *id, char *const *argv, int *ret_exit_code,
             struct err *err)
{
    struct execution execution = {.options = options,
                                  .container = OCI_CONTAINER_INIT,
                                  .console = OCI_CONSOLE_INIT,
                                  .launch = OCI_LAUNCH_INIT,
                                  .follow = OCI_FOLLOW_INIT,
                                  .wait = OCI_WAIT_INIT,
                                  .target_fd = -1,
                                  .master_fd = -1};
    int result = run(&execution, id, argv, ret_exit_code, err);
    release(&execution);
    return result;
}
