/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

#define PROCS_LIMIT (16u << 20)

static const char *const CONTROLLERS[] = {
    "cpu",     "cpuacct", "cpuset",   "memory",     "devices", "freezer", "blkio",
    "hugetlb", "net_cls", "net_prio", "perf_event", "pids",    "rdma",    "misc",
};

/* Those words of the mount options that are controllers. */
static void find_names(struct oci_cgroup *cgroup, const char *options)
{
    size_t used = 0;
    cgroup->names[0] = '\0';
    for (size_t i = 0; i < sizeof(CONTROLLERS) / sizeof(CONTROLLERS[0]); i++) {
        size_t size = strlen(CONTROLLERS[i]);
        for (const char *at = options; at != NULL; at = strchr(at, ',')) {
            at += *at == ',';
            if (strncmp(at, CONTROLLERS[i], size) == 0 && (at[size] == ',' || at[size] == '\0') &&
                used + size + 2 < sizeof(cgroup->names))
                used += (size_t)sprintf(cgroup->names + used, "%s%s", used > 0 ? "," : "", CONTROLLERS[i]);
        }
    }
}

static bool has_name(const struct oci_cgroup *cgroup, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = cgroup->names; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, size) == 0 && (at[size] == ',' || at[size] == '\0'))
            return true;
    }
    return false;
}

static bool is_known(const struct oci_cgroups *cgroups, const struct oci_cgroup *cgroup)
{
    for (size_t i = 0; i < cgroups->n; i++) {
        const struct oci_cgroup *other = &cgroups->items[i];
        if (strcmp(other->names, cgroup->names) == 0 && strcmp(other->name, cgroup->name) == 0)
            return true;
    }
    return false;
}

static void close_mounts(FILE **file)
{
    if (*file != NULL)
        endmntent(*file);
}

static int find_hierarchies(struct oci_cgroups *cgroups, struct err *err)
{
    __attribute__((cleanup(close_mounts))) FILE *mounts = setmntent("/proc/self/mounts", "re");
    struct mntent entry;
    char line[4096];
    if (mounts == NULL)
        return err_sys(err, errno, "cannot read '/proc/self/mounts'");
    while (getmntent_r(mounts, &entry, line, sizeof(line)) != NULL && cgroups->n < OCI_HIERARCHIES) {
        struct oci_cgroup *cgroup = &cgroups->items[cgroups->n];
        const char *slash = strrchr(entry.mnt_dir, '/');
        if (strcmp(entry.mnt_type, "cgroup") != 0 || slash == NULL ||
            strlen(entry.mnt_dir) >= sizeof(cgroup->mount) || strlen(slash + 1) >= sizeof(cgroup->name))
            continue;
        snprintf(cgroup->mount, sizeof(cgroup->mount), "%s", entry.mnt_dir);
        snprintf(cgroup->name, sizeof(cgroup->name), "%s", slash + 1);
        find_names(cgroup, entry.mnt_opts);
        cgroup->fd = -1;
        if (!is_known(cgroups, cgroup)) /* mounted twice: the first place will do */
            cgroups->n++;
    }
    if (cgroups->n == 0)
        return err_set(err, ERR_UNAVAILABLE,
                       "no cgroup v1 hierarchy is mounted: hosts with cgroup v2 alone are not supported yet");
    return 0;
}

static bool leads_out(const char *path)
{
    for (const char *at = path; at != NULL; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
            return true;
    }
    return false;
}

int oci_cgroups_plan(struct oci_cgroups *ret, const char *path, const char *id, struct err *err)
{
    *ret = (struct oci_cgroups){.n = 0};
    if (find_hierarchies(ret, err) < 0)
        return -1;
    if (leads_out(path) || path[strspn(path, "/.")] == '\0')
        path = path[0] == '\0' ? path : NULL;
    if (path == NULL)
        return err_set(err, ERR_INVALID, "'linux.cgroupsPath' names no cgroup of its own");
    for (size_t i = 0; i < ret->n; i++) {
        struct oci_cgroup *cgroup = &ret->items[i];
        int size = snprintf(cgroup->path, sizeof(cgroup->path), "%s%s%s", cgroup->mount,
                            path[0] == '/' ? "" : "/wharf-oci/", path[0] == '\0' ? id : path);
        if (size >= (int)sizeof(cgroup->path))
            return err_set(err, ERR_INVALID, "'linux.cgroupsPath' is too long");
    }
    return 0;
}

