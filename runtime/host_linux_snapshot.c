/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot's file, STATE_DIR/snapshot, and those that were put aside: STATE_DIR/snapshot.aside-TIME.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/timestamp.h"
#include "runtime/host_linux.h"

#define NAME "snapshot"
#define TEMPORARY_PREFIX NAME ".tmp"
#define ASIDE_PREFIX NAME ".aside-"
#define ASIDE_KEPT 3
#define SIZE_LIMIT_BYTES (2UL * 1024 * 1024 * 1024)

struct snapshot_write {
    uv_work_t work;
    struct host *host;
    void *bytes;
    size_t size;
    host_done_cb cb;
    void *data;
    struct err err;
};

static int snapshot_path(const struct host *host, char ret[PATH_MAX], struct err *err)
{
    if (snprintf(ret, PATH_MAX, "%s/" NAME, host->state_dir) >= PATH_MAX)
        return err_sys(err, ENAMETOOLONG, "cannot use the directory '%s'", host->state_dir);
    return 0;
}

static void run_write(uv_work_t *work)
{
    struct snapshot_write *write = work->data;
    char path[PATH_MAX];
    FAULT_POINT(SNAPSHOT_BEGUN);
    if (snapshot_path(write->host, path, &write->err) == 0)
        fs_write_file(AT_FDCWD, path, 0600, write->bytes, write->size, true, &write->err);
    FAULT_POINT(SNAPSHOT_WRITTEN);
}

static void done_write(uv_work_t *work, int status)
{
    (void)status;
    struct snapshot_write *write = work->data;
    struct host *host = write->host;
    write->cb(write->err.code != ERR_NONE ? &write->err : NULL, write->data);
    free(write->bytes);
    free(write);
    host_unbusy(host);
}

int host_snapshot_write(struct host *host, const void *bytes, size_t size, host_done_cb cb, void *data,
                        struct err *err)
{
    struct snapshot_write *write = calloc(1, sizeof(*write));
    void *copy = malloc(size);
    if (write == NULL || copy == NULL) {
        free(write);
        free(copy);
        return err_nomem(err, "writing a snapshot");
    }
    memcpy(copy, bytes, size);
    *write = (struct snapshot_write){.host = host, .bytes = copy, .size = size, .cb = cb, .data = data};
    write->work.data = write;
    host->n_busy++;
    uv_queue_work(host->loop, &write->work, run_write, done_write);
    return 0;
}

static bool has_prefix(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static int is_aside(const struct dirent *entry)
{
    return has_prefix(entry->d_name, ASIDE_PREFIX);
}

static int is_temporary(const struct dirent *entry)
{
    return has_prefix(entry->d_name, TEMPORARY_PREFIX);
}

/* Removes those that `choose` takes, but for the last `kept` by name. What cannot be removed stays: it harms
 * nothing. */
static void remove_files(const struct host *host, int (*choose)(const struct dirent *), int kept)
{
    struct dirent **entries = NULL;
    int n = scandir(host->state_dir, &entries, choose, alphasort);
    auto_fd int dir = open(host->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < n; i++) {
        if (dir >= 0 && i < n - kept)
            unlinkat(dir, entries[i]->d_name, 0);
        free(entries[i]);
    }
    free(entries);
}

int host_snapshot_read(struct host *host, struct buf *ret, struct err *err)
{
    char path[PATH_MAX];
    auto_free char *text = NULL;
    size_t size;
    if (!host->look_only)
        remove_files(host, is_temporary, 0); /* of writers that were killed */
    if (snapshot_path(host, path, err) < 0 ||
        fs_read_file(AT_FDCWD, path, SIZE_LIMIT_BYTES, &text, &size, err) < 0)
        return -1;
    *ret = (struct buf){.data = steal_ptr(text), .size = size, .capacity = size + 1};
    return 0;
}

int host_snapshot_put_aside(struct host *host, struct err *err)
{
    char path[PATH_MAX], aside[PATH_MAX + 64], time[TIMESTAMP_SIZE];
    if (snapshot_path(host, path, err) < 0)
        return -1;
    timestamp_format(time, clock_realtime_ns());
    snprintf(aside, sizeof(aside), "%s/" ASIDE_PREFIX "%s", host->state_dir, time);
    if (rename(path, aside) < 0)
        return err_sys(err, errno, "cannot put the snapshot '%s' aside", path);
    remove_files(host, is_aside, ASIDE_KEPT);
    return 0;
}
