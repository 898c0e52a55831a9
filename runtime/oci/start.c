/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/oci/create.h"
#include "runtime/oci/hooks.h"
#include "runtime/oci/launch.h"
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

/* End of file: the command is executed. */
static int let_go(const struct oci_container *container, const char *state, struct err *err)
{
    struct init_message message;
    auto_fd int fd = connect_to_init(container, err);
    if (fd < 0)
        return -1;
    if (send(fd, state, strlen(state), MSG_NOSIGNAL) != (ssize_t)strlen(state))
        return err_sys(err, errno, "cannot tell the container's first process to start");
    ssize_t n;
    do {
        n = recv(fd, &message, sizeof(message), 0);
    } while (n < 0 && errno == EINTR);
    if (n == 0)
        return 0;
    if (n != (ssize_t)sizeof(message))
        return err_set(err, ERR_PROTOCOL, "the container's first process ended before its command ran");
    message.failure.subject[sizeof(message.failure.subject) - 1] = '\0';
    return oci_launch_explain(&message.failure, err);
}

int oci_start(const struct oci_options *options, const char *id, struct err *err)
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
    auto_free char *text = state == NULL ? NULL : json_dumps(state, JSON_COMPACT);
    if (text == NULL)
        return err_nomem(err, "starting a container");
    if (let_go(&container, text, err) < 0)
        return err_wrap(err, "cannot start the container '%s'", id);
    json_auto_t *running = oci_container_state(&container, OCI_RUNNING);
    oci_hooks_run_all(config, "poststart", running, options->warn);
    return 0;
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
    int code = oci_wait_end(wait, made.pid, master_fd, err);
    if (code < 0)
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
