/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The happy path: of a container that runs, begin_process at once, with a pidfd; of one that does not, an
 * operation of the container's that comes to its turn (on_turn), makes what is to be mounted (run_layers, on
 * a pool thread), starts the process and holds its turn until the process has ended. Then the process's one
 * line (on_output), which is the answer.
 *
 * Failure modes: a container whose state has changed by its turn, or an archive that was ended meanwhile, is
 * answered so; a process that ends without its line too.
 */
#include "runtime/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/memfd.h"
#include "runtime/host_linux.h"
#include "runtime/image/serve.h"

#define ANSWER_LIMIT 65536

struct host_archive {
    struct host_op op; /* of a container that does not run */
    bool has_turn;
    struct host *host;
    char container_id[CONTAINER_ID_SIZE];
    struct container_spec spec; /* for what is to be mounted */
    char image_hex[SHA256_HEX_SIZE];
    enum access_kind access;
    json_t *request;
    int container_fd;
    int control_fd; /* ours, until it is given away */
    uv_process_t process;
    uv_pipe_t output;
    bool spawned;
    int n_open;
    bool ended; /* by a start, a removal, or the end of all */
    bool answered;
    struct buf answer;
    char chunk[1024];
    archive_ready_cb cb;
    void *data;
    struct err err;
    struct host_archive *next; /* host->archives */
};

/* --- the answer --- */

static void answer(struct host_archive *archive, int status, const char *message)
{
    if (archive->answered)
        return;
    archive->answered = true;
    archive->cb(status == 200 ? steal_fd(&archive->control_fd) : -1, status, message, archive->data);
}

static void answer_failure(struct host_archive *archive)
{
    if (archive->ended)
        answer(archive, 409, "the container was started or removed meanwhile");
    else
        answer(archive, archive->err.code == ERR_NOT_FOUND ? 409 : 500, archive->err.message);
}

static void free_archive(struct host_archive *archive)
{
    struct host *host = archive->host;
    struct host_archive **at = &host->archives;
    while (*at != archive)
        at = &(*at)->next;
    *at = archive->next;
    if (archive->container_fd >= 0)
        close(archive->container_fd);
    if (archive->control_fd >= 0)
        close(archive->control_fd);
    buf_release(&archive->answer);
    json_decref(archive->request);
    schema_release(&container_spec_schema, &archive->spec);
    bool has_turn = archive->has_turn;
    if (has_turn)
        host_op_finish(&archive->op);
    free(archive);
    if (!has_turn)
        host_unbusy(host);
}

static void on_line(struct host_archive *archive)
{
    json_auto_t *document =
        archive->answer.size > 0 ? json_loadb(archive->answer.data, archive->answer.size, 0, NULL) : NULL;
    const char *error = json_string_value(json_object_get(document, "error"));
    json_int_t status = json_integer_value(json_object_get(document, "status"));
    if (json_is_true(json_object_get(document, "ready")) && !archive->ended)
        answer(archive, 200, "");
    else if (error != NULL && status >= 400 && status < 600)
        answer(archive, (int)status, error);
    else if (archive->ended)
        answer_failure(archive);
    else
        answer(archive, 500, "the process for the archive ended without an answer");
}

