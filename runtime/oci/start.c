/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/oci/create.h"
#include "runtime/oci/follow.h"
#include "runtime/oci/hooks.h"
#include "runtime/oci/report.h"
#include "runtime/oci/state.h"
#include "runtime/oci/wait.h"

static int connect_to_init(const struct oci_container *container, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/start.sock", container->dir_fd);
    auto_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return err_sys(err, errno, "cannot reach the container's first process");
    return steal_fd(&fd);
}

static void end_process(const struct oci_container *container)
{
    auto_fd int process_fd = oci_container_process(container);
    if (process_fd >= 0)
        pidfd_send_signal(process_fd, SIGKILL, NULL, 0);
}

static int let_go(const struct oci_container *container, const json_t *config, json_t *state, struct err *err)
{
    auto_free char *text = json_dumps(state, JSON_COMPACT);
    auto_follow struct oci_follow follow = OCI_FOLLOW_INIT;
    if (text == NULL)
        return err_nomem(err, "starting a container");
    if (oci_follow_begin(&follow, config, err) < 0)
        return -1;
    auto_fd int fd = connect_to_init(container, err);
    if (fd < 0)
        return -1;
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        return err_sys(err, errno, "cannot tell the container's first process to start");
    if (oci_follow(&follow, fd, oci_container_pid(container), state, err) == 0)
        return 0;
    /* It may run already, with a filter that nobody answers for. */
    end_process(container);
    return -1;
}

static int start(const struct oci_options *options, const char *id, struct err *err)
{
    auto_container struct oci_container container = OCI_CONTAINER_INIT;
    if (oci_container_open(&container, options->root, id, true, err) < 0)
        return -1;
    enum oci_status status = oci_container_status(&container);
    if (status != OCI_CREATED)
        return err_set(err, ERR_CONFLICT, "cannot start the container '%s': it is not created but %s", id,
                       oci_status_name(status));
    json_auto_t *config = oci_container_config(&container, err);
    if (config == NULL)
        return -1;
    if (json_object_get(config, "process") == NULL)
        return err_set(err, ERR_INVALID,
                       "cannot start the container '%s': its configuration has no 'process'", id);
    json_auto_t *state = oci_container_state(&container, OCI_CREATED);
    if (state == NULL)
        return err_nomem(err, "starting a container");
    if (let_go(&container, config, state, err) < 0)
        return err_wrap(err, "cannot start the container '%s'", id);
    json_auto_t *running = oci_container_state(&container, OCI_RUNNING);
    oci_hooks_run_all(config, "poststart", running, options->warn);
    return 0;
}

int oci_start(const struct oci_options *options, const char *id, struct err *err)
{
    struct oci_report report;
    oci_report_begin(&report, options, "start", id);
    return oci_report_end(&report, "started", start(options, id, err), err);
}

/* --- run --- */

static int run(const struct oci_options *options, const char *id, struct oci_wait *wait, int *ret_exit_code,
               struct err *err)
{
    struct oci_made made = {.master_fd = -1};
    struct oci_options forced = *options;
    forced.force = true;
    if (oci_wait_begin(wait, err) < 0 || oci_make_container(options, id, !options->detach, &made, err) < 0)
        return -1;
    auto_fd int master_fd = made.master_fd;
    if (oci_start(options, id, err) < 0) {
        oci_delete(&forced, id, NULL);
        return -1;
    }
    if (options->detach)
        return 0;
    struct oci_report report;
    oci_report_begin(&report, options, "run", id);
    int code = oci_wait_end(wait, made.pid, master_fd, err);
    oci_report_set(&report, "exit_code", code < 0 ? NULL : json_integer(code));
    if (oci_report_end(&report, "exited", code < 0 ? -1 : 0, err) < 0)
        return -1;
    *ret_exit_code = code;
    return oci_delete(&forced, id, err);
}

int oci_run(const struct oci_options *options, const char *id, int *ret_exit_code, struct err *err)
{
    struct oci_wait wait = OCI_WAIT_INIT;
    *ret_exit_code = 0;
    int result = run(options, id, &wait, ret_exit_code, err);
    oci_wait_close(&wait);
    return result;
}
