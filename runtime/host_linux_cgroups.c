/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a container's cgroup is: below the runtime's own parent, named by its id; or below the parent that
 * its spec names, as wharf-ID, so that a runtime whose own parent that is does not take it for an orphan.
 *
 * The latter is said by the file `cgroup-parent` in the container's directory from before the cgroup is made
 * until the directory goes, so that whatever is cut off is found. Parents that are missing are made, each
 * with a mark in STATE_DIR/cgroup-parents before it, and what has a mark is removed again once it is empty. A
 * lock keeps one container's end from removing what another one's start is about to use.
 */
#include "runtime/host_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define PREFIX "wharf-"
#define NOTE "cgroup-parent"
#define NOTE_LIMIT 256

/* --- the container's --- */

static const char *relative(const char *parent)
{
    return parent + (parent[0] == '/');
}

static void open_below(const struct host *host, const char *id, const char *parent, struct host_cgroup *ret)
{
    cgroup_layout_below(&host->cgroups, relative(parent), &ret->other);
    ret->layout = &ret->other;
    snprintf(ret->name, sizeof(ret->name), PREFIX "%s", id);
}

static void open_own(const struct host *host, const char *id, struct host_cgroup *ret)
{
    ret->layout = &host->cgroups;
    snprintf(ret->name, sizeof(ret->name), "%s", id);
}

/* NULL if its cgroup is below the host's own parent. */
static char *read_note(const struct host *host, const char *id)
{
    char path[CONTAINER_ID_SIZE + sizeof(NOTE) + 1];
    char *text = NULL;
    snprintf(path, sizeof(path), "%s/" NOTE, id);
    if (fs_read_file(host->containers_fd, path, NOTE_LIMIT, &text, NULL, NULL) < 0 ||
        check_cgroup_parent(text) == NULL)
        return text;
    free(text);
    return NULL;
}

void host_cgroup_open(const struct host *host, const char *id, struct host_cgroup *ret)
{
    auto_free char *parent = read_note(host, id);
    if (parent != NULL)
        open_below(host, id, parent, ret);
    else
        open_own(host, id, ret);
}

void host_cgroup_close(struct host_cgroup *cgroup)
{
    if (cgroup->layout == &cgroup->other)
        cgroup_layout_close(&cgroup->other);
    cgroup->layout = NULL;
}

int host_cgroup_note(int dir_fd, const struct container_spec *spec, struct err *err)
{
    const char *parent = spec->cgroup_parent;
    if (parent == NULL)
        return 0;
    return fs_write_file(dir_fd, NOTE, 0640, parent, strlen(parent), false, err);
}

/* --- parents --- */

/* '/' becomes '%', which no path of ours has. */
static bool mark_of(const char *path, char ret[NAME_MAX + 1])
{
    if (snprintf(ret, NAME_MAX + 1, "%s", path) > NAME_MAX)
        return false;
    for (; *ret != '\0'; ret++)
        *ret = *ret == '/' ? '%' : *ret;
    return true;
}

static int make_one(struct host *host, const char *path, struct err *err)
{
    char mark[NAME_MAX + 1];
    if (access(path, F_OK) == 0)
        return 0;
    if (!mark_of(path, mark))
        return err_sys(err, ENAMETOOLONG, "cannot make the cgroup '%s'", path);
    auto_fd int fd = openat(host->parents_fd, mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, errno, "cannot mark the cgroup '%s' as made", path);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return err_sys(err, errno, "cannot make the cgroup '%s'", path);
    return 0;
}

static int make_parents(struct host *host, const char *parent, struct err *err)
{
    char path[512];
    for (size_t i = 0; i < host->cgroups.n; i++) {
        const char *at = parent;
        do {
            at += strcspn(at + 1, "/") + 1;
            snprintf(path, sizeof(path), "%s/%.*s", host->cgroups.hierarchies[i].path, (int)(at - parent),
                     parent);
            if (make_one(host, path, err) < 0)
                return -1;
        } while (*at != '\0');
    }
    return 0;
}

/* The container's own is made at once, so that nobody removes the parent any more. */
static int make_below(struct host *host, const char *id, const char *parent, struct host_cgroup *ret,
                      struct err *err)
{
    if (make_parents(host, parent, err) < 0)
        return -1;
    open_below(host, id, parent, ret);
    cgroup_layout_enable(ret->layout);
    bool whole = ret->layout->n == host->cgroups.n;
    for (size_t i = 0; i < ret->layout->n && whole; i++)
        whole = mkdirat(ret->layout->hierarchies[i].parent_fd, ret->name, 0755) == 0 || errno == EEXIST;
    return whole ? 0 : err_sys(err, errno, "cannot make a cgroup in '%s'", parent);
}

int host_cgroup_make(struct host *host, const char *id, const struct container_spec *spec,
                     struct host_cgroup *ret, struct err *err)
{
    if (spec->cgroup_parent == NULL) {
        open_own(host, id, ret);
        return 0;
    }
    uv_mutex_lock(&host->parents_lock);
    int result = make_below(host, id, relative(spec->cgroup_parent), ret, err);
    uv_mutex_unlock(&host->parents_lock);
    return result;
}

/* The path and those above it, as long as they were made for containers and are empty. */
static void remove_upwards(struct host *host, const char *path)
{
    char at[NAME_MAX + 1], mark[NAME_MAX + 1];
    if (snprintf(at, sizeof(at), "%s", path) >= (int)sizeof(at))
        return; /* none of that length was made */
    while (mark_of(at, mark) && faccessat(host->parents_fd, mark, F_OK, 0) == 0) {
        if (rmdir(at) < 0 && errno != ENOENT)
            return;
        unlinkat(host->parents_fd, mark, 0);
        *strrchr(at, '/') = '\0';
    }
}

static void remove_parents(struct host *host, const char *parent)
{
    char path[512];
    uv_mutex_lock(&host->parents_lock);
    for (size_t i = 0; i < host->cgroups.n; i++) {
        snprintf(path, sizeof(path), "%s/%s", host->cgroups.hierarchies[i].path, parent);
        remove_upwards(host, path);
    }
    uv_mutex_unlock(&host->parents_lock);
}

int host_cgroup_destroy(struct host *host, const char *id, struct err *err)
{
    struct host_cgroup cgroup;
    host_cgroup_open(host, id, &cgroup);
    int result = cgroup_destroy(cgroup.layout, cgroup.name, err);
    if (result == 0 && cgroup.layout == &cgroup.other)
        remove_parents(host, cgroup.other.parent);
    host_cgroup_close(&cgroup);
    return result;
}

void host_cgroup_clear_parents(struct host *host)
{
    int fd = openat(host->parents_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[NAME_MAX + 1];
        snprintf(path, sizeof(path), "%s", entry->d_name);
        for (char *at = path; *at != '\0'; at++)
            *at = *at == '%' ? '/' : *at;
        if (path[0] == '/')
            remove_upwards(host, path);
    }
}

void host_clear_stray_cgroup(struct host *host, const char *container_id, const char *cgroup_parent)
{
    struct host_cgroup cgroup;
    auto_free char *noted = read_note(host, container_id);
    if (noted != NULL)
        return;
    open_below(host, container_id, cgroup_parent, &cgroup);
    if (cgroup_destroy(cgroup.layout, cgroup.name, NULL) == 0) /* a start or a removal tries again */
        remove_parents(host, cgroup.other.parent);
    host_cgroup_close(&cgroup);
}