/* --- the process --- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct host_archive *archive = handle->data;
    if (--archive->n_open > 0)
        return;
    if (archive->err.code != ERR_NONE)
        answer_failure(archive);
    free_archive(archive);
}

static void on_process_exit(uv_process_t *process, int64_t exit_status, int signal)
{
    (void)exit_status;
    (void)signal;
    ((struct host_archive *)process->data)->spawned = false;
    uv_close((uv_handle_t *)process, on_handle_closed);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct host_archive *archive = handle->data;
    (void)suggested;
    *ret = uv_buf_init(archive->chunk, sizeof(archive->chunk));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
    struct host_archive *archive = stream->data;
    if (n > 0 && archive->answer.size < ANSWER_LIMIT)
        buf_add(&archive->answer, chunk->base, (size_t)n);
    if (n < 0) {
        on_line(archive);
        uv_close((uv_handle_t *)stream, on_handle_closed);
    }
}

static int spawn(struct host_archive *archive, int request_fd, int control_fd)
{
    struct host *host = archive->host;
    char *argv[] = {host->image_path, "serve", NULL};
    uv_stdio_container_t stdio[] = {
        {.flags = UV_INHERIT_FD, .data.fd = request_fd},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&archive->output},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
        [SERVE_FD_CONTROL] = {.flags = UV_INHERIT_FD, .data.fd = control_fd},
        [SERVE_FD_CONTAINER] = {.flags = UV_INHERIT_FD, .data.fd = archive->container_fd},
    };
    uv_process_options_t options = {
        .exit_cb = on_process_exit,
        .file = host->image_path,
        .args = argv,
        .stdio_count = sizeof(stdio) / sizeof(stdio[0]),
        .stdio = stdio,
    };
    int result = uv_spawn(host->loop, &archive->process, &options);
    return result < 0 ? err_sys(&archive->err, -result, "cannot start '%s'", host->image_path) : 0;
}

static int start_process(struct host_archive *archive)
{
    int pair[2];
    auto_free char *text = json_dumps(archive->request, JSON_COMPACT);
    auto_fd int request_fd =
        text != NULL ? memfd_sealed("wharf-request", text, strlen(text), &archive->err) : -1;
    if (text == NULL)
        return err_nomem(&archive->err, "asking for an archive");
    if (request_fd < 0 || lseek(request_fd, 0, SEEK_SET) < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(&archive->err, errno, "cannot make a socket");
    archive->control_fd = pair[0];
    auto_fd int theirs_fd = pair[1];
    return spawn(archive, request_fd, theirs_fd);
}

/* Whatever comes of it, the answer comes through the close callbacks, and so never before the caller has
 * returned. */
static void begin_process(struct host_archive *archive)
{
    archive->process.data = archive;
    archive->output.data = archive;
    archive->n_open = 2;
    uv_pipe_init(archive->host->loop, &archive->output, 0);
    if (start_process(archive) < 0) {
        if (archive->process.type != UV_PROCESS) /* it did not come to uv_spawn, which makes it a handle */
            archive->n_open--;
        else
            uv_close((uv_handle_t *)&archive->process, on_handle_closed);
        uv_close((uv_handle_t *)&archive->output, on_handle_closed);
        return;
    }
    archive->spawned = true;
    uv_read_start((uv_stream_t *)&archive->output, on_allocate, on_output);
}

/* --- of a container that does not run --- */

