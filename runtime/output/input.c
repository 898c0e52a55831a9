/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a client is given a connection to the shim's socket and talks to the shim from there on, with nobody
 * in between. Only who may use the runtime's socket gets one, since the container's directory is root's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runtime/output/attachment.h"
#include "runtime/shim/streams.h"

#define PROTOCOL "wharf-streams"

static int connect_shim(const struct output *output, const char *id, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_fd int dir_fd = host_container_dir(output->host, id, err);
    if (dir_fd < 0)
        return -1;
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" STREAMS_SOCKET, dir_fd);
    /* Not to be waited for: the loop is everybody's. */
    auto_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return errno == EAGAIN
                   ? err_set(err, ERR_UNAVAILABLE, "too many clients wait to attach to the container's input")
                   : err_sys(err, errno, "cannot reach the container's shim");
    return steal_fd(&fd);
}

/* A client that is to get its connection when that it does is in the container's history for good. */
struct input_work {
    struct output_work base;
    int fd;
};

static void on_durable(void *data)
{
    struct input_work *work = data;
    if (work->base.request != NULL)
        http_reply_descriptor_take(work->base.request, PROTOCOL, work->fd);
    else
        close(work->fd);
    output_work_end(&work->base);
    free(work);
}

/* Of an exec its start has said who it is. */
static void attach_take(struct output *output, struct http_request *request, const char *id, int fd)
{
    struct err err = ERR_INIT;
    struct access access = {
        .container_id = id,
        .access = ACCESS_ATTACH,
        .actor =
            actor_of(&output->actors, http_request_connection(request), http_request_peer(request))->text};
    struct input_work *work = calloc(1, sizeof(*work));
    if (work == NULL) {
        err_nomem(&err, "attaching a client");
    } else {
        work->fd = fd;
        output_work_begin(&work->base, output, request);
        if (worker_access(output->worker, &access, on_durable, work, &err) == 0)
            return;
        http_request_set_data(request, NULL, NULL);
        output_work_end(&work->base);
        free(work);
    }
    close(fd);
    if (err.code == ERR_NOT_FOUND)
        http_reply_problem(request, 409, "not-running", NULL, "%s", err.message);
    else
        http_reply_problem(request, 503, "not-ready", NULL, "%s", err.message);
}

void handle_input(struct http_request *request, void *data)
{
    struct output *output = data;
    const char *id = http_request_param(request, "id");
    const char *upgrade = http_request_header(request, "Upgrade");
    struct err err = ERR_INIT;
    if (!output_check_id(request, id))
        return;
    struct output_process process;
    if (!output_process(output, id, &process)) {
        output_reply_unknown(output, request, "container or exec", id);
        return;
    }
    if (upgrade == NULL || strcasecmp(upgrade, PROTOCOL) != 0) {
        http_reply_header(request, "Upgrade", PROTOCOL);
        http_reply_problem(request, 426, "upgrade-required", NULL,
                           "input goes over a connection of its own: ask with 'Upgrade: " PROTOCOL "'");
        return;
    }
    if (!process.runs) {
        http_reply_problem(request, 409, "not-running", NULL, "%s is not running", process.name);
        return;
    }
    if (!process.interactive && !process.tty) {
        http_reply_problem(request, 409, "no-input", NULL,
                           "%s was created without -i and -t: it takes no input", process.name);
        return;
    }
    int fd = connect_shim(output, id, &err);
    if (fd >= 0 && output_container(output, id) != NULL)
        attach_take(output, request, id, fd);
    else if (fd >= 0)
        http_reply_descriptor_take(request, PROTOCOL, fd);
    else if (err.sys_errno == ECONNREFUSED) /* its end is just not on the log yet */
        http_reply_problem(request, 409, "not-running", NULL, "%s has just ended", process.name);
    else
        http_reply_problem(request, 503, "no-shim", NULL, "%s", err.message);
}
