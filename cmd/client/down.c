/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/say.h"
#include "cmd/client/api.h"
#include "cmd/client/stack.h"

#define DOWN_TIMEOUT_MS 90000

struct down_options {
    bool stop;
};

static const struct option_row rows[] = {
    OPTION_ROW(down_options, stop, 0, "stop", NULL, OPTION_FLAG,
               "stop the containers first; otherwise they go on running"),
    OPTION_END};

static json_t *make_stop(const char *container, const void *options)
{
    (void)options;
    return json_pack("{s:s}", "container", container);
}

/* Those of this stack's node: on a log that nodes share there are others. */
static int list_containers(const struct client *client, json_t **ret, struct err *err)
{
    auto_buf struct buf target = BUF_INIT;
    buf_add_string(&target, "/v1/containers?consistent=1&limit=100000&state=running&state=paused"
                            "&state=stopping&state=restarting&node=");
    http_add_encoded(&target, client->config.node);
    if (target.failed)
        return err_nomem(err, "listing containers");
    return api_get(client, API_QUERY, target.data, ret, NULL, err);
}

static void free_refs(char ***refs)
{
    for (char **at = *refs; at != NULL && *at != NULL; at++)
        free(*at);
    free(*refs);
}

#define auto_refs __attribute__((cleanup(free_refs)))

static int stop_containers(const struct client *client, struct err *err)
{
    json_auto_t *answer = NULL;
    if (list_containers(client, &answer, err) < 0)
        return -1;
    const json_t *containers = json_object_get(answer, "containers");
    size_t n = json_array_size(containers);
    auto_refs char **refs = calloc(n + 1, sizeof(*refs));
    if (refs == NULL)
        return err_nomem(err, "stopping containers");
    for (size_t i = 0; i < n; i++) {
        const char *id = json_text(json_array_get(containers, i), "id", "");
        if (asprintf(&refs[i], "%s/%s", client->config.node, id) < 0) {
            refs[i] = NULL;
            return err_nomem(err, "stopping containers");
        }
    }
    const struct api_each each = {.type = "container.stop", .verb = "stop", .make_data = make_stop};
    return api_for_each(client, &each, (int)n, refs) == 0
               ? 0
               : err_set(err, ERR_CONFLICT, "not all containers could be stopped: the stack stays up");
}

/* The holder of the lock is the supervisor. The pidfd pins the process; that the lock is still held
 * afterwards, by the same pid, shows that it is the right one. */
static int end_supervisor(const struct config *config, pid_t holder, struct err *err)
{
    auto_fd int pidfd = (int)syscall(SYS_pidfd_open, holder, 0);
    auto_fd int lock_fd = -1;
    pid_t again = 0;
    int rc = stack_lock(config->run_dir, false, &lock_fd, &again, err);
    if (rc <= 0)
        return rc;
    if (pidfd < 0 || again != holder)
        return err_set(err, ERR_CONFLICT, "the stack in '%s' changed hands just now: try again",
                       config->run_dir);
    if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
        return err_sys(err, errno, "cannot end process %d, which runs the stack", (int)holder);
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&wait, 1, DOWN_TIMEOUT_MS);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return err_set(err, ERR_TIMEOUT, "process %d, which runs the stack, did not end within %d seconds",
                       (int)holder, DOWN_TIMEOUT_MS / 1000);
    return 0;
}

static int end_stack(const struct config *config, struct err *err)
{
    auto_fd int lock_fd = -1;
    pid_t holder = 0;
    int rc = stack_lock(config->run_dir, false, &lock_fd, &holder, err);
    if (rc > 0)
        return end_supervisor(config, holder, err);
    if (rc < 0 && err->code != ERR_NOT_FOUND)
        return -1;
    int left = rc == 0 ? stack_end_leftovers(config->run_dir) : 0;
    if (left > 0)
        say_info("the stack in '%s' was not supervised any more; ended %d processes it had left",
                 config->run_dir, left);
    else
        say_info("the stack in '%s' is not running", config->run_dir);
    return 0;
}

static int down(struct client *client, const void *values, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    const struct down_options *options = values;
    struct err err = ERR_INIT;
    int rc = options->stop ? stack_take_settings(&client->config, &err) : 0;
    if (rc == 0 && options->stop)
        rc = stop_containers(client, &err);
    if (rc == 0)
        rc = end_stack(&client->config, &err);
    if (rc == 0)
        return 0;
    say_error("%s", err.message);
    return 1;
}

const struct verb verb_down = {
    .name = "down",
    .group = VERB_STACK,
    .synopsis = "",
    .summary = "end the local stack; containers go on running",
    .options = rows,
    .options_size = sizeof(struct down_options),
    .execute = down,
};