/* Whoever is in there already would be killed with the container. */
static int check_unused(const struct oci_cgroup *cgroup, struct err *err)
{
    auto_fd int fd = open(cgroup->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_free char *text = NULL;
    if (fd < 0 || fs_read_file(fd, "cgroup.procs", PROCS_LIMIT, &text, NULL, NULL) < 0 || text[0] == '\0')
        return 0;
    return err_set(err, ERR_CONFLICT, "the cgroup '%s' has processes already", cgroup->path);
}

int oci_cgroups_check_unused(const struct oci_cgroups *cgroups, struct err *err)
{
    for (size_t i = 0; i < cgroups->n; i++) {
        if (check_unused(&cgroups->items[i], err) < 0)
            return -1;
    }
    return 0;
}

static int write_file(int dir_fd, const char *file, const char *value)
{
    auto_fd int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    return write(fd, value, strlen(value)) == (ssize_t)strlen(value) ? 0 : -1;
}

/* A new cpuset has neither processors nor memory, and nobody can join it: it gets its parent's. */
static int inherit_cpuset(int parent_fd, int dir_fd)
{
    static const char *const FILES[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < 2; i++) {
        auto_free char *own = NULL;
        auto_free char *value = NULL;
        if (fs_read_file(dir_fd, FILES[i], 4096, &own, NULL, NULL) < 0 ||
            fs_read_file(parent_fd, FILES[i], 4096, &value, NULL, NULL) < 0)
            return -1;
        if (own[strspn(own, "\n")] == '\0' && write_file(dir_fd, FILES[i], value) < 0)
            return -1;
    }
    return 0;
}

static int make_one(struct oci_cgroup *cgroup, struct err *err)
{
    auto_fd int at_fd = open(cgroup->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *at = cgroup->path + strlen(cgroup->mount);
    while (at_fd >= 0 && *at != '\0') {
        char name[256];
        at += strspn(at, "/");
        size_t size = strcspn(at, "/");
        if (size == 0)
            break;
        if (size >= sizeof(name)) {
            errno = ENAMETOOLONG;
            return err_sys(err, errno, "cannot make the cgroup '%s'", cgroup->path);
        }
        snprintf(name, sizeof(name), "%.*s", (int)size, at);
        at += size;
        if (mkdirat(at_fd, name, 0755) < 0 && errno != EEXIST)
            return err_sys(err, errno, "cannot make the cgroup '%s'", cgroup->path);
        auto_fd int next_fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (next_fd < 0 || (has_name(cgroup, "cpuset") && inherit_cpuset(at_fd, next_fd) < 0))
            return err_sys(err, errno, "cannot set the cgroup '%s' up", cgroup->path);
        close(at_fd);
        at_fd = steal_fd(&next_fd);
    }
    if (at_fd < 0)
        return err_sys(err, errno, "cannot open the cgroup '%s'", cgroup->path);
    cgroup->fd = steal_fd(&at_fd);
    return 0;
}

int oci_cgroups_make(struct oci_cgroups *cgroups, struct err *err)
{
    for (size_t i = 0; i < cgroups->n; i++) {
        if (make_one(&cgroups->items[i], err) < 0)
            return -1;
    }
    return 0;
}

void oci_cgroups_close(struct oci_cgroups *cgroups)
{
    for (size_t i = 0; i < cgroups->n; i++) {
        if (cgroups->items[i].fd >= 0)
            close(cgroups->items[i].fd);
        cgroups->items[i].fd = -1;
    }
}

static int write_one(const struct oci_cgroups *cgroups, const char *controller, const char *file,
                     const char *value, const char *member, struct err *err)
{
    for (size_t i = 0; i < cgroups->n; i++) {
        if (!has_name(&cgroups->items[i], controller))
            continue;
        if (write_file(cgroups->items[i].fd, file, value) < 0)
            return err_sys(err, errno, "cannot give the container 'linux.resources.%s': writing '%s' to '%s'",
                           member, value, file);
        return 0;
    }
    return err_set(err, ERR_UNAVAILABLE,
                   "cannot give the container 'linux.resources.%s': no hierarchy with the controller '%s' is "
                   "mounted",
                   member, controller);
}

int oci_cgroups_write(const struct oci_cgroups *cgroups, const json_t *values, struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(values, i, item)
    {
        const char *text[4];
        for (size_t at = 0; at < 4; at++)
            text[at] = json_string_value(json_array_get(item, at));
        if (write_one(cgroups, text[0], text[1], text[2], text[3], err) < 0)
            return -1;
    }
    return 0;
}

static int dir_of(const struct oci_cgroups *cgroups, const char *controller)
{
    for (size_t i = 0; i < cgroups->n; i++) {
        if (has_name(&cgroups->items[i], controller))
            return cgroups->items[i].fd;
    }
    return -1;
}

/* Files with a line for each device say more than can be written back: those stay as they are. */
static void write_back(const struct oci_cgroups *cgroups, const json_t *values, char *const *before)
{
    size_t i;
    json_t *item;
    json_array_foreach(values, i, item)
    {
        int dir_fd = dir_of(cgroups, json_string_value(json_array_get(item, 0)));
        if (before[i] != NULL && strchr(before[i], ' ') == NULL)
            write_file(dir_fd, json_string_value(json_array_get(item, 1)), before[i]);
    }
}

/* One attempt at each that is not written yet; how many were. `err` has the first that was not. */
static size_t update_round(const struct oci_cgroups *cgroups, const json_t *values, char **before, bool *done,
                           struct err *err)
{
    size_t i, n = 0;
    json_t *item;
    err_clear(err);
    json_array_foreach(values, i, item)
    {
        const char *text[4];
        struct err why = ERR_INIT;
        for (size_t at = 0; at < 4; at++)
            text[at] = json_string_value(json_array_get(item, at));
        if (done[i])
            continue;
        if (before[i] == NULL)
            fs_read_file(dir_of(cgroups, text[0]), text[1], PROCS_LIMIT, &before[i], NULL, NULL);
        done[i] = write_one(cgroups, text[0], text[1], text[2], text[3], &why) == 0;
        n += done[i];
        if (!done[i] && err->code == ERR_NONE)
            *err = why;
    }
    return n;
}

int oci_cgroups_update(const struct oci_cgroups *cgroups, const json_t *values, struct err *err)
{
    size_t n = json_array_size(values), written = 0;
    auto_free char **before = calloc(n + 1, sizeof(*before));
    auto_free bool *done = calloc(n + 1, sizeof(*done));
    struct err why = ERR_INIT;
    if (before == NULL || done == NULL)
        return err_nomem(err, "updating a container");
    for (size_t more = 1; written < n && more > 0; written += more)
        more = update_round(cgroups, values, before, done, &why);
    if (written < n) {
        write_back(cgroups, values, before);
        write_back(cgroups, values, before); /* they depend on each other, too */
    }
    for (size_t i = 0; i < n; i++)
        free(before[i]);
    if (written < n && err != NULL)
        *err = why;
    return written < n ? -1 : 0;
}

json_t *oci_cgroups_document(const struct oci_cgroups *cgroups)
{
    json_t *array = json_array();
    for (size_t i = 0; i < cgroups->n && array != NULL; i++) {
        if (json_array_append_new(array, json_string(cgroups->items[i].path)) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* --- by the paths that were recorded --- */

int oci_cgroups_open(struct oci_cgroups *ret, const json_t *document, struct err *err)
{
    size_t i;
    json_t *path;
    *ret = (struct oci_cgroups){.n = 0};
    json_array_foreach(json_object_get(document, "cgroups"), i, path)
    {
        int fd = i < OCI_HIERARCHIES ? open(json_string_value(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (fd < 0) {
            int cause = errno;
            oci_cgroups_close(ret);
            return cause == ENOENT ? err_set(err, ERR_NOT_FOUND, "the container's cgroup '%s' is gone",
                                             json_string_value(path))
                                   : err_sys(err, cause, "cannot open the container's cgroup '%s'",
                                             json_string_value(path));
        }
        ret->items[ret->n++].fd = fd;
    }
    return 0;
}

static int open_freezer(const json_t *document)
{
    size_t i;
    json_t *path;
    json_array_foreach(json_object_get(document, "cgroups"), i, path)
    {
        auto_fd int fd = open(json_string_value(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && faccessat(fd, "freezer.state", F_OK, 0) == 0)
            return steal_fd(&fd);
    }
    return -1;
}

bool oci_cgroups_frozen(const json_t *document)
{
    auto_fd int fd = open_freezer(document);
    auto_free char *text = NULL;
    return fd >= 0 && fs_read_file(fd, "freezer.state", 64, &text, NULL, NULL) == 0 &&
           strncmp(text, "THAWED", 6) != 0;
}

/* v1 is FREEZING until every task has stopped; processes that come into being meanwhile need another write
 * (Documentation/admin-guide/cgroup-v1/freezer-subsystem). */
int oci_cgroups_freeze(const json_t *document, bool frozen, struct err *err)
{
    const char *wanted = frozen ? "FROZEN" : "THAWED";
    auto_fd int fd = open_freezer(document);
    if (fd < 0)
        return err_set(err, ERR_UNAVAILABLE, "no hierarchy with the controller 'freezer' is mounted");
    for (int i = 0; i < 1000; i++) {
        auto_free char *text = NULL;
        if (write_file(fd, "freezer.state", wanted) < 0 ||
            fs_read_file(fd, "freezer.state", 64, &text, NULL, NULL) < 0)
            return err_sys(err, errno, "cannot write '%s' to 'freezer.state'", wanted);
        if (strncmp(text, wanted, strlen(wanted)) == 0)
            return 0;
        poll(NULL, 0, 5);
    }
    if (frozen)
        write_file(fd, "freezer.state", "THAWED");
    return err_set(err, ERR_TIMEOUT, "the container's processes could not be stopped within 5 seconds");
}

struct visit {
    void (*found)(pid_t pid, void *data);
    void *data;
    pid_t *seen;
    size_t n_seen;
    bool failed;
};

static void visit_pid(struct visit *visit, pid_t pid)
{
    for (size_t i = 0; i < visit->n_seen; i++) {
        if (visit->seen[i] == pid)
            return;
    }
    pid_t *seen = realloc(visit->seen, (visit->n_seen + 1) * sizeof(*seen));
    if (seen == NULL) {
        visit->failed = true;
        return;
    }
    visit->seen = seen;
    visit->seen[visit->n_seen++] = pid;
    visit->found(pid, visit->data);
}

static void visit_tree(struct visit *visit, int dir_fd)
{
    auto_free char *text = NULL;
    if (fs_read_file(dir_fd, "cgroup.procs", PROCS_LIMIT, &text, NULL, NULL) == 0) {
        char *end = NULL;
        for (const char *at = text; *at != '\0'; at = end + strspn(end, "\n")) {
            long pid = strtol(at, &end, 10);
            if (end == at)
                break;
            if (pid > 0)
                visit_pid(visit, (pid_t)pid);
        }
    }
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        auto_fd int below_fd = entry->d_type != DT_DIR || entry->d_name[0] == '.'
                                   ? -1
                                   : openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (below_fd >= 0)
            visit_tree(visit, below_fd);
    }
}

int oci_cgroups_each(const json_t *document, void (*found)(pid_t pid, void *data), void *data,
                     struct err *err)
{
    struct visit visit = {.found = found, .data = data};
    size_t i;
    json_t *path;
    json_array_foreach(json_object_get(document, "cgroups"), i, path)
    {
        auto_fd int fd = open(json_string_value(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            visit_tree(&visit, fd);
    }
    free(visit.seen);
    return visit.failed ? err_nomem(err, "listing processes") : 0;
}

static void kill_one(pid_t pid, void *data)
{
    (void)data;
    kill(pid, SIGKILL);
}

/* Children first. A cgroup's own files are no obstacle to rmdir(2). */
static int remove_tree(int parent_fd, const char *name)
{
    auto_fd int dir_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return errno == ENOENT ? 0 : -1;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && remove_tree(dir_fd, entry->d_name) < 0)
            return -1;
    }
    return unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

/* A cgroup stays busy until its killed members are gone for good. There is nothing to wait on for that, so it
 * is tried again for up to ten seconds. */
int oci_cgroups_destroy(const json_t *document, struct err *err)
{
    size_t i;
    json_t *path;
    json_array_foreach(json_object_get(document, "cgroups"), i, path)
    {
        int attempt = 0;
        while (remove_tree(AT_FDCWD, json_string_value(path)) < 0) {
            if (errno != EBUSY || attempt++ == 1000)
                return err_sys(err, errno, "cannot remove the cgroup '%s'", json_string_value(path));
            if (oci_cgroups_frozen(document) && oci_cgroups_freeze(document, false, err) < 0)
                return -1;
            if (oci_cgroups_each(document, kill_one, NULL, err) < 0)
                return -1;
            poll(NULL, 0, attempt == 1 ? 1 : 10);
        }
    }
    return 0;
}
