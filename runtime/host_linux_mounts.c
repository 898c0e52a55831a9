/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be there before a container mounts: the directories of its volumes, and of bind mounts whose
 * source may be made. A new volume gets the image's files at its target, unless it is not to.
 *
 * A volume is STATE_DIR/volumes/NAME. It is filled beside that and renamed, so that it is whole or not there.
 */
#include "runtime/host_linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/fs_copy.h"

#define NEW_PREFIX ".new-" /* a volume that is not whole yet */
#define REMOVING_PREFIX ".removing-"

/* The directory at the path in the image, or -1 if it has none there. Links lead nowhere out of it. */
static int open_in_image(int image_fd, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, image_fd, path, &how, sizeof(how));
}

static int fill(int image_fd, const struct container_mount *mount, int to_fd, struct err *err)
{
    auto_fd int from_fd = mount->no_copy ? -1 : open_in_image(image_fd, mount->target);
    if (from_fd < 0)
        return 0;
    if (fs_copy_tree(from_fd, to_fd, err) < 0)
        return err_wrap(err, "cannot fill the volume '%s' from the image", mount->source);
    return syncfs(to_fd) < 0 ? err_sys(err, errno, "cannot write the volume '%s'", mount->source) : 0;
}

/* Another container may have made it meanwhile: that one is it then. */
static int put_in_place(const struct host *host, const char *made, const char *name, struct err *err)
{
    if (syscall(SYS_renameat2, host->volumes_fd, made, host->volumes_fd, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EEXIST)
        return fs_remove_tree(host->volumes_fd, made, err);
    return err_sys(err, errno, "cannot make the volume '%s'", name);
}

static int make_volume(const struct host *host, const char *container_id, int image_fd,
                       const struct container_mount *mount, struct err *err)
{
    char made[NAME_MAX + 1];
    struct stat st;
    if (fstatat(host->volumes_fd, mount->source, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return S_ISDIR(st.st_mode) ? 0 : err_sys(err, ENOTDIR, "cannot use the volume '%s'", mount->source);
    snprintf(made, sizeof(made), NEW_PREFIX "%.12s-%s", container_id, mount->source);
    if (fs_remove_tree(host->volumes_fd, made, err) < 0)
        return -1;
    if (mkdirat(host->volumes_fd, made, 0755) < 0)
        return err_sys(err, errno, "cannot make the volume '%s'", mount->source);
    auto_fd int fd = openat(host->volumes_fd, made, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "cannot open the volume '%s'", mount->source);
    if (fill(image_fd, mount, fd, err) < 0) {
        fs_remove_tree(host->volumes_fd, made, NULL);
        return -1;
    }
    return put_in_place(host, made, mount->source, err);
}

int host_prepare_mounts(const struct host *host, const char *container_id, int image_fd,
                        const struct container_spec *spec, struct err *err)
{
    for (size_t i = 0; i < spec->mounts.n; i++) {
        const struct container_mount *mount = container_spec_mount(spec, i);
        struct stat st;
        if (strcmp(mount->type, "volume") == 0 && make_volume(host, container_id, image_fd, mount, err) < 0)
            return -1;
        if (mount->make_source && stat(mount->source, &st) < 0 && errno == ENOENT &&
            fs_mkdirs(AT_FDCWD, mount->source, 0755, err) < 0)
            return err_wrap(err, "cannot make the directory to be mounted");
    }
    return 0;
}

/* --- the store --- */

struct volume_removal {
    uv_work_t work;
    struct host *host;
    char name[129];
    char away[160];
    host_done_cb cb;
    void *data;
    struct err err;
};

/* Renamed first, so that a volume is whole or not there, and for good before anybody is told. */
static void run_removal(uv_work_t *work)
{
    struct volume_removal *removal = work->data;
    int store_fd = removal->host->volumes_fd;
    if (fs_remove_tree(store_fd, removal->away, &removal->err) < 0)
        return;
    if (renameat(store_fd, removal->name, store_fd, removal->away) < 0 && errno != ENOENT)
        err_sys(&removal->err, errno, "cannot remove the volume '%s'", removal->name);
    else if (fsync(store_fd) < 0)
        err_sys(&removal->err, errno, "cannot remove the volume '%s' for good", removal->name);
    else
        fs_remove_tree(store_fd, removal->away, NULL); /* the next start tries again */
}

static void done_removal(uv_work_t *work, int status)
{
    (void)status;
    struct volume_removal *removal = work->data;
    struct host *host = removal->host;
    removal->cb(removal->err.code != ERR_NONE ? &removal->err : NULL, removal->data);
    free(removal);
    host_unbusy(host);
}

int host_volume_remove(struct host *host, const char *name, host_done_cb cb, void *data, struct err *err)
{
    if (check_volume_name(name) != NULL)
        return err_set(err, ERR_INVALID, "'%s' is no volume's name", name);
    struct volume_removal *removal = calloc(1, sizeof(*removal));
    if (removal == NULL)
        return err_nomem(err, "removing a volume");
    removal->work.data = removal;
    removal->host = host;
    removal->cb = cb;
    removal->data = data;
    snprintf(removal->name, sizeof(removal->name), "%s", name);
    snprintf(removal->away, sizeof(removal->away), REMOVING_PREFIX "%s", name);
    host->n_busy++;
    uv_queue_work(host->loop, &removal->work, run_removal, done_removal);
    return 0;
}

int host_volumes(const struct host *host, struct strings *ret, struct err *err)
{
    int fd = openat(host->volumes_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    if (dir == NULL)
        return err_sys(err, errno, "cannot list the volumes in '%s'", host->volumes_dir);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && strings_add(ret, entry->d_name) < 0)
            return err_nomem(err, "listing volumes");
    }
    return 0;
}
