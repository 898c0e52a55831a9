/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image store. Foreign archives are unpacked, and containers made images of, by a wharf-image process,
 * which answers with one line of JSON on its standard output: {"digest":"sha256:HEX","size":N} or
 * {"error":"..."}. This side only waits for it.
 */
#include "runtime/host_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "runtime/image/serve.h"

#define ANSWER_LIMIT 65536

struct host_import {
    uv_process_t process;
    uv_pipe_t output;
    struct host *host;
    host_imported_cb cb;
    void *data;
    struct buf answer;
    char chunk[1024];
    int64_t exit_status;
    int signal;
    int n_open; /* handles whose close callback is still to come */
    struct err err;
};

static int read_answer(struct host_import *import, struct host_imported *ret)
{
    json_auto_t *document =
        import->answer.size == 0 ? NULL : json_loadb(import->answer.data, import->answer.size, 0, NULL);
    const char *error = json_string_value(json_object_get(document, "error"));
    const char *digest = json_string_value(json_object_get(document, "digest"));
    if (error != NULL)
        return err_set(&import->err, ERR_INVALID, "%s", error);
    if (digest == NULL || check_digest(digest) != NULL || import->exit_status != 0)
        return err_set(&import->err, ERR_INTERNAL,
                       "the import ended without an answer (exit status %lld, signal %d)",
                       (long long)import->exit_status, import->signal);
    snprintf(ret->digest, sizeof(ret->digest), "%s", digest);
    ret->size_bytes = json_integer_value(json_object_get(document, "size"));
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct host_import *import = handle->data;
    if (--import->n_open > 0)
        return;
    struct host *host = import->host;
    struct host_imported imported = {.size_bytes = 0};
    if (import->err.code == ERR_NONE && read_answer(import, &imported) == 0)
        import->cb(&imported, NULL, import->data);
    else
        import->cb(NULL, &import->err, import->data);
    buf_release(&import->answer);
    free(import);
    host_unbusy(host);
}

static void on_process_exit(uv_process_t *process, int64_t exit_status, int signal)
{
    struct host_import *import = process->data;
    import->exit_status = exit_status;
    import->signal = signal;
    uv_close((uv_handle_t *)process, on_handle_closed);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct host_import *import = handle->data;
    (void)suggested;
    *ret = uv_buf_init(import->chunk, sizeof(import->chunk));
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
    struct host_import *import = stream->data;
    if (n > 0 && import->answer.size < ANSWER_LIMIT)
        buf_add(&import->answer, chunk->base, (size_t)n);
    if (n < 0)
        uv_close((uv_handle_t *)stream, on_handle_closed);
}

static int spawn_importer(struct host_import *import, const char *source, int request_fd, int container_fd)
{
    struct host *host = import->host;
    char store[PATH_MAX];
    snprintf(store, sizeof(store), "%s/images", host->state_dir);
    char *imports[] = {host->image_path, "import", (char *)(uintptr_t)source, store, NULL};
    char *commits[] = {host->image_path, "commit", store, NULL};
    uv_stdio_container_t stdio[] = {
        {.flags = source != NULL ? UV_IGNORE : UV_INHERIT_FD, .data.fd = request_fd},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&import->output},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
        [SERVE_FD_CONTROL] = {.flags = UV_IGNORE},
        [SERVE_FD_CONTAINER] = {.flags = UV_INHERIT_FD, .data.fd = container_fd},
    };
    uv_process_options_t options = {
        .exit_cb = on_process_exit,
        .file = host->image_path,
        .args = source != NULL ? imports : commits,
        .stdio_count = source != NULL ? 3 : sizeof(stdio) / sizeof(stdio[0]),
        .stdio = stdio,
    };
    return uv_spawn(host->loop, &import->process, &options);
}