static int open_image(const struct host *host, const char *image_hex, struct err *err)
{
    char path[SHA256_HEX_SIZE + 16];
    snprintf(path, sizeof(path), "%s/rootfs", image_hex);
    int fd = openat(host->images_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd
                   : err_set(err, ERR_NOT_FOUND,
                             "the contents of the container's image are not on this host: import it again");
}

int host_open_layers(const struct host *host, const char *container_id, const char *image_hex,
                     struct err *err)
{
    auto_fd int image_fd = open_image(host, image_hex, err);
    if (image_fd < 0)
        return -1;
    if (mkdirat(host->containers_fd, container_id, 0710) < 0 && errno != EEXIST)
        return err_sys(err, errno, "cannot make the container's directory in '%s'", host->state_dir);
    auto_fd int dir_fd = host_container_dir(host, container_id, err);
    if (dir_fd < 0)
        return -1;
    /* A volatile overlay may not be mounted again unless its work directory is new. */
    if (fs_remove_tree(dir_fd, "work", err) < 0)
        return -1;
    if ((mkdirat(dir_fd, "upper", 0755) < 0 && errno != EEXIST) || mkdirat(dir_fd, "work", 0700) < 0)
        return err_sys(err, errno, "cannot make the container's layers");
    return steal_fd(&dir_fd);
}

static void run_layers(struct host_op *op)
{
    struct host_archive *archive = (struct host_archive *)op;
    const struct host *host = archive->host;
    archive->container_fd = host_open_layers(host, archive->container_id, archive->image_hex, &archive->err);
    if (archive->container_fd < 0 || archive->access != ACCESS_COPY_IN)
        return;
    auto_fd int image_fd = open_image(host, archive->image_hex, &archive->err);
    if (image_fd >= 0)
        host_prepare_mounts(host, archive->container_id, image_fd, &archive->spec, &archive->err);
}

static void done_layers(struct host_op *op)
{
    struct host_archive *archive = (struct host_archive *)op;
    if (archive->err.code == ERR_NONE && !archive->ended) {
        begin_process(archive);
        return;
    }
    answer_failure(archive);
    free_archive(archive);
}

static void on_turn(struct host_op *op)
{
    struct host_archive *archive = (struct host_archive *)op;
    bool runs = op->container->state == HOST_CONTAINER_RUNNING;
    if (runs || archive->ended) {
        archive->ended = true;
        done_layers(op);
        return;
    }
    op->run = run_layers;
    op->done = done_layers;
    host_op_continue(op);
}

/* --- the caller's side --- */

/* The shorter path first, so that what is mounted in another comes behind it. */
static int add_mount(const struct host *host, const struct container_mount *mount, json_t *list)
{
    bool is_volume = strcmp(mount->type, "volume") == 0;
    auto_free char *source = NULL;
    if (!is_volume && strcmp(mount->type, "bind") != 0)
        return 0;
    if (asprintf(&source, "%s%s%s", is_volume ? host->volumes_dir : "", is_volume ? "/" : "", mount->source) <
        0) {
        source = NULL;
        return -1;
    }
    size_t at = 0;
    while (at < json_array_size(list) &&
           json_string_length(json_object_get(json_array_get(list, at), "target")) <= strlen(mount->target))
        at++;
    return json_array_insert_new(list, at,
                                 json_pack("{s:s, s:s, s:b}", "source", source, "target", mount->target,
                                           "read_only", mount->read_only));
}

/* What lasts of the mounts; NULL when memory runs out. */
static json_t *describe_mounts(const struct host *host, const struct container_spec *spec)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < spec->mounts.n; i++) {
        if (add_mount(host, container_spec_mount(spec, i), list) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *describe_request(const struct host *host, const struct archive_request *request,
                                const char *image_hex)
{
    static const char *const names[] = {
        [ACCESS_COPY_IN] = "in", [ACCESS_COPY_OUT] = "out", [ACCESS_EXPORT] = "export"};
    bool mounts = !request->running && request->access != ACCESS_EXPORT;
    return json_pack("{s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:s, s:o}", "access", names[request->access],
                     "path", request->path, "follow", request->follow, "keep_owner", request->keep_owner,
                     "any_archive", request->any_archive, "running", request->running, "own_users",
                     request->spec->id_size != SCHEMA_ABSENT, "image", image_hex, "mounts",
                     mounts ? describe_mounts(host, request->spec) : json_array());
}

static struct host_archive *archive_new(struct host *host, const struct archive_request *request)
{
    struct host_archive *archive = calloc(1, sizeof(*archive));
    const char *colon = strchr(request->image_digest, ':');
    if (archive == NULL)
        return NULL;
    archive->host = host;
    archive->container_fd = archive->control_fd = -1;
    archive->access = request->access;
    snprintf(archive->container_id, sizeof(archive->container_id), "%s", request->container_id);
    snprintf(archive->image_hex, sizeof(archive->image_hex), "%s", colon != NULL ? colon + 1 : "");
    archive->request = describe_request(host, request, archive->image_hex);
    if (archive->request == NULL || schema_copy(&container_spec_schema, &archive->spec, request->spec) < 0) {
        json_decref(archive->request);
        free(archive);
        return NULL;
    }
    archive->next = host->archives;
    host->archives = archive;
    return archive;
}

int archive_open(struct host *host, const struct archive_request *request, archive_ready_cb cb, void *data,
                 struct err *err)
{
    struct host_container *container = host_container_get(host, request->container_id);
    struct host_archive *archive = container != NULL ? archive_new(host, request) : NULL;
    if (archive == NULL)
        return err_nomem(err, "asking for an archive");
    archive->cb = cb;
    archive->data = data;
    if (!request->running) {
        archive->has_turn = true;
        archive->op.done = on_turn;
        host_op_begin(host, container, &archive->op);
        return 0;
    }
    host->n_busy++;
    if (container->state == HOST_CONTAINER_RUNNING && container->record.incarnation == request->incarnation)
        archive->container_fd = host_open_process(container->record.pid, container->record.pid_start);
    if (archive->container_fd < 0) {
        /* the news is on its way */
        err_set(&archive->err, ERR_NOT_FOUND, "the container has just ended: try again");
        archive->process.data = archive->output.data = archive;
        archive->n_open = 1;
        uv_pipe_init(host->loop, &archive->output, 0);
        uv_close((uv_handle_t *)&archive->output, on_handle_closed);
        return 0;
    }
    begin_process(archive);
    return 0;
}

void archives_end(struct host *host, const char *container_id)
{
    for (struct host_archive *each = host->archives; each != NULL; each = each->next) {
        if (container_id != NULL && strcmp(each->container_id, container_id) != 0)
            continue;
        each->ended = true;
        if (each->spawned)
            uv_process_kill(&each->process, SIGKILL);
    }
}
