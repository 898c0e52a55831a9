/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's devices that a container asks for: each path is looked at once, and what counts from then on is
 * the device number. A privileged container gets all that the node has.
 */
#include "runtime/host_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"

#define DEVICE_DEPTH 8

static bool is_device(const struct stat *st)
{
    return S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
}

static int add(struct host_devices *devices, const char *source, const char *path, size_t path_size,
               const char *access, const struct stat *st, struct err *err)
{
    if (devices->n == CGROUP_DEVICES_MAX)
        return err_set(err, ERR_INVALID, "more than %d devices for one container", CGROUP_DEVICES_MAX);
    struct oci_device *grown = realloc(devices->items, (devices->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_nomem(err, "looking for devices");
    devices->items = grown;
    struct oci_device *device = &grown[devices->n];
    *device = (struct oci_device){
        .source = strdup(source),
        .path = strndup(path, path_size),
        .type = S_ISBLK(st->st_mode) ? 'b' : 'c',
        .major = major(st->st_rdev),
        .minor = minor(st->st_rdev),
        .mode = st->st_mode & 0777,
        .uid = st->st_uid,
        .gid = st->st_gid,
    };
    snprintf(device->access, sizeof(device->access), "%s", access);
    devices->n++;
    if (device->source == NULL || device->path == NULL)
        return err_nomem(err, "looking for devices");
    return 0;
}

static int add_asked_for(const struct host *host, struct host_devices *devices, const char *text,
                         struct err *err)
{
    struct stat st;
    size_t size = strcspn(text, ":");
    const char *path = text + size + 1, *access = strrchr(text, ':') + 1; /* check_device has seen them */
    auto_free char *source = strndup(text, size);
    if (source == NULL)
        return err_nomem(err, "looking for devices");
    if (stat(source, &st) < 0)
        return err_sys(err, errno, "cannot give the container the device '%s'", source);
    if (!is_device(&st))
        return err_set(err, ERR_INVALID, "cannot give the container '%s': it is no device", source);
    if (host->cgroups.v2 && strlen(access) < strlen("rwm"))
        return err_set(err, ERR_INVALID,
                       "the device '%s' cannot be given with '%s' only: this node's cgroups do not tell "
                       "reading from writing; leave the access out",
                       source, access);
    return add(devices, source, path, (size_t)(access - 1 - path), access, &st, err);
}

/* What containers have of their own. */
static bool is_own(const char *name)
{
    static const char *const names[] = {".", "..", "pts", "shm", "mqueue", "fd", "console", "ptmx"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static int add_all(struct host_devices *devices, int parent_fd, const char *name, const char *path, int depth,
                   struct err *err)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    if (dir == NULL || depth == DEVICE_DEPTH)
        return dir == NULL && errno != ENOENT ? err_sys(err, errno, "cannot list '%s'", path) : 0;
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;
        auto_free char *below = NULL;
        if (is_own(entry->d_name) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (asprintf(&below, "%s/%s", path, entry->d_name) < 0) {
            below = NULL;
            return err_nomem(err, "looking for devices");
        }
        if (S_ISDIR(st.st_mode) && add_all(devices, fd, entry->d_name, below, depth + 1, err) < 0)
            return -1;
        if (is_device(&st) && add(devices, below, below, strlen(below), "rwm", &st, err) < 0)
            return -1;
    }
    return 0;
}

void host_devices_release(struct host_devices *devices)
{
    for (size_t i = 0; i < devices->n; i++) {
        free(devices->items[i].source);
        free(devices->items[i].path);
    }
    free(devices->items);
    *devices = (struct host_devices){0};
}

int host_find_devices(const struct host *host, const struct container_spec *spec, struct host_devices *ret,
                      struct err *err)
{
    int result = spec->privileged ? add_all(ret, AT_FDCWD, "/dev", "/dev", 0, err) : 0;
    for (size_t i = 0; i < spec->devices.n && result == 0; i++)
        result = add_asked_for(host, ret, spec->devices.items[i], err);
    return result;
}
