/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of containers: one process packs the container's root, another imports the stream
 * (runtime/image/commit.h). On a pool thread before: the container is suspended, with a file `commit` in its
 * directory that tells the next start of the runtime to let it go on, or the layers of one that does not run
 * are made ready. On a pool thread afterwards: it goes on.
 */
#include "runtime/host_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/memfd.h"

#define MARK "commit" /* in the container's directory, while it is suspended for a commit */

struct commit_op {
    struct host_op op;
    bool running;
    bool own_users;
    bool pause;
    bool paused;
    char image_hex[SHA256_HEX_SIZE];
    int container_fd; /* a pidfd, or the container's directory */
    int request_fd;
    struct host_imported imported;
    struct err err;
    host_imported_cb cb;
    void *data;
};

void host_commit_undo(const struct host *host, const char *container_id, int dir_fd)
{
    if (faccessat(dir_fd, MARK, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    struct host_cgroup cgroup;
    host_cgroup_open(host, container_id, &cgroup);
    cgroup_thaw(cgroup.layout, cgroup.name);
    host_cgroup_close(&cgroup);
    unlinkat(dir_fd, MARK, 0);
}

/* The mark first: whatever ends us, the container goes on. */
static int suspend(struct commit_op *commit)
{
    const char *id = commit->op.container->id;
    auto_fd int dir_fd = host_container_dir(commit->op.host, id, &commit->err);
    if (dir_fd < 0)
        return -1;
    auto_fd int fd = openat(dir_fd, MARK, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(&commit->err, errno, "cannot write '" MARK "' in the container's directory");
    commit->paused = true;
    FAULT_POINT(COMMIT_MARKED);
    struct host_cgroup cgroup;
    host_cgroup_open(commit->op.host, id, &cgroup);
    int frozen = cgroup_freeze(cgroup.layout, cgroup.name, true, &commit->err);
    host_cgroup_close(&cgroup);
    FAULT_POINT(COMMIT_PAUSED);
    return frozen < 0 ? err_wrap(&commit->err, "cannot pause the container meanwhile") : 0;
}

static int make_request(struct commit_op *commit)
{
    json_auto_t *request = json_pack("{s:s, s:s, s:b, s:b, s:s, s:[]}", "access", "export", "path", "/.",
                                     "running", (int)commit->running, "own_users", (int)commit->own_users,
                                     "image", commit->image_hex, "mounts");
    auto_free char *text = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
    if (text == NULL)
        return err_nomem(&commit->err, "making an image");
    commit->request_fd = memfd_sealed("wharf-request", text, strlen(text), &commit->err);
    return commit->request_fd >= 0 && lseek(commit->request_fd, 0, SEEK_SET) == 0 ? 0 : -1;
}

static void run_begin(struct host_op *op)
{
    struct commit_op *commit = (struct commit_op *)op;
    if (make_request(commit) < 0)
        return;
    if (!commit->running)
        commit->container_fd = host_open_layers(op->host, op->container->id, commit->image_hex, &commit->err);
    else if (commit->pause)
        suspend(commit);
}

static void run_end(struct host_op *op)
{
    struct commit_op *commit = (struct commit_op *)op;
    auto_fd int dir_fd = host_container_dir(op->host, op->container->id, NULL);
    if (commit->paused && dir_fd >= 0)
        host_commit_undo(op->host, op->container->id, dir_fd);
}

static void done_end(struct host_op *op)
{
    struct commit_op *commit = (struct commit_op *)op;
    struct host *host = op->host;
    bool failed = commit->err.code != ERR_NONE;
    host->n_busy++; /* the callback may close the host */
    commit->cb(failed ? NULL : &commit->imported, failed ? &commit->err : NULL, commit->data);
    host_op_finish(op);
    if (commit->container_fd >= 0)
        close(commit->container_fd);
    if (commit->request_fd >= 0)
        close(commit->request_fd);
    free(commit);
    host_unbusy(host);
}

static void end(struct commit_op *commit)
{
    commit->op.run = run_end;
    commit->op.done = done_end;
    host_op_continue(&commit->op);
}

static void on_imported(const struct host_imported *imported, const struct err *err, void *data)
{
    struct commit_op *commit = data;
    if (err != NULL)
        commit->err = *err;
    else
        commit->imported = *imported;
    end(commit);
}

static void done_begin(struct host_op *op)
{
    struct commit_op *commit = (struct commit_op *)op;
    if (commit->err.code != ERR_NONE ||
        host_import_begin(op->host, NULL, commit->request_fd, commit->container_fd, on_imported, commit,
                          &commit->err) < 0)
        end(commit);
}

/* Its turn has come: who it is by now, the loop knows. */
static void on_turn(struct host_op *op)
{
    struct commit_op *commit = (struct commit_op *)op;
    const struct host_container *container = op->container;
    bool runs = container->state == HOST_CONTAINER_RUNNING;
    if (commit->running && runs)
        commit->container_fd = host_open_process(container->record.pid, container->record.pid_start);
    if (runs != commit->running || (runs && commit->container_fd < 0)) {
        err_set(&commit->err, ERR_CONFLICT, "the container was started or has ended meanwhile: try again");
        end(commit);
        return;
    }
    op->run = run_begin;
    op->done = done_begin;
    host_op_continue(op);
}

int host_commit(struct host *host, const struct host_commit *commit, host_imported_cb cb, void *data,
                struct err *err)
{
    struct host_container *container = host_container_get(host, commit->container_id);
    struct commit_op *op = calloc(1, sizeof(*op));
    const char *colon = strchr(commit->image_digest, ':');
    if (container == NULL || op == NULL) {
        free(op);
        return err_nomem(err, "making an image");
    }
    snprintf(op->image_hex, sizeof(op->image_hex), "%s", colon != NULL ? colon + 1 : "");
    op->running = commit->incarnation > 0;
    op->own_users = commit->own_users;
    op->pause = commit->pause;
    op->container_fd = op->request_fd = -1;
    op->cb = cb;
    op->data = data;
    op->op.adjusts = true;
    op->op.done = on_turn;
    host_op_begin(host, container, &op->op);
    return 0;
}
