/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/oci/cgroups.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "runtime/sandbox/cgroup.h"
#include "runtime/sandbox/cgroup_dir.h"
#include "runtime/sandbox/device_filter.h"

#define PROCS_LIMIT (16u << 20)

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

static void take_v1(struct oci_cgroups *cgroups, const struct mntent *entry)
{
    struct oci_cgroup *cgroup = &cgroups->items[cgroups->n];
    const char *slash = strrchr(entry->mnt_dir, '/');
    if (cgroups->n == OCI_HIERARCHIES || slash == NULL || strlen(entry->mnt_dir) >= sizeof(cgroup->mount) ||
        strlen(slash + 1) >= sizeof(cgroup->name))
        return;
    snprintf(cgroup->mount, sizeof(cgroup->mount), "%s", entry->mnt_dir);
    snprintf(cgroup->name, sizeof(cgroup->name), "%s", slash + 1);
    cgroup_names(entry->mnt_opts, cgroup->names, sizeof(cgroup->names));
    cgroup->fd = -1;
    if (!is_known(cgroups, cgroup)) /* mounted twice: the first place will do */
        cgroups->n++;
}

/* The v2 hierarchy, if it has what a container's limits are made of; devices are filtered without a
 * controller there. */
static bool take_v2(struct oci_cgroup *ret, const char *mount)
{
    static const char *const REQUIRED[] = {"memory", "cpu", "pids"};
    char path[256];
    auto_free char *text = NULL;
    snprintf(path, sizeof(path), "%s/cgroup.controllers", mount);
    if (strlen(mount) >= sizeof(ret->mount) || fs_read_file(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
        return false;
    for (char *at = text; *at != '\0'; at++)
        *at = *at == ' ' ? ',' : *at == '\n' ? '\0' : *at;
    *ret = (struct oci_cgroup){.fd = -1};
    snprintf(ret->mount, sizeof(ret->mount), "%s", mount);
    snprintf(ret->names, sizeof(ret->names), "devices,%.110s", text);
    for (size_t i = 0; i < sizeof(REQUIRED) / sizeof(REQUIRED[0]); i++) {
        if (!has_name(ret, REQUIRED[i]))
            return false;
    }
    return true;
}

/* As managed containers' are chosen (../sandbox/cgroup.h): v2 where it has the controllers, otherwise v1. */
static int find_hierarchies(struct oci_cgroups *cgroups, struct err *err)
{
    __attribute__((cleanup(close_mounts))) FILE *mounts = setmntent("/proc/self/mounts", "re");
    struct mntent entry;
    struct oci_cgroup v2;
    char line[4096];
    if (mounts == NULL)
        return err_sys(err, errno, "cannot read '/proc/self/mounts'");
    while (getmntent_r(mounts, &entry, line, sizeof(line)) != NULL) {
        if (strcmp(entry.mnt_type, "cgroup") == 0)
            take_v1(cgroups, &entry);
        if (strcmp(entry.mnt_type, "cgroup2") == 0 && !cgroups->v2 && take_v2(&v2, entry.mnt_dir))
            cgroups->v2 = true;
    }
    if (cgroups->v2) {
        cgroups->items[0] = v2;
        cgroups->n = 1;
    }
    if (cgroups->n == 0)
        return err_set(
            err, ERR_UNAVAILABLE,
            "no cgroup hierarchy with the controllers memory, cpu and pids is mounted: mount cgroup2 "
            "on /sys/fs/cgroup");
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
        if (own[strspn(own, "\n")] == '\0' && cgroup_dir_write(dir_fd, FILES[i], value) < 0)
            return -1;
    }
    return 0;
}

static int make_one(struct oci_cgroup *cgroup, bool v2, struct err *err)
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
        if (v2)
            cgroup_dir_enable(at_fd, cgroup->names);
        if (mkdirat(at_fd, name, 0755) < 0 && errno != EEXIST)
            return err_sys(err, errno, "cannot make the cgroup '%s'", cgroup->path);
        auto_fd int next_fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (next_fd < 0 || (!v2 && has_name(cgroup, "cpuset") && inherit_cpuset(at_fd, next_fd) < 0))
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
        if (make_one(&cgroups->items[i], cgroups->v2, err) < 0)
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

static int dir_of(const struct oci_cgroups *cgroups, const char *controller)
{
    for (size_t i = 0; i < cgroups->n; i++) {
        if (has_name(&cgroups->items[i], controller))
            return cgroups->items[i].fd;
    }
    return -1;
}

/* `item` is [controller, file, value, member] with, maybe, a file and its value for when the first is
 * missing. */
static int write_one(const struct oci_cgroups *cgroups, const json_t *item, struct err *err)
{
    const char *text[6];
    for (size_t i = 0; i < 6; i++)
        text[i] = json_string_value(json_array_get(item, i));
    int dir_fd = dir_of(cgroups, text[0]);
    if (dir_fd < 0)
        return err_set(
            err, ERR_UNAVAILABLE,
            "cannot give the container 'linux.resources.%s': no hierarchy with the controller '%s' "
            "is mounted",
            text[3], text[0]);
    int result = cgroup_dir_write(dir_fd, text[1], text[2]);
    if (result < 0 && errno == ENOENT && text[4] != NULL)
        result = cgroup_dir_write(dir_fd, text[4], text[5]);
    if (result < 0)
        return err_sys(err, errno, "cannot give the container 'linux.resources.%s': writing '%s' to '%s'",
                       text[3], text[2], text[1]);
    return 0;
}

static bool is_device_rule(const json_t *item)
{
    return strcmp(json_string_value(json_array_get(item, 0)), "devices") == 0;
}

/* v2: all rules become one program. */
static int filter_devices(const struct oci_cgroups *cgroups, const json_t *values, struct err *err)
{
    size_t i, n = 0;
    json_t *item;
    auto_buf struct buf program = BUF_INIT;
    auto_free struct device_rule *rules = calloc(json_array_size(values) + 1, sizeof(*rules));
    if (rules == NULL)
        return err_nomem(err, "limiting a container");
    json_array_foreach(values, i, item)
    {
        if (is_device_rule(item))
            rules[n++] = (struct device_rule){
                .allow = strcmp(json_string_value(json_array_get(item, 1)), "devices.allow") == 0,
                .text = json_string_value(json_array_get(item, 2)),
            };
    }
    if (n == 0)
        return 0;
    if (device_filter_build(rules, n, &program, err) < 0)
        return -1;
    return device_filter_attach(cgroups->items[0].fd, &program, err);
}

int oci_cgroups_write(const struct oci_cgroups *cgroups, const json_t *values, struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(values, i, item)
    {
        if ((!cgroups->v2 || !is_device_rule(item)) && write_one(cgroups, item, err) < 0)
            return -1;
    }
    return cgroups->v2 ? filter_devices(cgroups, values, err) : 0;
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
            cgroup_dir_write(dir_fd, json_string_value(json_array_get(item, 1)), before[i]);
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
        done[i] = write_one(cgroups, item, &why) == 0;
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

/* The cgroup with the file, of those that were recorded; -1 if none has it. */
static int open_with(const json_t *document, const char *file)
{
    size_t i;
    json_t *path;
    json_array_foreach(json_object_get(document, "cgroups"), i, path)
    {
        auto_fd int fd = open(json_string_value(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && faccessat(fd, file, F_OK, 0) == 0)
            return steal_fd(&fd);
    }
    return -1;
}

/* Both versions' words for one state. */
struct freezer {
    const char *file;                  /* is written to */
    const char *frozen, *thawed;       /* and this is what */
    const char *state;                 /* is read */
    const char *is_frozen, *is_thawed; /* and has this in it */
};

static const struct freezer FREEZERS[] = {
    {"freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN", "THAWED"},
    {"cgroup.freeze", "1", "0", "cgroup.events", "frozen 1", "frozen 0"},
};

static int open_freezer(const json_t *document, const struct freezer **ret)
{
    for (size_t i = 0; i < sizeof(FREEZERS) / sizeof(FREEZERS[0]); i++) {
        *ret = &FREEZERS[i];
        int fd = open_with(document, FREEZERS[i].file);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

bool oci_cgroups_frozen(const json_t *document)
{
    const struct freezer *freezer;
    auto_fd int fd = open_freezer(document, &freezer);
    auto_free char *text = NULL;
    return fd >= 0 && fs_read_file(fd, freezer->state, 256, &text, NULL, NULL) == 0 &&
           strstr(text, freezer->is_thawed) == NULL;
}

/* v1 is FREEZING until every task has stopped; processes that come into being meanwhile need another write
 * (Documentation/admin-guide/cgroup-v1/freezer-subsystem). */
int oci_cgroups_freeze(const json_t *document, bool frozen, struct err *err)
{
    const struct freezer *freezer;
    auto_fd int fd = open_freezer(document, &freezer);
    if (fd < 0)
        return err_set(err, ERR_UNAVAILABLE, "no hierarchy with the controller 'freezer' is mounted");
    const char *wanted = frozen ? freezer->frozen : freezer->thawed;
    for (int i = 0; i < 1000; i++) {
        auto_free char *text = NULL;
        if (cgroup_dir_write(fd, freezer->file, wanted) < 0 ||
            fs_read_file(fd, freezer->state, 256, &text, NULL, NULL) < 0)
            return err_sys(err, errno, "cannot write '%s' to '%s'", wanted, freezer->file);
        if (strstr(text, frozen ? freezer->is_frozen : freezer->is_thawed) != NULL)
            return 0;
        poll(NULL, 0, 5);
    }
    if (frozen)
        cgroup_dir_write(fd, freezer->file, freezer->thawed);
    return err_set(err, ERR_TIMEOUT, "the container's processes could not be stopped within 5 seconds");
}

struct visit {
    void (*found)(pid_t pid, void *data);
    void *data;
    pid_t *seen;
    size_t n_seen;
    bool failed;
};

static void visit_pid(pid_t pid, void *data)
{
    struct visit *visit = data;
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
            cgroup_dir_each(fd, visit_pid, &visit);
    }
    free(visit.seen);
    return visit.failed ? err_nomem(err, "listing processes") : 0;
}

void oci_cgroups_kill(const json_t *document)
{
    size_t i;
    json_t *path;
    json_array_foreach(json_object_get(document, "cgroups"), i, path)
    {
        auto_fd int fd = open(json_string_value(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            cgroup_dir_kill(fd);
    }
}

/* Frozen processes of v1 die when they thaw. */
int oci_cgroups_destroy(const json_t *document, struct err *err)
{
    size_t i;
    json_t *path;
    if (oci_cgroups_frozen(document)) {
        oci_cgroups_kill(document);
        if (oci_cgroups_freeze(document, false, err) < 0)
            return -1;
    }
    json_array_foreach(json_object_get(document, "cgroups"), i, path)
    {
        if (cgroup_dir_destroy(AT_FDCWD, json_string_value(path)) < 0)
            return err_sys(err, errno, "cannot remove the cgroup '%s'", json_string_value(path));
    }
    return 0;
}