int host_import_begin(struct host *host, const char *source, int request_fd, int container_fd,
                      host_imported_cb cb, void *data, struct err *err)
{
    struct host_import *import = calloc(1, sizeof(*import));
    if (import == NULL)
        return err_nomem(err, "importing an image");
    import->host = host;
    import->cb = cb;
    import->data = data;
    import->process.data = import;
    import->output.data = import;
    import->n_open = 2;
    host->n_busy++;
    uv_pipe_init(host->loop, &import->output, 0);
    int result = spawn_importer(import, source, request_fd, container_fd);
    if (result < 0) {
        /* The answer comes through the close callbacks, so that none runs before this has returned. */
        err_sys(&import->err, -result, "cannot start '%s'", host->image_path);
        uv_close((uv_handle_t *)&import->output, on_handle_closed);
        uv_close((uv_handle_t *)&import->process, on_handle_closed);
        return 0;
    }
    uv_read_start((uv_stream_t *)&import->output, on_allocate, on_output);
    return 0;
}

int host_image_import(struct host *host, const char *source, host_imported_cb cb, void *data, struct err *err)
{
    return host_import_begin(host, source, -1, -1, cb, data, err);
}

struct image_removal {
    uv_work_t work;
    struct host *host;
    char hex[SHA256_HEX_SIZE];
    host_done_cb cb;
    void *data;
    struct err err;
};

/* Renamed first, so that an image is whole or not there. */
static void run_image_removal(uv_work_t *work)
{
    struct image_removal *removal = work->data;
    char away[SHA256_HEX_SIZE + 16];
    snprintf(away, sizeof(away), ".removing-%s", removal->hex);
    if (renameat(removal->host->images_fd, removal->hex, removal->host->images_fd, away) < 0 &&
        errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST) {
        err_sys(&removal->err, errno, "cannot remove the image '%s'", removal->hex);
        return;
    }
    FAULT_POINT(IMAGE_MOVED_ASIDE);
    if (fs_remove_tree(removal->host->images_fd, away, &removal->err) == 0)
        fs_remove_tree(removal->host->images_fd, removal->hex, &removal->err);
}

static void done_image_removal(uv_work_t *work, int status)
{
    (void)status;
    struct image_removal *removal = work->data;
    struct host *host = removal->host;
    removal->cb(removal->err.code != ERR_NONE ? &removal->err : NULL, removal->data);
    free(removal);
    host_unbusy(host);
}

int host_image_remove(struct host *host, const char *digest, host_done_cb cb, void *data, struct err *err)
{
    if (check_digest(digest) != NULL)
        return err_set(err, ERR_INVALID, "'%s' is not an image digest", digest);
    struct image_removal *removal = calloc(1, sizeof(*removal));
    if (removal == NULL)
        return err_nomem(err, "removing an image");
    removal->work.data = removal;
    removal->host = host;
    removal->cb = cb;
    removal->data = data;
    snprintf(removal->hex, sizeof(removal->hex), "%s", strchr(digest, ':') + 1);
    host->n_busy++;
    uv_queue_work(host->loop, &removal->work, run_image_removal, done_image_removal);
    return 0;
}

int host_images(const struct host *host, struct strings *ret, struct err *err)
{
    char digest[7 + SHA256_HEX_SIZE];
    int fd = openat(host->images_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL)
        return err_sys(err, errno, "cannot list the images in '%s/images'", host->state_dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int length = snprintf(digest, sizeof(digest), "sha256:%s", entry->d_name);
        if (length == (int)sizeof(digest) - 1 && check_digest(digest) == NULL && strings_add(ret, digest) < 0)
            return err_nomem(err, "listing the images");
    }
    return 0;
}

bool host_image_exists(const struct host *host, const char *digest)
{
    char path[SHA256_HEX_SIZE + 16];
    if (check_digest(digest) != NULL || host->images_fd < 0)
        return false;
    snprintf(path, sizeof(path), "%s/rootfs", strchr(digest, ':') + 1);
    return faccessat(host->images_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}
