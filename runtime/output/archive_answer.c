/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies into and out of containers, and exports. The happy path: a process looks at the path (archive_open),
 * the copy goes into the container's history (worker_access), and when it is there for good the client is
 * given a connection to the process: nothing flows that is not on the log.
 *
 * A client that goes away before ends it: closing the connection ends the process.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "runtime/archive.h"
#include "runtime/output/attachment.h"

#define PROTOCOL "wharf-archive"

struct archive_work {
    struct output_work base;
    char container_id[CONTAINER_ID_SIZE];
    enum access_kind access;
    char *path;
    char actor[ACTOR_SIZE];
    int control_fd;
};

static void end_work(struct archive_work *work)
{
    if (work->control_fd >= 0)
        close(work->control_fd);
    free(work->path);
    output_work_end(&work->base);
    free(work);
}

static void fail_work(struct archive_work *work, int status, const char *message)
{
    const char *code = status == 404   ? "unknown-path"
                       : status == 409 ? "conflict"
                       : status == 400 ? "bad-value"
                       : status == 503 ? "not-ready"
                                       : "archive-failed";
    if (work->base.request != NULL)
        http_reply_problem(work->base.request, (unsigned)status, code, NULL, "%s", message);
    end_work(work);
}

static void on_durable(void *data)
{
    struct archive_work *work = data;
    if (work->base.request != NULL) {
        http_reply_descriptor_take(work->base.request, PROTOCOL, work->control_fd);
        work->control_fd = -1;
    }
    end_work(work);
}

static void on_archive_ready(int control_fd, int status, const char *message, void *data)
{
    struct archive_work *work = data;
    struct err err = ERR_INIT;
    struct access access = {
        .container_id = work->container_id, .access = work->access, .path = work->path, .actor = work->actor};
    work->control_fd = control_fd;
    if (control_fd < 0 || work->base.request == NULL)
        fail_work(work, status, message);
    else if (work->base.output->worker == NULL)
        fail_work(work, 503, "the runtime is ending");
    else if (worker_access(work->base.output->worker, &access, on_durable, work, &err) < 0)
        fail_work(work, err.code == ERR_NOT_FOUND ? 409 : 503, err.message);
}

static bool is_set(const struct http_request *request, const char *name)
{
    const char *value = http_request_query(request, name);
    return value != NULL && strcmp(value, "1") == 0;
}

/* Whether the request is one that can be carried out; answered if not. */
static bool check(struct http_request *request, const struct output *output,
                  const struct container **ret_container)
{
    const char *id = http_request_param(request, "id");
    const char *upgrade = http_request_header(request, "Upgrade");
    if (!output_check_id(request, id))
        return false;
    *ret_container = output_container(output, id);
    if (*ret_container == NULL) {
        output_reply_unknown(output, request, "container", id);
    } else if (!output->ready) {
        http_reply_problem(request, 503, "not-ready", NULL, "the runtime is still reading its log");
    } else if (upgrade == NULL || strcasecmp(upgrade, PROTOCOL) != 0) {
        http_reply_header(request, "Upgrade", PROTOCOL);
        http_reply_problem(request, 426, "upgrade-required", NULL,
                           "archives go over a connection of their own: ask with 'Upgrade: " PROTOCOL "'");
    } else {
        return true;
    }
    return false;
}

/* It goes into the log, which is UTF-8. */
static bool check_path(struct http_request *request, const char *path)
{
    json_t *text = path != NULL ? json_string(path) : NULL;
    if (text == NULL || path[0] == '\0')
        http_reply_problem(request, 400, "bad-value", NULL, "a path in the container is needed, in UTF-8");
    json_decref(text);
    return text != NULL && path[0] != '\0';
}

static void begin(struct output *output, struct http_request *request, const struct container *container,
                  enum access_kind access, const char *path)
{
    struct err err = ERR_INIT;
    struct archive_work *work = calloc(1, sizeof(*work));
    char *copy = strdup(path);
    if (work == NULL || copy == NULL) {
        free(work);
        free(copy);
        http_reply_problem(request, 500, "out-of-memory", NULL, "out of memory while preparing an archive");
        return;
    }
    *work = (struct archive_work){.access = access, .path = copy, .control_fd = -1};
    memcpy(work->container_id, container->id, sizeof(work->container_id));
    snprintf(work->actor, sizeof(work->actor), "%s",
             actor_of(&output->actors, http_request_connection(request), http_request_peer(request))->text);
    struct archive_request archive = {.container_id = work->container_id,
                                      .running = container_state_is_running(container->state),
                                      .incarnation = container->incarnation,
                                      .spec = &container->spec,
                                      .image_digest = container->image_digest,
                                      .access = access,
                                      .path = copy,
                                      .follow = is_set(request, "follow"),
                                      .keep_owner = is_set(request, "owner"),
                                      .any_archive = is_set(request, "any")};
    output_work_begin(&work->base, output, request);
    if (archive_open(output->host, &archive, on_archive_ready, work, &err) < 0)
        fail_work(work, 500, err.message);
}

static void handle_copy(struct http_request *request, struct output *output, enum access_kind access)
{
    const struct container *container;
    const char *path = http_request_query(request, "path");
    if (check(request, output, &container) && check_path(request, path))
        begin(output, request, container, access, path);
}

void handle_copy_out(struct http_request *request, void *data)
{
    handle_copy(request, data, ACCESS_COPY_OUT);
}

void handle_copy_in(struct http_request *request, void *data)
{
    handle_copy(request, data, ACCESS_COPY_IN);
}

void handle_export(struct http_request *request, void *data)
{
    const struct container *container;
    struct output *output = data;
    if (check(request, output, &container))
        begin(output, request, container, ACCESS_EXPORT, "/.");
}
